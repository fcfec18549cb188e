/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "loop.h"
#include "prompt.h"
#include "prompt_complete.h"
#include "prompt_history.h"
#include "prompt_priv.h"
#include "prompt_search.h"
#include "prompt_signals.h"
#include "terminal.h"
#include "terminal_end.h"
#include "util.h"

/* What follows an ESC that begins a sequence comes sooner, also over a slow connection. */
#define ESCAPE_NS  (100 * NSEC_PER_MSEC)
#define CONTROL(c) ((c)&0x1f)

struct prompt {
	struct loop *loop;
	const struct prompt_ops *ops;
	void *arg;
	struct editor *editor; /* NULL: the input is no terminal */
	struct keys keys; /* what has been read and not been used */
	struct loop_watch *watch;
	struct loop_timer *timer; /* for an ESC; of a file, which can't be waited for: reads on */
	struct prompt_signals *signals;
	bool is_file;
	bool asking;
	bool raw; /* the terminal's mode is the editor's */
	bool at_end;
	struct search search;
	char *completing; /* the line at the last Tab */
	size_t completing_at;
};

static void process(struct prompt *p, bool final);

static void stop_reading(struct prompt *p)
{
	loop_unwatch(p->watch);
	p->watch = NULL;
	loop_timer_stop(p->timer);
}

/* The terminal stays in raw mode while more of what was pasted waits. */
static void pause_asking(struct prompt *p, bool for_long)
{
	if (p->asking) {
		p->asking = false;
		stop_reading(p);
		loop_release(p->loop);
		if (p->editor)
			terminal_set_line(NULL);
	}
	if (p->editor && p->raw && (for_long || !keys_pending(&p->keys))) {
		p->raw = false;
		end_set_paste(0);
		p->editor->ops->end(p->editor);
	}
}

void prompt_pause(struct prompt *p)
{
	pause_asking(p, true);
}

static char *copy_line(struct prompt *p, size_t *cursor)
{
	size_t len;
	const char *text = p->editor->ops->text(p->editor, &len, cursor);

	return strndup(text, len);
}

/* What is left of the line on the screen. */
static void commit(const struct prompt *p, const char *line, const char *end)
{
	char *text;
	int len = asprintf(&text, "%s%s%s", p->editor->prompt, line, end);

	if (len < 0)
		return;
	terminal_commit(text, (size_t)len);
	free(text);
}

static void enter(struct prompt *p)
{
	size_t cursor;
	char *line = copy_line(p, &cursor);

	if (!line)
		return;
	commit(p, line, "");
	pause_asking(p, false);
	p->editor->ops->add_history(p->editor, line);
	history_append(line);
	p->ops->line(p->arg, line);
	free(line);
}

static void finish(struct prompt *p)
{
	if (p->editor)
		commit(p, "", "");
	pause_asking(p, true);
	p->ops->end(p->arg);
}

static void tab(struct prompt *p)
{
	free(p->completing);
	p->completing = copy_line(p, &p->completing_at);
	if (!p->completing)
		return;
	/* at the start of a line it indents */
	if (strspn(p->completing, " \t") >= p->completing_at)
		p->editor->ops->replace(p->editor, 0, "  ");
	else
		p->ops->complete(p->arg, p->completing, p->completing_at);
}

void prompt_complete(struct prompt *p, size_t from, const char *const *words, int n)
{
	size_t len, cursor;
	const char *text;
	char *new;

	if (!p->editor || !p->asking || !p->completing)
		return;
	text = p->editor->ops->text(p->editor, &len, &cursor);
	if (cursor != p->completing_at || strncmp(text, p->completing, len) != 0 || from > cursor)
		return;
	new = complete_word(text + from, cursor - from, words, n);
	if (new)
		p->editor->ops->replace(p->editor, cursor - from, new);
	else
		complete_show(words, n);
	free(new);
}

static bool is_empty(struct prompt *p)
{
	size_t len, cursor;

	p->editor->ops->text(p->editor, &len, &cursor);
	return len == 0;
}

static void use_key(struct prompt *p, const struct key *key)
{
	if (search_key(&p->search, p->editor, key))
		return;
	if (key->kind == KEY_ENTER) {
		enter(p);
	} else if (key->kind == KEY_TAB) {
		tab(p);
	} else if (key->kind == KEY_CONTROL && key->byte == CONTROL('D') && is_empty(p)) {
		finish(p);
	} else if (key->kind == KEY_CONTROL && key->byte == CONTROL('L')) {
		terminal_clear();
	} else {
		/* the editor moves about in what it believes to be on the screen */
		if (key->kind != KEY_TEXT || key->len < 2)
			terminal_refresh();
		p->editor->ops->key(p->editor, key);
	}
}

static void use_keys(struct prompt *p, bool final)
{
	struct key key;

	while (p->asking && keys_next(&p->keys, final, &key)) {
		terminal_refresh();
		use_key(p, &key);
	}
	if (p->asking && keys_pending(&p->keys))
		loop_timer_set(p->timer, ESCAPE_NS, 0);
	terminal_refresh();
}

