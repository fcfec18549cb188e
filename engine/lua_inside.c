/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "inside_frames.h"
#include "inside_socket.h"
#include "log.h"
#include "loop.h"
#include "lua_inside.h"
#include "lua_inside_out.h"
#include "lua_inside_stop.h"
#include "lua_session.h"
#include "lua_terminal.h"
#include "script.h"
#include "tracer.h"
#include "util.h"
#include "version.h"

/* Who does not read that much is dropped. */
#define MAX_KEPT (1 << 20)
/* A block is left out when that much waits: the next one shows the same, newer. */
#define MAX_KEPT_ABOVE (64 << 10)

struct inside {
	struct script *script;
	struct loop *loop;
	int fd;
	struct loop_watch *watch;
	struct inside_out *out; /* what prints, while a line runs */
	/* Of who is attached: */
	struct frames frames; /* fd < 0: nobody */
	struct loop_watch *client_watch;
	bool waits; /* for room to send */
	bool broken; /* to be dropped, when nothing of it runs any more */
	bool busy; /* a line runs */
	struct loop_timer *drop_timer;
	pid_t pid;
	struct session *session; /* after the hello */
	struct remote_terminal terminal;
};

static void drop(struct inside *in)
{
	struct session *session = in->session;

	if (in->frames.fd < 0)
		return;
	loop_unwatch(in->client_watch);
	in->client_watch = NULL;
	in->session = NULL;
	lua_terminal_set_remote(NULL);
	/* it may still have something to say, to nobody */
	in->broken = true;
	inside_out_take(in->out);
	session_free(session);
	inside_out_give_back(in->out);
	frames_end(&in->frames);
	in->broken = false;
}

static void on_client(void *arg, uint32_t events);

static void watch_client(struct inside *in)
{
	loop_unwatch(in->client_watch);
	in->client_watch = loop_watch(in->loop, in->frames.fd, EPOLLIN | (in->waits ? EPOLLOUT : 0),
				      on_client, in);
}

static void sent(struct inside *in, bool ok)
{
	bool waits = frames_kept(&in->frames) > 0;

	if (frames_kept(&in->frames) > MAX_KEPT) {
		log_msg(LOG_WARN,
			"the session that process %d attached is dropped: it does not read",
			(int)in->pid);
		ok = false;
	}
	if (!ok) {
		in->broken = true;
		/* not here: it may be the session's own code that has sent something */
		loop_timer_set(in->drop_timer, 0, 0);
	}
	if (!in->broken && waits != in->waits) {
		in->waits = waits;
		watch_client(in);
	}
}

static void reply(struct inside *in, char kind, const void *data, size_t len)
{
	if (!in->broken && in->frames.fd >= 0)
		sent(in, frames_send(&in->frames, kind, data, len));
}

/* What the session and its lines print. */
static void on_out(void *arg, const char *text, size_t len)
{
	while (len) {
		size_t n = len < FRAME_MAX / 2 ? len : FRAME_MAX / 2;

		reply(arg, FRAME_OUT, text, n);
		text += n;
		len -= n;
	}
}

static bool on_session_out(void *arg, const char *text, size_t len)
{
	const struct inside *in = arg;

	on_out(arg, text, len);
	return !in->broken && in->frames.fd >= 0;
}

static bool on_above(void *arg, const char *const *lines, int n)
{
	struct inside *in = arg;

	if (!in->terminal.moves)
		return false;
	if (!in->broken && frames_kept(&in->frames) < MAX_KEPT_ABOVE)
		sent(in, frames_send_list(&in->frames, FRAME_ABOVE, NULL, lines, n));
	return true;
}

static void send_prompt(struct inside *in, bool more)
{
	char text[80];

	text[0] = more ? 'm' : 'd';
	session_prompt(in->session, more, text + 1, sizeof(text) - 1);
	reply(in, FRAME_PROMPT, text, strlen(text));
}

static void on_drop_time(void *arg)
{
	struct inside *in = arg;

	if (in->broken && !in->busy)
		drop(in);
}

static void hello(struct inside *in, const struct frame *f)
{
	struct session_opts opts = { .out = on_session_out, .arg = in, .attached = true };
	struct frame_hello h;
	char text[512];
	struct err err;

	memcpy(&h, f->data, sizeof(h));
	h.version[sizeof(h.version) - 1] = '\0';
	if (!str_eq(h.version, BPFNET_VERSION)) {
		snprintf(text, sizeof(text),
			 "process %d runs bpfnet " BPFNET_VERSION ", this is %s", (int)getpid(),
			 h.version);
		reply(in, FRAME_END, text, strlen(text));
		return;
	}
	in->terminal = (struct remote_terminal){ .tty = h.tty,
						 .colour = h.colour,
						 .moves = h.moves,
						 .columns = (int)h.columns,
						 .rows = (int)h.rows,
						 .above = on_above,
						 .write = on_out,
						 .arg = in };
	opts.tty = h.tty;
	opts.colour = h.colour;
	opts.columns = (int)h.columns;
	lua_terminal_set_remote(&in->terminal);
	if (session_new(&in->session, in->script, &opts, &err)) {
		reply(in, FRAME_END, err.msg, strlen(err.msg));
		return;
	}
	session_banner(in->session, text, sizeof(text));
	if (h.tty && *text)
		on_out(in, text, strlen(text));
	send_prompt(in, false);
}

