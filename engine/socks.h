/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * socks.h - the shared object that follows every TCP socket (bpf/socks.bpf.c).
 *
 * Loaded with the first probe that needs it, gone with the last.
 */
#ifndef BPFNET_SOCKS_H
#define BPFNET_SOCKS_H

#include <stdint.h>
#include "err.h"

struct socks;

/* Loads and attaches it, and finds the sockets that are there already. prefer: see ways.h. */
int socks_new(struct socks **socks, const char *prefer, struct err *err);
void socks_free(struct socks *socks);
/* The map `socks`, for probes to share. */
int socks_map_fd(const struct socks *socks);
/* Runs of its programs that the kernel left out, see object_missed(). */
uint64_t socks_missed(const struct socks *socks);
/* Sockets that did not fit into the table. */
uint64_t socks_untracked(const struct socks *socks);

#endif
