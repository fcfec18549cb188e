// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a feature says: it is gathered in shared memory, for a feature may have more than one process. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sockfeat.h"

#define READY_SECONDS 120

static struct said {
	char feature[32], outcome[4096], notes[512], skipped[256], failed[256];
} * said;

bool interactive;

/* Begins the line of a feature; what its processes say goes there until say_close(). */
void say_open(const char *feature)
{
	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED) {
		perror("sockfeat: mmap");
		_exit(1);
	}
	snprintf(said->feature, sizeof(said->feature), "%s", feature);
}

/* Texts are ours, but for what a connection brings: a byte that JSON could not hold becomes '?'. */
static void print_text(const char *key, const char *text)
{
	printf(",\"%s\":\"", key);
	for (; *text; text++)
		putchar(*text < ' ' || *text == '"' || *text == '\\' || *text == 127 ? '?' : *text);
	putchar('"');
}

/* Prints the line of the feature, whose process ended with this status; true if it failed. */
bool say_close(int status)
{
	bool bad;

	if (status && !*said->failed)
		snprintf(said->failed, sizeof(said->failed), "ended with status %#x", status);
	bad = *said->failed;
	printf("{\"feature\":\"%s\"", said->feature);
	if (*said->failed)
		print_text("failed", said->failed);
	else if (*said->skipped)
		print_text("skip", said->skipped);
	if (*said->outcome || (!*said->failed && !*said->skipped))
		print_text("outcome", said->outcome);
	printf("%s}\n", said->notes);
	fflush(stdout);
	munmap(said, sizeof(*said));
	said = NULL;
	return bad;
}

/* Ends the process; the first reason is the one that counts. */
static void __attribute__((noreturn)) finish(char *why, size_t size, const char *fmt, va_list ap)
{
	if (!*why)
		vsnprintf(why, size, fmt, ap);
	_exit(0);
}

/* The test itself cannot go on. */
void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (said)
		finish(said->failed, sizeof(said->failed), fmt, ap);
	fputs("sockfeat: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

/* This kernel has no such feature. */
void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	finish(said->skipped, sizeof(said->skipped), fmt, ap);
}

/* Adds to the outcome; parts are set apart by a semicolon. */
void say(const char *fmt, ...)
{
	size_t used = strlen(said->outcome);
	va_list ap;

	if (used && used + 2 < sizeof(said->outcome)) {
		strcpy(said->outcome + used, "; ");
		used += 2;
	}
	va_start(ap, fmt);
	vsnprintf(said->outcome + used, sizeof(said->outcome) - used, fmt, ap);
	va_end(ap);
}

/* What a call returned: "what=5", or "what=EAGAIN". */
void say_result(const char *what, ssize_t result, int error)
{
	if (result < 0)
		say("%s=%s", what, strerrorname_np(error) ?: "unknown error");
	else
		say("%s=%zd", what, result);
}

/* The same with the bytes that came, as far as they are few. */
void say_text(const char *what, ssize_t result, int error, const char *data)
{
	if (result <= 0 || result > 100)
		say_result(what, result, error);
	else
		say("%s=%zd '%.*s'", what, result, (int)result, data);
}

/* A number that is no part of the outcome, for it differs from run to run. */
void note(const char *key, long value)
{
	size_t used = strlen(said->notes);

	snprintf(said->notes + used, sizeof(said->notes) - used, ",\"%s\":%ld", key, value);
}

static void wait_line(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	char c = 0;

	while (c != '\n') {
		if (poll(&p, 1, READY_SECONDS * 1000) != 1 || read(0, &c, 1) != 1)
			die("no line on standard input");
	}
}

/* With option -i: names the connection that the feature is about, and waits for the word to go on. */
void ready(const struct pair *p)
{
	if (!interactive)
		return;
	printf("{\"ready\":\"%s\",\"sport\":%d,\"dport\":%d}\n", said->feature,
	       port_of(p->client, false), port_of(p->server, false));
	fflush(stdout);
	wait_line();
	alarm(FEATURE_SECONDS);
}
