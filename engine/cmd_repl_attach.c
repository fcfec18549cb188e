/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpfnet repl --attach PID: the prompt is here, what is entered runs over there. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "cmd.h"
#include "cmd_repl.h"
#include "cmd_run_opts.h"
#include "inside_frames.h"
#include "inside_socket.h"
#include "log.h"
#include "loop.h"
#include "prompt.h"
#include "terminal.h"
#include "util.h"
#include "version.h"

/* A script that is in its loop answers at once. */
#define ANSWER_MS 3000
#define MAX_LIST  500

struct attached {
	struct loop *loop;
	struct prompt *prompt;
	struct frames frames;
	struct loop_watch *watch;
	bool waits; /* for room to send */
	int pid;
	const char *code; /* -e: before the first prompt */
	bool waiting; /* for the answer to a line */
	bool interrupted; /* and it was told to stop */
	bool ended;
	bool more;
	int status;
};

static void end(struct attached *a, int status)
{
	a->ended = true;
	a->status = status;
	loop_stop(a->loop);
}

static void gone(struct attached *a)
{
	if (a->ended)
		return;
	log_msg(LOG_ERROR, "process %d has ended, or has ended this session", a->pid);
	end(a, EXIT_FAILED);
}

static void to_script(struct attached *a, char kind, const void *data, size_t len)
{
	if (!frames_send(&a->frames, kind, data, len))
		gone(a);
}

static void send_line(struct attached *a, const char *text)
{
	size_t len = strlen(text);

	if (len > FRAME_MAX) {
		log_msg(LOG_ERROR, "a line of more than %d bytes", FRAME_MAX);
		len = 0;
	}
	a->waiting = true;
	a->interrupted = false;
	to_script(a, FRAME_LINE, text, len);
}

static void on_line(void *arg, const char *text)
{
	send_line(arg, text);
}

static void on_end(void *arg)
{
	struct attached *a = arg;
	bool unfinished = a->more && !terminal_is_tty();

	if (unfinished)
		log_msg(LOG_ERROR, "the input ended inside of an unfinished statement");
	end(a, unfinished ? EXIT_FAILED : a->status);
}

static void on_tab(void *arg, const char *text, size_t cursor)
{
	size_t len = strlen(text);
	char *data = malloc(4 + len);
	uint32_t at = (uint32_t)cursor;

	if (!data)
		return;
	memcpy(data, &at, 4);
	memcpy(data + 4, text, len);
	to_script(arg, FRAME_TAB, data, 4 + len);
	free(data);
}

static void on_resize(void *arg)
{
	int columns, rows;
	uint32_t n[2];

	terminal_size(&columns, &rows);
	n[0] = (uint32_t)columns;
	n[1] = (uint32_t)rows;
	to_script(arg, FRAME_SIZE, n, sizeof(n));
}

static const struct prompt_ops prompt_ops = {
	.line = on_line,
	.end = on_end,
	.complete = on_tab,
	.resize = on_resize,
};

static void next(struct attached *a, const struct frame *f)
{
	bool was_waiting = a->waiting;

	fflush(stdout);
	a->waiting = false;
	a->more = f->len && f->data[0] == 'm';
	if (a->code) {
		const char *code = a->code;

		a->code = NULL;
		send_line(a, code);
	} else if (was_waiting) {
		prompt_ask(a->prompt, f->len ? f->data + 1 : "");
	} else {
		prompt_interrupt(a->prompt, f->len ? f->data + 1 : "");
	}
}

static void words(struct attached *a, const struct frame *f)
{
	const char *list[MAX_LIST];
	uint32_t from;

	if (f->len < 4)
		return;
	memcpy(&from, f->data, 4);
	prompt_complete(a->prompt, from, list, frame_list(f->data + 4, f->len - 4, list, MAX_LIST));
}

static void use(struct attached *a, const struct frame *f)
{
	const char *list[MAX_LIST];

	switch (f->kind) {
	case FRAME_OUT:
		terminal_write(f->data, f->len);
		break;
	case FRAME_ABOVE:
		terminal_above(list, frame_list(f->data, f->len, list, MAX_LIST));
		break;
	case FRAME_PROMPT:
		next(a, f);
		break;
	case FRAME_WORDS:
		words(a, f);
		break;
	case FRAME_END:
		log_msg(LOG_ERROR, "%s", f->data);
		end(a, EXIT_FAILED);
		break;
	}
}

static bool use_all(struct attached *a)
{
	struct frame f;
	int rc = 0;

	while (!a->ended && (rc = frames_next(&a->frames, &f)) > 0)
		use(a, &f);
	return rc == 0;
}

