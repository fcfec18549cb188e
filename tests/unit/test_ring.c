/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The reader of the ring, with records that real programs write (ring.bpf.c). Needs BPF. */
#include <errno.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "caps.h"
#include "log.h"
#include "ring.h"
#include "t.h"
#include "util.h"

#define TICK_NS (20 * NSEC_PER_MSEC)

static struct ring *ring;
static struct bpf_object *obj;
static int epfd = -1;
static int push_fd, discard_fd, submit_fd;

struct seen {
	int n;
	uint32_t probe;
	uint64_t first; /* word of the last record */
	size_t size;
};

static struct seen seen;

static int fd_of(const char *program)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, program));
}

static void share(const char *name, int fd)
{
	CHECK_INT(bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, name), fd), 0);
}

static void start(uint64_t size)
{
	struct err err;

	log_catch_libbpf();
	if (caps_check(&err))
		SKIP("%s", err.msg);
	if (ring_new(&ring, size, &err))
		FAIL("%s", err.msg);
	obj = bpf_object__open_file(".output/unit/ring.bpf.o", NULL);
	CHECK(obj);
	share("events", ring_fd(ring));
	share("wakeups", ring_wakeups_fd(ring));
	CHECK_INT(bpf_object__load(obj), 0);
	push_fd = fd_of("push");
	discard_fd = fd_of("discard");
	submit_fd = fd_of("submit");
}

static void end(void)
{
	bpf_object__close(obj);
	ring_free(ring);
}

static int call(int prog_fd, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t args[] = { a, b, c };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));

	CHECK_INT(bpf_prog_test_run_opts(prog_fd, &opts), 0);
	return (int)opts.retval;
}

/* `size` counts the header of 8 bytes. */
static int push(uint32_t probe, uint64_t seq, uint64_t size)
{
	return call(push_fd, probe, seq, size);
}

static void on_record(void *arg, uint32_t probe, const void *data, size_t size)
{
	const uint64_t *words = data;

	(void)arg;
	seen.n++;
	seen.probe = probe;
	seen.size = size;
	seen.first = size >= 8 ? words[0] : 0;
	for (size_t i = 0; i < size / 8; i++)
		CHECK_INT(words[i], words[0] + i);
}

static int consume(int max)
{
	return ring_consume(ring, max, on_record, NULL);
}

static void sizes(void)
{
	static const struct {
		uint64_t asked, got;
	} rows[] = { { 0, 4096 },    { 1, 4096 },      { 4096, 4096 },
		     { 4097, 8192 }, { 65536, 65536 }, { 1000000, 1 << 20 } };
	struct err err;

	if (caps_check(&err))
		SKIP("%s", err.msg);
	if (sysconf(_SC_PAGESIZE) != 4096)
		SKIP("pages are not 4096 bytes");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(ring_new(&ring, rows[i].asked, &err), 0);
		CHECK_INT(ring_size(ring), rows[i].got);
		CHECK(ring_fd(ring) >= 0 && ring_fd(ring) >= 0 && ring_wakeups_fd(ring) >= 0);
		ring_free(ring);
	}
	ring_free(NULL);
}

static void contents(void)
{
	start(4096);
	CHECK_INT(consume(10), 0);
	CHECK_INT(push(7, 1000, 8 + 24), 0);
	CHECK_INT(consume(10), 1);
	CHECK_INT(seen.n, 1);
	CHECK_INT(seen.probe, 7);
	CHECK_INT(seen.size, 24);
	CHECK_INT(seen.first, 1001);
	CHECK_INT(consume(10), 0);
	CHECK_INT(push(UINT32_MAX, 5, 8), 0); /* nothing but the header */
	CHECK_INT(consume(10), 1);
	CHECK_INT(seen.size, 0);
	CHECK_INT(seen.probe, UINT32_MAX);
	end();
}

