/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* walk.h - all directories below one, with their inode numbers: what cgroups there are. */
#ifndef BPFNET_WALK_H
#define BPFNET_WALK_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct walk_dir {
	uint64_t inode;
	size_t path; /* where it begins in struct walk's text; "" is the directory that was asked for */
};

struct walk {
	struct walk_dir *dirs;
	char *text; /* paths, each ended by a NUL: "/a/b" */
	size_t nr_dirs, dirs_room, text_size, text_room;
	size_t nr_unread; /* directories that could not be looked into */
};

/*
 * Fills `walk`, which is all zero at first; walk_fini() frees what is in it, also after an error.
 * Symbolic links are not followed, nor is what lies more than 128 directories deep looked at.
 * Codes: those of open(2) for `path` itself, -ENOMEM.
 */
int walk_tree(struct walk *walk, const char *path, struct err *err);
void walk_fini(struct walk *walk);

#endif
