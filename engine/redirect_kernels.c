/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "redirect_kernels.h"
#include "util.h"

#define DEBIAN    "Debian "
#define UBUNTU    "Ubuntu "
#define SIGNATURE "/proc/version_signature"

/* One number of at most four digits; NULL if there is none. */
static const char *read_number(const char *s, int *n)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return NULL;
	*n = (int)strtol(s, &end, 10);
	return end - s <= 4 ? end : NULL;
}

/* "6.1.94", "6.13", "6.18-rc5": returns what follows, or NULL. */
static const char *read_version(const char *s, struct kernel_version *v)
{
	v->patch = 0;
	s = read_number(s, &v->major);
	s = s && *s == '.' ? read_number(s + 1, &v->minor) : NULL;
	if (s && *s == '.')
		s = read_number(s + 1, &v->patch);
	if (!s || isalpha((unsigned char)*s))
		return NULL;
	if (!v->patch && (str_starts(s, "-rc") || str_starts(s, "~rc")))
		v->patch = -1;
	return s;
}

static bool same_branch(const struct kernel_version *a, const struct kernel_version *b)
{
	return a->major == b->major && a->minor == b->minor;
}

/* "#1 SMP Debian 6.1.148-1 (2025-08-26)", "Ubuntu 5.15.0-91.101-generic 5.15.131" */
static const char *upstream_of(const char *version)
{
	const char *debian = strstr(version, " " DEBIAN), *last = strrchr(version, ' ');

	if (debian)
		return debian + strlen(" " DEBIAN);
	return str_starts(version, UBUNTU) ? last + 1 : NULL;
}

bool redirect_kernel_version(const char *release, const char *version, struct kernel_version *v)
{
	const char *said = upstream_of(version), *rest = read_version(release, v);
	struct kernel_version upstream;

	if (!rest)
		return false;
	if (said) {
		if (!read_version(said, &upstream) || !same_branch(&upstream, v))
			return false;
		*v = upstream;
		return true;
	}
	/* 5.14.0-427.el9 and the like hide how much was taken over; 6.18.0 and 6.18.44-x don't. */
	return v->patch || !*rest;
}

/* Sets v to the list's version for the branch of `of`, or to mainline's: is it of the branch? */
static bool pick(const char *list, const struct kernel_version *of, struct kernel_version *v)
{
	for (const char *s = list; s && *s; s += strspn(s, " ")) {
		s = read_version(s, v);
		if (s && same_branch(v, of))
			return true;
	}
	return false;
}

static bool reached(const char *list, const struct kernel_version *v)
{
	struct kernel_version first;

	if (pick(list, v, &first))
		return v->patch >= first.patch;
	return v->major != first.major ? v->major > first.major : v->minor > first.minor;
}

const struct redirect_kernel *redirect_kernel_next(const struct kernel_version *v,
						   const struct redirect_kernel *after)
{
	const struct redirect_kernel *row = after ? after + 1 : redirect_kernels;

	while (row->since && (!reached(row->since, v) || reached(row->fixed, v)))
		row++;
	return row->since ? row : NULL;
}

const struct redirect_kernel *redirect_kernel_known_bad(const char *release, const char *version)
{
	const struct redirect_kernel *row = NULL;
	struct kernel_version v;

	if (!redirect_kernel_version(release, version, &v))
		return NULL;
	do {
		row = redirect_kernel_next(&v, row);
	} while (row && row->warns);
	return row;
}

void redirect_kernel_fixed_in(const struct redirect_kernel *row, const struct kernel_version *v,
			      char *text, size_t size)
{
	struct kernel_version fixed;

	if (pick(row->fixed, v, &fixed) && fixed.patch)
		snprintf(text, size, "%d.%d.%d", fixed.major, fixed.minor, fixed.patch);
	else
		snprintf(text, size, "%d.%d", fixed.major, fixed.minor);
}

int redirect_kernel_here(char *release, char *version, size_t size)
{
	struct utsname u;
	FILE *f;

	if (uname(&u))
		return -errno;
	snprintf(release, size, "%s", u.release);
	snprintf(version, size, "%s", u.version);
	f = fopen(SIGNATURE, "re");
	if (!f)
		return 0;
	if (fgets(version, (int)size, f))
		version[strcspn(version, "\n")] = '\0';
	fclose(f);
	return 0;
}