static void bounds(void)
{
	start(4096);
	for (uint64_t i = 0; i < 10; i++)
		CHECK_INT(push(1, i, 32), 0);
	CHECK_INT(consume(0), 0);
	CHECK_INT(consume(4), 4);
	CHECK_INT(seen.n, 4);
	CHECK_INT(seen.first, 3 + 1);
	CHECK_INT(consume(4), 4);
	CHECK_INT(consume(4), 2);
	CHECK_INT(consume(4), 0);
	CHECK_INT(seen.n, 10);
	end();
}

static void discarded(void)
{
	start(4096);
	push(1, 1, 16);
	call(discard_fd, 9, 0, 0);
	push(1, 2, 4); /* shorter than its header: nobody's */
	push(1, 3, 16);
	consume(10);
	CHECK_INT(seen.n, 2);
	CHECK_INT(seen.first, 3 + 1);
	CHECK_INT(seen.probe, 1);
	CHECK_INT(consume(10), 0);
	end();
}

/* Records of all sizes, many times around; the data are checked in on_record(). */
static void around(void)
{
	uint64_t sent = 0;

	start(4096);
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t size = 16 + i * 56 % 241;

		CHECK_INT(push(3, i * 100, size), 0);
		sent++;
		if (i % 5 == 4) {
			CHECK_INT(consume(100), 5);
			CHECK_INT(seen.first, i * 100 + 1);
			CHECK_INT(seen.size, size - 8);
		}
	}
	CHECK_INT(seen.n, sent);
	end();
}

static void full(void)
{
	int fit = 0;

	start(4096);
	while (push(1, 1, 248) == 0)
		fit++;
	CHECK(fit >= 4096 / 256 - 1 && fit <= 4096 / 256);
	CHECK_INT(push(1, 1, 248), -EAGAIN);
	CHECK_INT(consume(1), 1);
	CHECK_INT(push(1, 1, 248), 0); /* room again */
	CHECK_INT(consume(100), fit);
	end();
}

static void on_nested(void *arg, uint32_t probe, const void *data, size_t size)
{
	on_record(arg, probe, data, size);
	CHECK(seen.n <= 10);
	ring_consume(ring, 100, on_nested, NULL);
}

/* A callback that drains, as p:detach() in a handler does: no record may come twice. */
static void nested(void)
{
	start(4096);
	for (uint64_t i = 0; i < 10; i++)
		push(1, i, 32);
	while (ring_consume(ring, 100, on_nested, NULL))
		;
	CHECK_INT(seen.n, 10);
	CHECK_INT(seen.first, 9 + 1);
	end();
}

static void start_waiting(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	start(65536);
	epfd = epoll_create1(0);
	CHECK_INT(epoll_ctl(epfd, EPOLL_CTL_ADD, ring_fd(ring), &ev), 0);
}

/* True once after each wake-up, as the loop would see it. */
static bool wakes_in(int ms)
{
	struct epoll_event ev;

	return epoll_wait(epfd, &ev, 1, ms) == 1;
}

static bool wakes(void)
{
	return wakes_in(1);
}

static int submit(void)
{
	return call(submit_fd, 0, 5, 0);
}

static void quiet(void)
{
	start_waiting();
	CHECK(!wakes());
	CHECK_INT(submit(), 0);
	CHECK(wakes());
	CHECK_INT(consume(10), 1);
	CHECK_INT(seen.size, 256);
	for (int i = 0; i < 3; i++) {
		/* Somebody relies on that the reader looks by itself. */
		CHECK_INT(ring_look_again(ring) > TICK_NS, false);
		CHECK_INT(submit(), 0);
		CHECK(!wakes());
		usleep(TICK_NS / 1000);
		CHECK_INT(consume(10), 1);
	}
	/* It saw something, then nothing, and once more in case somebody had been told before. */
	CHECK_INT(ring_look_again(ring), TICK_NS);
	usleep(TICK_NS / 1000);
	CHECK_INT(consume(10), 0);
	CHECK_INT(ring_look_again(ring), TICK_NS);
	usleep(TICK_NS / 1000);
	CHECK_INT(consume(10), 0);
	CHECK_INT(ring_look_again(ring), NSEC_PER_SEC);
	CHECK_INT(submit(), 0);
	CHECK(wakes());
	end();
}