static void on_script(void *arg, uint32_t events)
{
	struct attached *a = arg;
	bool there = !(events & EPOLLOUT) || frames_flush(&a->frames);

	if (!frames_read(&a->frames))
		there = false;
	if (!use_all(a) || !there)
		gone(a);
}

/* Only while something is kept back it matters that the socket can be written to. */
static void watch_script(struct attached *a)
{
	bool waits = frames_kept(&a->frames) > 0;

	if (a->watch && waits == a->waits)
		return;
	loop_unwatch(a->watch);
	a->waits = waits;
	a->watch =
		loop_watch(a->loop, a->frames.fd, EPOLLIN | (waits ? EPOLLOUT : 0), on_script, a);
}

static void say_hello(struct attached *a)
{
	struct frame_hello h = { .version = BPFNET_VERSION,
				 .tty = terminal_is_tty(),
				 .colour = terminal_colour(),
				 .moves = terminal_can_move() };
	int columns, rows;

	terminal_size(&columns, &rows);
	h.columns = (uint32_t)columns;
	h.rows = (uint32_t)rows;
	/* If it has refused us already, what it said comes with its end. */
	frames_send(&a->frames, FRAME_HELLO, &h, sizeof(h));
}

/* False: a message has been given. */
static bool connect_to(struct attached *a)
{
	struct pollfd pfd = { .events = POLLIN };
	struct err err;
	int fd = inside_connect(a->pid, &err);

	if (fd < 0) {
		log_msg(LOG_ERROR, "%s%s%s", err.msg, *err.hint ? "\nhint: " : "", err.hint);
		return false;
	}
	frames_start(&a->frames, fd);
	say_hello(a);
	pfd.fd = fd;
	if (poll(&pfd, 1, ANSWER_MS) > 0)
		return true;
	frames_end(&a->frames);
	log_msg(LOG_ERROR,
		"process %d does not answer: its script computes or waits outside of bpf.run()\n"
		"hint: try again when it is back there; `cat /proc/%d/stack /proc/%d/wchan` tells of waits",
		a->pid, a->pid, a->pid);
	return false;
}

/* The first one stops the line, the next one leaves it alone. */
static void interrupt(struct attached *a)
{
	loop_clear_signal(a->loop);
	if (!a->waiting && terminal_is_tty()) {
		to_script(a, FRAME_RESET, "", 0);
	} else if (!a->waiting || a->interrupted) {
		end(a, EXIT_FAILED);
	} else {
		a->interrupted = true;
		to_script(a, FRAME_INTERRUPT, "", 0);
	}
}

static void before_sleep(void *arg)
{
	watch_script(arg);
	fflush(stdout);
	terminal_refresh();
}

static void after_sleep(void *arg)
{
	(void)arg;
}

static void converse(struct attached *a)
{
	enum loop_end why;

	loop_hold(a->loop);
	while (!a->ended && !loop_run(a->loop, -1, &why)) {
		if (why == LOOP_INTERRUPTED && loop_signal(a->loop) != SIGINT)
			break;
		if (why == LOOP_INTERRUPTED)
			interrupt(a);
	}
}

static int start(struct attached *a, struct err *err)
{
	int rc = loop_new(&a->loop, err);

	if (!rc)
		rc = loop_catch_signals(a->loop, NULL, NULL, err);
	if (rc)
		return rc;
	loop_keep_catching(a->loop);
	loop_set_sleep_hooks(a->loop, before_sleep, after_sleep, a);
	rc = prompt_new(&a->prompt, a->loop, &prompt_ops, a, err);
	if (rc)
		return rc;
	watch_script(a);
	return a->watch ? 0 : err_sys(err, -errno, "can't wait for the socket");
}

int repl_attach(const struct run_opts *o)
{
	struct attached a = { .code = o->code, .waiting = true };
	char *rest;
	struct err err;

	a.pid = (int)strtol(o->attach, &rest, 10);
	if (*rest || a.pid <= 0)
		return usage_error("repl", "--attach: expected the number of a process, got \"%s\"",
				   o->attach);
	if (!connect_to(&a))
		return EXIT_FAILED;
	if (start(&a, &err)) {
		log_msg(LOG_ERROR, "%s", err.msg);
		a.status = EXIT_FAILED;
	} else {
		converse(&a);
	}
	prompt_free(a.prompt);
	loop_unwatch(a.watch);
	loop_free(a.loop);
	frames_end(&a.frames);
	fflush(stdout);
	return a.status;
}
