/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* util.h - small things that every unit may use. */
#ifndef BPFNET_UTIL_H
#define BPFNET_UTIL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

/* CLOCK_MONOTONIC in ns: the clock of bpf_ktime_get_ns(), and so of every ts_ns. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * An error (-errno) that says nothing of what the kernel can do: there is no room now. Who tries what the kernel
 * takes must not believe it.
 */
static inline bool is_shortage(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM;
}

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* FNV-1a of a text of this length, for tables of names. */
static inline uint32_t name_hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h;
}

/*
 * The known name that `name` was probably meant to be, or NULL.
 * next(arg, i) returns the i-th known name and NULL after the last.
 */
const char *nearest_name(const char *name, const char *(*next)(const void *arg, int i),
			 const void *arg);

#endif
