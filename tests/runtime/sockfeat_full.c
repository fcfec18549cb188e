// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A reader that stops: the writer must be held back, and nothing may be missing when it goes on. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "sockfeat.h"

#define MOST_BYTES  (64L << 20) /* nobody is held back: enough seen */
#define MOST_MEMORY (256L << 10) /* KiB of the kernel's objects, the same */
#define BATCH       64 /* messages of one call */
#define LOOK_EVERY  256 /* calls, at how much memory there is */

static long memory_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long kib = -1;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Slab: %ld", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib;
}

/* Sends some messages of the pattern, the small ones many at a time; returns how many bytes went. */
static ssize_t send_some(int fd, size_t sent, size_t size)
{
	static char data[65536];
	struct mmsghdr m[BATCH] = { 0 };
	struct iovec iov[BATCH];
	int n = size <= 64 ? BATCH : 1;
	ssize_t bytes = 0;

	pattern_fill(data, sent, n * size);
	for (int i = 0; i < n; i++) {
		iov[i] = (struct iovec){ data + i * size, size };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	n = sendmmsg(fd, m, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (int i = 0; i < n; i++)
		bytes += m[i].msg_len;
	return n < 0 ? -1 : bytes;
}

/* Writes the pattern in messages of this size until it is held back; says why it stops. */
static size_t fill(int fd, size_t size)
{
	long memory = memory_kib(), calls = 0;
	const char *why = "64 MiB went";
	size_t sent = 0;

	while (sent < MOST_BYTES) {
		ssize_t n = send_some(fd, sent, size);

		if (n < 0) {
			why = strerrorname_np(errno);
			break;
		}
		sent += n;
		if (++calls % LOOK_EVERY == 0 && memory_kib() > memory + MOST_MEMORY) {
			why = "256 MiB of memory are gone";
			break;
		}
	}
	say("written until %s", why);
	note("written", sent);
	note("memory_kib", memory_kib() - memory);
	return sent;
}

/* Reads all of it. */
static void drain(int fd, size_t sent)
{
	static char data[65536];
	size_t got = 0;
	bool same = true;

	while (got < sent && polled(fd, POLLIN, 3000)) {
		ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0) {
			say_result("recv", n, errno);
			break;
		}
		same = same && pattern_is(data, got, n);
		got += n;
	}
	if (got != sent)
		say("%zu of %zu bytes arrived", got, sent);
	else
		say("all arrived; the same=%d", same);
}

static void full(size_t size)
{
	struct pair p = warm_pair();
	size_t sent = fill(p.client, size);

	/* What is under way may leave room once more: poll says nothing certain yet. */
	drain(p.server, sent);
	settle();
	say_polled("poll", p.client, POLLOUT);
	say_exchange("then", &p);
}

void run_full_1(void)
{
	if (in_guest)
		skip("millions of messages take minutes under emulation");
	full(1);
}

void run_full_64(void)
{
	full(64);
}

void run_full_1k(void)
{
	full(1024);
}

void run_full_64k(void)
{
	full(65536);
}

/* Blocks sooner or later; the size of all is in c->size, the result is the bytes written. */
static ssize_t write_much(struct call *c)
{
	static char data[65536];
	size_t sent = 0;

	while (sent < c->size) {
		ssize_t n;

		pattern_fill(data, sent, sizeof(data));
		n = send(c->fd, data, sizeof(data), MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += n;
		if (n < (ssize_t)sizeof(data))
			break;
	}
	return sent;
}

void run_full_blocking(void)
{
	struct pair p = warm_pair();
	struct call c = { .fd = p.client, .size = 48 << 20 };

	call_start(&c, write_much);
	say("the writer %s", call_ends(&c, in_guest ? 8 : 1) ? "wrote all" : "is blocked");
	drain(p.server, c.size);
	call_ends(&c, STEP_SECONDS);
	say_result("bytes written", c.result, c.error);
}

/* Writes until a write takes as long as it may. */
void run_sndtimeo(void)
{
	struct timeval t = { .tv_usec = 300000 };
	struct pair p = warm_pair();
	struct call c = { .fd = p.client, .size = 48 << 20 };

	setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	call_start(&c, write_much);
	say("ends=%d", call_ends(&c, STEP_SECONDS));
	note("written", c.result);
	note("time_ms", c.seconds * 1000);
	say("wrote all=%d", c.result == (ssize_t)c.size);
	say("in time=%d", c.seconds > 0.29 && c.seconds < (in_guest ? 5 : 2));
	drain(p.server, c.result);
}

/* A stream through buffers of 4 KiB at most. */
static void small(int name)
{
	struct pair p = pair_new();
	size_t sent;

	option(p.client, SOL_SOCKET, name, 4096);
	option(p.server, SOL_SOCKET, name, 4096);
	/* Through so small a window 4 MiB would take minutes. */
	if (name == SO_RCVBUF)
		option(p.client, SOL_SOCKET, SO_SNDBUF, 65536);
	warm_up(&p);
	sent = fill(p.client, 100);
	say_polled("poll", p.client, POLLOUT);
	drain(p.server, sent);
	settle();
	say_polled("poll", p.client, POLLOUT);
	say_exchange("then", &p);
}

void run_small_rcvbuf(void)
{
	small(SO_RCVBUF);
}

void run_small_sndbuf(void)
{
	small(SO_SNDBUF);
}
