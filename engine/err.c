/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "err.h"

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	err->code = code;
	err->hint[0] = '\0';
	return code;
}

/* The limit is this process's own, so who meets it can do something. */
static void hint_files(struct err *err)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit))
		err_hint(err, "this process may have %llu descriptors: raise that with ulimit -n",
			 (unsigned long long)limit.rlim_cur);
}

int err_sys(struct err *err, int code, const char *fmt, ...)
{
	const char *name = strerrorname_np(-code);
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof(err->msg) - len, " (%s)", name ? name : "unknown error");
	err->code = code;
	err->hint[0] = '\0';
	if (code == -EMFILE)
		hint_files(err);
	return code;
}

void err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;
	size_t len;

	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof(err->msg) - len, ": %.*s", (int)sizeof(old) - 1, old);
	return err->code;
}

const char *errno_name(int number)
{
	return strerrorname_np(number);
}

int errno_number(const char *name)
{
	/* The kernel's own codes end below 4096 (MAX_ERRNO), those with names well below 200. */
	for (int i = 1; i < 200; i++) {
		const char *known = strerrorname_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	return 0;
}