/* A program may find the reader's word just before it is taken back. */
static void told_late(void)
{
	start_waiting();
	CHECK_INT(submit(), 0);
	CHECK(wakes());
	CHECK_INT(consume(10), 1);
	ring_look_again(ring);
	usleep(TICK_NS / 1000);
	CHECK_INT(push(1, 1, 32), 0); /* which wakes nobody */
	CHECK_INT(ring_look_again(ring), TICK_NS); /* and is not seen yet */
	CHECK(!wakes());
	CHECK_INT(consume(10), 1);
	CHECK_INT(ring_look_again(ring) > TICK_NS, false);
	end();
}

/* The reader that does not keep its word is woken, at most once in a while. */
static void late_reader(void)
{
	start_waiting();
	CHECK_INT(submit(), 0);
	CHECK(wakes());
	CHECK_INT(consume(10), 1);
	ring_look_again(ring);
	usleep(3 * TICK_NS / 1000);
	CHECK_INT(submit(), 0);
	CHECK(wakes());
	CHECK_INT(submit(), 0);
	CHECK(!wakes());
	end();
}

/* A burst between two looks. */
static void fills_up(void)
{
	int n = 0;

	start_waiting();
	CHECK_INT(submit(), 0);
	CHECK(wakes());
	consume(10);
	ring_look_again(ring);
	while (n < 200 && !wakes_in(0)) {
		CHECK_INT(submit(), 0);
		n++;
	}
	CHECK(n > 65536 / 4 / 272 - 2 && n < 65536 / 2 / 272);
	CHECK_INT(consume(1000), n);
	/* The more came, the sooner it looks again. */
	CHECK(ring_look_again(ring) < TICK_NS);
	end();
}

static void low_latency(void)
{
	start_waiting();
	ring_set_low_latency(ring, true);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(submit(), 0);
		CHECK(wakes());
		CHECK_INT(consume(10), 1);
		CHECK_INT(ring_look_again(ring), NSEC_PER_SEC);
	}
	end();
}

static jmp_buf left;

static void on_left(void *arg, uint32_t probe, const void *data, size_t size)
{
	on_record(arg, probe, data, size);
	if (seen.first % 3 == 0)
		longjmp(left, 1);
}

/* As a Lua error in a handler does: its record is used up, no other is lost or comes twice. */
static void left_by_longjmp(void)
{
	volatile int jumps = 0;

	start(4096);
	for (uint64_t i = 0; i < 20; i++)
		CHECK_INT(push(1, i, 32), 0);
	while (setjmp(left)) {
		CHECK(ring_is_reading(ring));
		CHECK_INT(consume(100), 0);
		ring_end_round(ring);
		CHECK(!ring_is_reading(ring));
		jumps++;
	}
	while (ring_consume(ring, 100, on_left, NULL))
		;
	CHECK_INT(jumps, 6);
	CHECK_INT(seen.n, 20);
	CHECK_INT(seen.first, 20);
	for (uint64_t i = 0; i < 60; i++) /* all of the room is free again */
		CHECK_INT(push(1, i, 32), 0);
	end();
}

static const struct t_case cases[] = {
	{ "sizes are rounded up to powers of two of a page", sizes },
	{ "records come with their probe's number and size", contents },
	{ "a round gives no more than it was asked for", bounds },
	{ "discarded and cut records are passed over", discarded },
	{ "records survive the wrap-around", around },
	{ "a full ring takes records again when one was read", full },
	{ "a round inside a round gives no record twice", nested },
	{ "a reader that looks by itself is not woken, one that sleeps is", quiet },
	{ "a record that wakes nobody is found by the last look", told_late },
	{ "a reader that is late is woken once", late_reader },
	{ "a burst wakes the reader, which then looks sooner", fills_up },
	{ "with low latency every record causes a wake-up", low_latency },
	{ "a longjmp out of a round uses its record up and no other", left_by_longjmp },
};

T_MAIN(cases)
