/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_found.h - finds the flows of all redirects of this host, in whatever process they run, for
 * a probe that includes bpf/redirected.h.
 */
#ifndef BPFNET_REDIRECT_FOUND_H
#define BPFNET_REDIRECT_FOUND_H

#include "err.h"

struct bpf_object;
struct loop;
struct redirect_found;

/* Before the object is loaded: fits its map `redirects` to the maps of a redirect, if it has one. */
void redirect_found_setup(struct bpf_object *obj);
/*
 * Once the object is loaded: looks now, and from then on ten times a second. socks_fd: the map `socks`.
 * *found is NULL if the object does not ask. 0; -ENOMEM.
 */
int redirect_found_new(struct redirect_found **found, struct loop *loop,
		       const struct bpf_object *obj, int socks_fd, struct err *err);
/* Looks now: a redirect of this process has begun, and its first connections may be short. */
void redirect_found_look(void);
/* Before the object is closed. NULL is fine. */
void redirect_found_free(struct redirect_found *found);

#endif
