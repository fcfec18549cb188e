/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "ksyms_lines.h"

typedef bool (*line_fn)(void *arg, const struct ksyms_line *line);

static bool split(const char *p, const char *end, struct ksyms_line *line)
{
	const char *tab;

	line->addr = 0;
	for (; p < end && *p != ' '; p++) {
		int digit = *p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10;

		line->addr = line->addr << 4 | (unsigned int)(digit & 15);
	}
	if (end - p < 4)
		return false;
	line->type = p[1];
	line->name = p + 3;
	line->len = (size_t)(end - line->name);
	tab = memchr(line->name, '\t', line->len);
	line->name_len = tab ? (size_t)(tab - line->name) : line->len;
	return true;
}

/* Whole lines of a buffer, until `each` wants no more. Returns how many bytes they had. */
static size_t take_lines(char *buf, size_t len, line_fn each, void *arg, bool *go_on)
{
	size_t done = 0;
	struct ksyms_line line;
	char *end;

	while (*go_on && (end = memchr(buf + done, '\n', len - done))) {
		if (split(buf + done, end, &line))
			*go_on = each(arg, &line);
		done = (size_t)(end + 1 - buf);
	}
	return done;
}

/* The kernel gives a page for each read. */
int ksyms_each_line(line_fn each, void *arg)
{
	char buf[2 * 4096 + KSYMS_NAME];
	int fd = open(KSYMS_FILE, O_RDONLY | O_CLOEXEC), rc;
	size_t len = 0, done;
	bool go_on = true;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (go_on && len < sizeof(buf) && (n = read(fd, buf + len, sizeof(buf) - len)) > 0) {
		len += (size_t)n;
		done = take_lines(buf, len, each, arg, &go_on);
		len -= done;
		memmove(buf, buf + done, len);
	}
	rc = n < 0 ? -errno : 0;
	close(fd);
	return rc;
}
