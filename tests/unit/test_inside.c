/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Frames between `bpfnet repl --attach` and a script, over a real socket; a session goes on. */
#include <sys/socket.h>
#include "inside_frames.h"
#include "lua_run.h"
#include "util.h"

static struct frames here, there;

static void start(void)
{
	int fds[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	frames_start(&here, fds[0]);
	frames_start(&there, fds[1]);
}

static void end(void)
{
	frames_end(&here);
	frames_end(&there);
}

static void both_ways(void)
{
	struct frame f;

	start();
	CHECK(frames_send(&here, FRAME_LINE, "1 + 1", 5));
	CHECK(frames_send(&here, FRAME_RESET, "", 0));
	CHECK(frames_read(&there));
	CHECK_INT(frames_next(&there, &f), 1);
	CHECK(f.kind == FRAME_LINE && f.len == 5);
	CHECK_STR(f.data, "1 + 1");
	CHECK_INT(frames_next(&there, &f), 1);
	CHECK(f.kind == FRAME_RESET && f.len == 0);
	CHECK_STR(f.data, "");
	CHECK_INT(frames_next(&there, &f), 0);
	close_fd(&here.fd);
	CHECK(!frames_read(&there));
	end();
}

/* However it is cut. */
static void in_pieces(void)
{
	static const char bytes[] = "\003\0\0\0Labc\002\0\0\0oxy";
	struct frame f;
	int n = 0;

	start();
	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		CHECK_INT((int)send(here.fd, bytes + i, 1, 0), 1);
		CHECK(frames_read(&there));
		while (frames_next(&there, &f) == 1) {
			CHECK_STR(f.data, n ? "xy" : "abc");
			n++;
		}
	}
	CHECK_INT(n, 2);
	end();
}

static void nonsense(void)
{
	struct frame f;

	start();
	CHECK_INT((int)send(here.fd, "\377\377\377\377x", 5, 0), 5);
	CHECK(frames_read(&there));
	CHECK_INT(frames_next(&there, &f), -1);
	end();
}

/* Nothing waits for who does not read; what is kept arrives in order. */
static void kept(void)
{
	static char data[100000];
	struct frame f;
	int n = 0;

	start();
	for (int i = 0; i < 20; i++) {
		memset(data, 'a' + i, sizeof(data));
		CHECK(frames_send(&here, FRAME_OUT, data, sizeof(data)));
	}
	CHECK(frames_kept(&here) > 1000000);
	while (n < 20) {
		CHECK(frames_flush(&here));
		CHECK(frames_read(&there));
		while (frames_next(&there, &f) == 1) {
			CHECK(f.len == sizeof(data) && f.data[0] == 'a' + n &&
			      f.data[f.len - 1] == 'a' + n);
			n++;
		}
	}
	CHECK_INT((int)frames_kept(&here), 0);
	end();
}

static void lists(void)
{
	static const char *const words[] = { "attach", "", "after" };
	const char *got[2];
	uint32_t number = 7;
	struct frame f;

	start();
	CHECK(frames_send_list(&here, FRAME_WORDS, &number, words, 3));
	CHECK(frames_read(&there));
	CHECK_INT(frames_next(&there, &f), 1);
	CHECK_INT(memcmp(f.data, &number, 4), 0);
	CHECK_INT(frame_list(f.data + 4, f.len - 4, got, 2), 2); /* as many as there is room for */
	CHECK_STR(got[0], "attach");
	CHECK_STR(got[1], "");
	end();
}

static int errors;
static char last[256];

static void on_error(void *arg, const char *label, const char *error)
{
	(void)arg;
	errors++;
	snprintf(last, sizeof(last), "%s: %.*s", label, (int)strcspn(error, "\n"), error);
}

static void run_for(double seconds, enum loop_end want)
{
	enum loop_end why;

	CHECK_INT(loop_run(script_loop(script), (int64_t)(seconds * 1e9), &why), 0);
	CHECK_INT(why, want);
}

static void session(void)
{
	script_start(0, 1);
	script_set_session(script, &(struct script_session){ on_error, NULL });
	script_ok("n = 0 t = bpf.every(0.005, function() n = n + 1 error('bad', 0) end)");
	run_for(0.1, LOOP_TIMEOUT);
	CHECK(errors >= 5);
	CHECK_STR(last, "a timer: bad");
	CHECK(!script_error(script));
	/* bpf.run() raises it, as ever */
	script_fails("bpf.run(1)", "bad");
	script_clear_error(script);
	script_ok("t:close()");
	script_end();
}

static void on_timer(void *arg)
{
	(void)arg;
	raise(SIGINT);
}

/* One that is served is as if it had not been; a callback that goes on for ever is stopped by it. */
static void interrupts(void)
{
	struct loop_timer *timer;

	script_start(0, 0);
	script_set_session(script, &(struct script_session){ on_error, NULL });
	timer = loop_timer_new(script_loop(script), on_timer, NULL);
	loop_hold(script_loop(script));
	for (int i = 0; i < 3; i++) {
		loop_timer_set(timer, 0, 0);
		run_for(5, LOOP_INTERRUPTED);
		CHECK_INT(loop_signal(script_loop(script)), SIGINT);
		script_forget_interrupt(script);
		run_for(0.01, LOOP_TIMEOUT);
	}
	script_ok("bpf.after(0, function() io.popen('kill -INT $PPID'):close()"
		  " while true do pcall(function() while true do end end) end end)");
	run_for(5, LOOP_INTERRUPTED);
	CHECK_STR(last, "a timer: interrupted");
	script_forget_interrupt(script);
	script_ok("return 1");
	loop_timer_free(timer);
	loop_release(script_loop(script));
	script_end();
}

static const struct t_case cases[] = {
	{ "frames go both ways, and the end is seen", both_ways },
	{ "frames are put together from pieces", in_pieces },
	{ "a length that can't be is refused", nonsense },
	{ "what does not fit is kept, in order", kept },
	{ "lists of words keep their number and empty words", lists },
	{ "a session goes on after errors of its loop", session },
	{ "a session goes on after interrupts", interrupts },
};

T_MAIN(cases)