/* All that it prints goes to the client; the client's Ctrl-C and its end stop it. */
static void line(struct inside *in, const struct frame *f)
{
	enum session_answer answer;

	/* what has happened before it was sent, the line is to know of */
	tracer_look(script_tracer(in->script));
	in->busy = true;
	inside_out_take(in->out);
	answer = inside_stop_start(in->frames.fd, in->script) ?
			 SESSION_FAILED :
			 session_line(in->session, f->data, f->len);
	inside_stop_end(in->frames.fd);
	inside_out_give_back(in->out);
	in->busy = false;
	if (answer == SESSION_FAILED)
		session_reset(in->session);
	send_prompt(in, answer == SESSION_MORE);
}

static void on_words(void *arg, size_t from, const char *const *words, int n)
{
	struct inside *in = arg;
	uint32_t number = (uint32_t)from;

	if (!in->broken)
		sent(in, frames_send_list(&in->frames, FRAME_WORDS, &number, words, n));
}

/* False: it is no frame that we know. */
static bool use(struct inside *in, const struct frame *f)
{
	uint32_t n[2];

	if (f->kind == FRAME_HELLO && f->len == sizeof(struct frame_hello) && !in->session) {
		hello(in, f);
		return true;
	}
	if (!in->session)
		return false;
	if (f->kind == FRAME_LINE) {
		line(in, f);
	} else if (f->kind == FRAME_TAB && f->len >= 4) {
		memcpy(n, f->data, 4);
		if (n[0] <= f->len - 4)
			session_complete(in->session, f->data + 4, f->len - 4, n[0], on_words, in);
	} else if (f->kind == FRAME_RESET) {
		session_reset(in->session);
		send_prompt(in, false);
	} else if (f->kind == FRAME_SIZE && f->len == sizeof(n)) {
		memcpy(n, f->data, sizeof(n));
		in->terminal.columns = (int)n[0];
		in->terminal.rows = (int)n[1];
	} else {
		return f->kind == FRAME_INTERRUPT; /* the line that it was for has ended */
	}
	return true;
}

static void on_client(void *arg, uint32_t events)
{
	struct inside *in = arg;
	struct frame f;
	int rc = 0;

	/* a line that runs the loop by itself does not get another one */
	if (in->busy)
		return;
	if (events & EPOLLOUT)
		sent(in, frames_flush(&in->frames));
	if (!in->broken && (events & ~(uint32_t)EPOLLOUT) && !frames_read(&in->frames))
		in->broken = true;
	while (!in->broken && (rc = frames_next(&in->frames, &f)) > 0)
		if (!use(in, &f))
			in->broken = true;
	if (in->broken || rc < 0)
		drop(in);
}

static void refuse(struct inside *in, int fd)
{
	struct frames f;
	char text[80];

	frames_start(&f, fd);
	snprintf(text, sizeof(text), "process %d is attached to it already", (int)in->pid);
	frames_send(&f, FRAME_END, text, strlen(text));
	frames_end(&f);
}

static void on_connect(void *arg, uint32_t events)
{
	struct inside *in = arg;
	pid_t pid;
	uid_t uid = 0;
	int fd = inside_accept(in->fd, &pid, &uid);

	(void)events;
	if (fd < 0)
		return;
	on_drop_time(in); /* one that is to be dropped keeps nobody out */
	if (in->frames.fd >= 0) {
		refuse(in, fd);
		return;
	}
	frames_start(&in->frames, fd);
	in->pid = pid;
	in->waits = in->broken = false;
	watch_client(in);
	if (!in->client_watch)
		frames_end(&in->frames);
}

struct inside *inside_open(struct script *s)
{
	struct inside *in = calloc(1, sizeof(*in));
	struct err err = { .msg = "out of memory" };

	if (!in)
		return NULL;
	*in = (struct inside){ .script = s, .loop = script_loop(s), .fd = -1 };
	in->frames.fd = -1;
	in->out = inside_out_new(s, on_out, in);
	in->drop_timer = loop_timer_new(in->loop, on_drop_time, in);
	if (in->out && in->drop_timer)
		in->fd = inside_listen(&err);
	if (in->fd >= 0)
		in->watch = loop_watch(in->loop, in->fd, EPOLLIN, on_connect, in);
	if (!in->watch) {
		log_msg(LOG_INFO, "bpfnet repl --attach can't be used with this process: %s",
			err.msg);
		inside_close(in);
		return NULL;
	}
	return in;
}

void inside_close(struct inside *in)
{
	static const char ended[] = "the script has ended";

	if (!in)
		return;
	reply(in, FRAME_END, ended, strlen(ended));
	drop(in);
	loop_unwatch(in->watch);
	loop_timer_free(in->drop_timer);
	inside_unlisten(&in->fd);
	inside_out_free(in->out);
	free(in);
}
