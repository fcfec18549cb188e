/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * redirect_pin.h - makes a redirect visible to other processes: what it tells of itself, in a map that
 * they find by its name, and pins of what they need to end it when its own process is gone.
 */
#ifndef BPFNET_REDIRECT_PIN_H
#define BPFNET_REDIRECT_PIN_H

#include <dirent.h>
#include <stdint.h>
#include "err.h"

struct redirect;

#define REDIRECT_INFO  "redirect_info" /* the map's name */
#define REDIRECT_NAME  64
#define REDIRECT_SCOPE 1024
#define REDIRECT_ROOT  1024 /* room for redirect_pins_root() */

/* The names of its pins are those of the maps and the program. */
enum redirect_part { PART_FLOWS, PART_REFUSED, PART_COUNTS, PART_CONFIGS, PART_SOCKETS, NR_PARTS };
extern const char *const redirect_parts[NR_PARTS];

/* The value of the map. */
struct redirect_info {
	uint64_t started; /* when the process was: after another start its pid is another's */
	uint64_t since_s; /* CLOCK_REALTIME */
	uint32_t pid;
	uint32_t left; /* at the end: connections that could not be let go */
	uint32_t ids[NR_PARTS];
	uint32_t zero;
	char name[REDIRECT_NAME]; /* of its pins, "" without */
	char scope[REDIRECT_SCOPE]; /* for people */
};

/*
 * Tells other processes of it. With a name (else NULL) it is pinned below bpffs, and stays there
 * until redirect_free(). 0; -EEXIST: the name is in use; -EINVAL: it can't be one; -ENOENT: there is no
 * bpffs; -errno. Nothing is left behind then.
 */
int redirect_publish(struct redirect *redirect, const char *name, const char *scope,
		     struct err *err);
/* Would a start by that name find it free? The same errors. */
int redirect_name_check(const char *name, struct err *err);

/* Start time of a process in clock ticks, 0 if there is none, or only its zombie. */
uint64_t redirect_process_started(int pid);
/* BPFFS/bpfnet/redirect; -ENOENT if no bpffs is mounted. */
int redirect_pins_root(char *path, size_t size, struct err *err);
/* Opens that directory and keeps other starts and ends away until it is closed; -1 if there is none. */
int redirect_pins_lock(const char *root);
/* Removes root/name with all that is in it, links first. 0 or -errno. */
int redirect_pins_remove(const char *root, const char *name);
/* The next entry that is not hidden, NULL at the end. */
const char *redirect_next_name(DIR *dir);

#endif