/* Of a pipe or a file. */
static void use_lines(struct prompt *p)
{
	struct keys *k = &p->keys;

	while (p->asking) {
		char *start = k->bytes + k->at;
		size_t left = k->len - k->at, len;
		char *end = left ? memchr(start, '\n', left) : NULL, *line;

		if (!end && (!p->at_end || !left))
			break;
		len = end ? (size_t)(end - start) : left;
		k->at += len + (end ? 1 : 0);
		line = strndup(start, len);
		pause_asking(p, false);
		if (line)
			p->ops->line(p->arg, line);
		free(line);
	}
	if (p->asking && p->at_end)
		finish(p);
}

static void process(struct prompt *p, bool final)
{
	if (!p->editor)
		use_lines(p);
	else
		use_keys(p, final);
	if (p->asking && p->editor && p->at_end)
		finish(p);
}

static void read_some(struct prompt *p)
{
	char bytes[4096];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		p->at_end = true;
	else if (!keys_add(&p->keys, bytes, (size_t)n))
		p->at_end = true; /* out of memory: better than to go on with half a line */
}

static void on_input(void *arg, uint32_t events)
{
	struct prompt *p = arg;

	(void)events;
	/* What is typed behind a Ctrl-C belongs to the next line. */
	if (loop_signal(p->loop))
		return;
	loop_timer_stop(p->timer);
	read_some(p);
	/* all that was pasted, as far as it is here: nothing of it is left to the mode in which a line runs */
	while (p->editor && !p->at_end &&
	       poll(&(struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN }, 1, 0) > 0)
		read_some(p);
	process(p, false);
}

static void on_timer(void *arg)
{
	struct prompt *p = arg;

	if (p->is_file)
		read_some(p);
	process(p, true);
	if (p->is_file && p->asking)
		loop_timer_set(p->timer, 0, 0);
}

static void start_reading(struct prompt *p)
{
	if (!p->is_file)
		p->watch = loop_watch(p->loop, STDIN_FILENO, EPOLLIN, on_input, p);
	if (!p->watch) {
		p->is_file = true;
		loop_timer_set(p->timer, 0, 0);
	}
}

static void begin_line(struct prompt *p, const char *text)
{
	struct editor *e = p->editor;

	p->search.on = false;
	snprintf(e->prompt, sizeof(e->prompt), "%s", text);
	e->ops->begin(e);
	p->raw = true;
	if (terminal_can_move())
		end_set_paste(1);
	terminal_set_line(&(struct terminal_line){ e->ops->draw, e->ops->cursor_row, e });
}

void prompt_ask(struct prompt *p, const char *text)
{
	if (p->asking)
		return;
	p->asking = true;
	loop_hold(p->loop);
	start_reading(p);
	if (p->editor)
		begin_line(p, text);
	process(p, false);
}

void prompt_interrupt(struct prompt *p, const char *text)
{
	if (p->editor && p->asking) {
		size_t cursor;
		char *line = copy_line(p, &cursor);

		/* what was typed stays to be seen */
		commit(p, line ? line : "", "^C");
		free(line);
	}
	p->keys.at = p->keys.len;
	p->keys.pasting = false;
	if (p->asking && p->editor)
		begin_line(p, text);
	else
		prompt_ask(p, text);
}

static void on_resize(void *arg)
{
	struct prompt *p = arg;

	if (p->editor) {
		terminal_hide();
		p->editor->ops->resize(p->editor);
	}
	if (p->ops->resize)
		p->ops->resize(p->arg);
	terminal_refresh();
}

/* In the foreground again; the shell has written something since. */
static void on_continue(void *arg)
{
	struct prompt *p = arg;

	if (!p->editor || !p->raw)
		return;
	terminal_forget();
	p->editor->ops->again(p->editor);
	if (terminal_can_move())
		end_set_paste(1);
	terminal_refresh();
}

static void add_history(void *arg, const char *line)
{
	struct editor *e = arg;

	e->ops->add_history(e, line);
}

int prompt_new(struct prompt **out, struct loop *loop, const struct prompt_ops *ops, void *arg,
	       struct err *err)
{
	struct prompt *p = calloc(1, sizeof(*p));

	*out = NULL;
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	*p = (struct prompt){ .loop = loop, .ops = ops, .arg = arg };
	p->timer = loop_timer_new(loop, on_timer, p);
	if (p->timer && terminal_is_tty()) {
		terminal_start();
		p->editor = terminal_can_move() ? edit_new() : edit_simple_new();
		p->signals = prompt_signals_new(loop, on_resize, on_continue, p);
		if (p->editor)
			history_load(add_history, p->editor);
	}
	if (!p->timer || (terminal_is_tty() && (!p->editor || !p->signals))) {
		prompt_free(p);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = p;
	return 0;
}

void prompt_free(struct prompt *p)
{
	if (!p)
		return;
	if (p->timer)
		pause_asking(p, true);
	terminal_stop();
	if (p->editor)
		p->editor->ops->free(p->editor);
	prompt_signals_free(p->signals);
	loop_timer_free(p->timer);
	keys_free(&p->keys);
	free(p->completing);
	free(p);
}
