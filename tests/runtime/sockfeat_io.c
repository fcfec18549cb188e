// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sending, receiving and waiting; a wait for ever is an outcome, too, and never hangs the test. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sockfeat.h"

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Sleeps as long as it says, whatever signals come. */
void msleep(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Sleeps in steps, so that it takes longer when this process did not get to run. */
static void sleep_steps(int ms, const struct call *until)
{
	int step = in_guest ? 10 : 1;

	for (; ms > 0 && !(until && until->done); ms -= step)
		msleep(step);
}

/* Until what was sent has arrived: a redirect may hand it over in a kernel thread. */
void settle(void)
{
	sleep_steps(in_guest ? 150 : 30, NULL);
}

/* The events that are there within so many milliseconds; 0 if none. */
short polled(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	double until = now() + ms / 1e3;
	int n;

	while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR && now() < until)
		;
	return n > 0 ? p.revents : 0;
}

void say_polled(const char *what, int fd, short events)
{
	short got = polled(fd, events, 0);

	say("%s=%s%s%s%s%s%s%s", what, got ? "" : "0", got & POLLIN ? "IN " : "",
	    got & POLLPRI ? "PRI " : "", got & POLLOUT ? "OUT " : "",
	    got & POLLRDHUP ? "RDHUP " : "", got & POLLHUP ? "HUP " : "",
	    got & POLLERR ? "ERR " : "");
}

void put_bytes(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN && polled(fd, POLLOUT, STEP_SECONDS * 1000))
			continue;
		if (n < 0 && errno != EINTR)
			die("send: %s", strerror(errno));
		if (n > 0) {
			p += n;
			size -= n;
		}
	}
}

void put(int fd, const char *text)
{
	put_bytes(fd, text, strlen(text));
}

void get_bytes(int fd, void *data, size_t size)
{
	char *p = data;

	while (size) {
		ssize_t n = -1;

		errno = ETIMEDOUT;
		if (polled(fd, POLLIN, STEP_SECONDS * 1000))
			n = recv(fd, p, size, 0);
		if (!n)
			die("recv: the end, %zu bytes too early", size);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die("recv: %s, %zu bytes missing", strerror(errno), size);
		if (n > 0) {
			p += n;
			size -= n;
		}
	}
}

static void *call_thread(void *arg)
{
	struct call *c = arg;
	double from = now();

	c->tid = gettid();
	c->result = c->f(c);
	c->error = errno;
	c->seconds = now() - from;
	c->done = true;
	return NULL;
}

void call_start(struct call *c, ssize_t (*f)(struct call *c))
{
	c->f = f;
	c->done = false;
	c->tid = 0;
	if (pthread_create(&c->thread, NULL, call_thread, c))
		die("no thread");
}

static bool sleeps(int tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(f);
	}
	return state == 'S';
}

/* Returns when it is over, or sleeps in the kernel. */
void call_waits(const struct call *c)
{
	for (int ms = 2000; ms > 0 && !c->done && !(c->tid && sleeps(c->tid)); ms--)
		msleep(1);
}

static ssize_t receive(struct call *c)
{
	return recv(c->fd, c->data, c->size, c->flags);
}

/* Starts a recv() of up to 256 bytes; when this returns, it waits or is over. */
void call_recv(struct call *c, int fd, size_t size, int flags)
{
	c->fd = fd;
	c->size = size;
	c->flags = flags;
	call_start(c, receive);
	call_waits(c);
}

/* Whether it ends within so many seconds; those in which this process did not run don't count. */
bool call_ends(struct call *c, double seconds)
{
	sleep_steps(seconds * 1000, c);
	return c->done;
}

/* What it returned, "blocked" if it has not within a moment. */
void say_call(const char *what, struct call *c)
{
	if (!call_ends(c, in_guest ? 2 : 0.5))
		say("%s blocked", what);
	else if (*c->data)
		say_text(what, c->result, c->error, c->data);
	else
		say_result(what, c->result, c->error);
}

/* One recv() of up to 256 bytes. It leaves a thread behind if it blocks. */
void say_recv(const char *what, int fd, size_t size, int flags)
{
	static struct call calls[32];
	static unsigned int used;
	struct call *c = &calls[used++ % 32];

	if (blocking) {
		call_recv(c, fd, size, flags);
		say_call(what, c);
		return;
	}
	c->result = recv(fd, c->data, size, flags | MSG_DONTWAIT);
	say_text(what, c->result, errno, c->data);
}

/* The same, once there is something. */
void say_recv_wait(const char *what, int fd, size_t size, int flags)
{
	polled(fd, POLLIN, 2000);
	say_recv(what, fd, size, flags);
}

void say_send(const char *what, int fd, const char *text, int flags)
{
	ssize_t n = send(fd, text, strlen(text), flags | MSG_NOSIGNAL);

	say_result(what, n, errno);
}

/* Bytes both ways, to show that the connection still works. */
void say_exchange(const char *what, const struct pair *p)
{
	char data[2];

	put(p->client, "to");
	get_bytes(p->server, data, 2);
	if (memcmp(data, "to", 2))
		die("%s: other bytes than those sent", what);
	put(p->server, "fr");
	get_bytes(p->client, data, 2);
	if (memcmp(data, "fr", 2))
		die("%s: other bytes than those sent", what);
	say("%s: both ways", what);
}

/* Bytes of a stream that differ wherever it is cut: what is lost, doubled or moved shows. */
static unsigned char pattern(size_t at)
{
	return (uint32_t)(at * 2654435761u) >> 24;
}

void pattern_fill(void *data, size_t from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)data)[i] = pattern(from + i);
}

bool pattern_is(const void *data, size_t from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (((const unsigned char *)data)[i] != pattern(from + i))
			return false;
	}
	return true;
}
