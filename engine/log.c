/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <string.h>
#include <bpf/libbpf.h>
#include "log.h"
#include "stdio_safe.h"
#include "util.h"

static enum log_level max_level = LOG_WARN;
static char failed_program[128];
static char reason[512];

void log_vmsg(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const prefix[] = { "", "warning: ", "", "debug: " };

	if (level > max_level)
		return;
	/* What the script printed so far belongs before the message. */
	stdio_flush();
	fprintf(stderr, "bpfnet: %s", prefix[level]);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(level, fmt, ap);
	va_end(ap);
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

/* Not what libbpf puts around the verifier's log, which may be empty. */
static bool says_something(const char *line, const char *end)
{
	static const char begin[] = "-- BEGIN PROG LOAD LOG --";
	size_t len = (size_t)(end - line);

	return len && !str_starts(line, "processed ") && !str_starts(line, "-- ") &&
	       !(len >= strlen(begin) && str_starts(end - strlen(begin), begin));
}

/* Without "libbpf: prog 'NAME': ", which the message says in its own words. */
static const char *skip_program(const char *line)
{
	const char *quote = str_starts(line, "libbpf: prog '") ? strstr(line, "': ") : NULL;

	return quote ? quote + 3 : line;
}

/* Keeps the last line that says something: libbpf prints the verifier's log in one message. */
static void keep_reason(const char *text)
{
	const char *end = text + strlen(text), *line;

	while (end > text) {
		while (end > text && (end[-1] == '\n' || end[-1] == ' '))
			end--;
		for (line = end; line > text && line[-1] != '\n';)
			line--;
		if (says_something(line, end)) {
			line = skip_program(line);
			snprintf(reason, sizeof(reason), "%.*s", (int)(end - line), line);
			return;
		}
		end = line;
	}
}

/*
 * libbpf has no call that tells which program failed to load; its message does, in the same words
 * from 1.0 to 1.7: prog 'NAME': BPF program load failed, or: prog 'NAME': failed to ...
 */
static void keep_failure(const char *text)
{
	char name[sizeof(failed_program)];

	if (sscanf(text, "libbpf: prog '%127[^']': ", name) != 1)
		return;
	/* a table that stays out of the kernel, without which libbpf goes on */
	if (strstr(text, "failed to bind map"))
		return;
	if (strstr(text, "BPF program load failed") || strstr(text, "failed to")) {
		if (!failed_program[0])
			strcpy(failed_program, name);
		if (!reason[0])
			keep_reason(text);
	}
	if (strstr(text, "BEGIN PROG LOAD LOG"))
		keep_reason(text);
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	static char text[65536];
	size_t len;

	if (level != LIBBPF_WARN && max_level < LOG_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (level == LIBBPF_WARN)
		keep_failure(text);
	len = strlen(text);
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	log_msg(LOG_DEBUG, "%s", text);
	return 0;
}

void log_catch_libbpf(void)
{
	libbpf_set_print(print_libbpf);
}

void log_libbpf_reset(void)
{
	failed_program[0] = reason[0] = '\0';
}

const char *log_libbpf_program(void)
{
	return failed_program;
}

const char *log_libbpf_reason(void)
{
	return reason;
}
