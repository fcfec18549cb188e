/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A line by libedit. It is given whole keys only, one by one (EL_UNBUFFERED), so it never waits; what it writes goes
 * to the terminal with all else. Keys that would make it read on, as its searches do, are kept from it.
 */
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <wchar.h>
#include "prompt_priv.h"
#include "terminal.h"
#include "util.h"
#include "width.h"

#define CTRL(c)     ((wchar_t)((c)&0x1f))
#define MAX_HISTORY 1000
/* More is not shown key by key. */
#define MAX_AT_ONCE 64
#define LITERAL     1 /* around what has no width in a prompt */

struct edit {
	struct editor base;
	EditLine *el;
	History *history;
	FILE *out, *err;
	bool mute;
	bool raw; /* the terminal's mode */
	char prompt[128]; /* with its colour */
	wchar_t queue[MAX_AT_ONCE + 2];
	size_t at, queued;
};

static struct edit *edit_of(struct editor *e)
{
	return (struct edit *)e;
}

static struct edit *edit_of_el(EditLine *el)
{
	void *edit = NULL;

	el_get(el, EL_CLIENTDATA, &edit);
	return edit;
}

static char *get_prompt(EditLine *el)
{
	return edit_of_el(el)->prompt;
}

/* The queue is empty only if libedit wants more than a key: then it gets an end, and lets go. */
static int get_character(EditLine *el, wchar_t *c)
{
	struct edit *e = edit_of_el(el);

	if (e->at == e->queued)
		return 0;
	*c = e->queue[e->at++];
	return 1;
}

static ssize_t write_out(void *cookie, const char *data, size_t len)
{
	const struct edit *e = cookie;

	if (!e->mute)
		fwrite(data, 1, len, terminal_out());
	return (ssize_t)len;
}

static ssize_t write_nowhere(void *cookie, const char *data, size_t len)
{
	(void)cookie;
	(void)data;
	return (ssize_t)len;
}

static void run_queue(struct edit *e)
{
	int n;

	while (e->at < e->queued)
		el_gets(e->el, &n);
	e->at = e->queued = 0;
	fflush(e->out);
}

static void feed(struct edit *e, wchar_t first, wchar_t second)
{
	e->queue[e->queued++] = first;
	if (second)
		e->queue[e->queued++] = second;
	run_queue(e);
}

static void insert(struct edit *e, const char *text, size_t len)
{
	mbstate_t state = { 0 };

	if (len > MAX_AT_ONCE || memchr(text, '\t', len)) {
		char *copy = strndup(text, len);

		terminal_hide();
		if (copy)
			el_insertstr(e->el, copy);
		free(copy);
		return;
	}
	for (size_t i = 0, n; i < len; i += n) {
		wchar_t c;

		n = mbrtowc(&c, text + i, len - i, &state);
		if (n == 0 || n > len)
			return; /* no locale has UTF-8 here */
		e->queue[e->queued++] = c;
	}
	run_queue(e);
}

static void control(struct edit *e, char byte)
{
	if (byte == 127 || strchr("\001\002\004\005\006\010\013\016\020\024\025\027\031", byte))
		feed(e, (wchar_t)byte, 0);
}

static void key(struct editor *base, const struct key *k)
{
	struct edit *e = edit_of(base);

	switch (k->kind) {
	case KEY_TEXT:
		insert(e, k->text, k->len);
		return;
	case KEY_CONTROL:
		control(e, k->byte);
		return;
	case KEY_META:
		if (strchr("bfduclBFDUCL\177\010", k->byte))
			feed(e, 033, (wchar_t)k->byte);
		return;
	case KEY_UP:
		feed(e, CTRL('P'), 0);
		return;
	case KEY_DOWN:
		feed(e, CTRL('N'), 0);
		return;
	case KEY_LEFT:
		feed(e, CTRL('B'), 0);
		return;
	case KEY_RIGHT:
		feed(e, CTRL('F'), 0);
		return;
	case KEY_HOME:
		feed(e, CTRL('A'), 0);
		return;
	case KEY_END:
		feed(e, CTRL('E'), 0);
		return;
	case KEY_DELETE:
		feed(e, CTRL('D'), 0);
		return;
	case KEY_WORD_LEFT:
		feed(e, 033, L'b');
		return;
	case KEY_WORD_RIGHT:
		feed(e, 033, L'f');
		return;
	case KEY_ENTER:
	case KEY_TAB:
	case KEY_ESCAPE:
		return;
	}
}

/* A colour must not be the last thing: libedit ties it to the character behind it. */
static void set_prompt(struct edit *e)
{
	size_t len = strlen(e->base.prompt);

	if (e->base.colour && len > 1 && e->base.prompt[len - 1] == ' ')
		snprintf(e->prompt, sizeof(e->prompt), "%c\033[1;36m%c%.*s%c\033[0m%c ", LITERAL,
			 LITERAL, (int)len - 1, e->base.prompt, LITERAL, LITERAL);
	else
		snprintf(e->prompt, sizeof(e->prompt), "%s", e->base.prompt);
}

static void new_prompt(struct editor *base)
{
	terminal_hide();
	set_prompt(edit_of(base));
}

/* Without a moment in the other mode, in which a Ctrl-D would be lost and what is pasted be shown: by keys. */
static void clear_line(struct edit *e)
{
	static const wchar_t to_newest[] = { 033, '9', 033, '9', 033, '9', CTRL('N') };

	for (size_t i = 0; i < ARRAY_SIZE(to_newest); i++)
		e->queue[e->queued++] = to_newest[i];
	e->queue[e->queued++] = CTRL('E');
	e->queue[e->queued++] = CTRL('U');
	run_queue(e);
}

/* libedit draws at once, which is not the time. */
static void begin(struct editor *base)
{
	struct edit *e = edit_of(base);

	set_prompt(e);
	e->mute = true;
	if (e->raw)
		clear_line(e);
	else
		el_set(e->el, EL_UNBUFFERED, 1);
	e->raw = true;
	fflush(e->out);
	e->mute = false;
}

static void again(struct editor *base)
{
	el_set(edit_of(base)->el, EL_PREP_TERM, 0); /* it believes to be in raw mode */
	el_set(edit_of(base)->el, EL_PREP_TERM, 1);
}

static void end(struct editor *base)
{
	edit_of(base)->raw = false;
	el_set(edit_of(base)->el, EL_UNBUFFERED, 0);
}

static const char *text(struct editor *base, size_t *len, size_t *cursor)
{
	const LineInfo *line = el_line(edit_of(base)->el);

	*len = (size_t)(line->lastchar - line->buffer);
	*cursor = (size_t)(line->cursor - line->buffer);
	return line->buffer;
}

static void replace(struct editor *base, size_t n, const char *new)
{
	struct edit *e = edit_of(base);
	size_t len, cursor;
	const char *line = text(base, &len, &cursor);
	int characters = 0;

	for (size_t i = cursor - n; i < cursor; i++)
		characters += (line[i] & 0xc0) != 0x80;
	terminal_hide();
	if (characters)
		el_deletestr(e->el, characters);
	el_insertstr(e->el, new);
}

static void set(struct editor *base, const char *new)
{
	size_t len, cursor;

	feed(edit_of(base), CTRL('E'), 0);
	text(base, &len, &cursor);
	replace(base, len, new);
}

static const char *find(struct editor *base, const char *what, int nth)
{
	History *h = edit_of(base)->history;
	HistEvent event;

	for (int rc = history(h, &event, H_FIRST); rc >= 0; rc = history(h, &event, H_NEXT))
		if (strstr(event.str, what) && nth-- == 0)
			return event.str;
	return NULL;
}

static void draw(void *editor)
{
	struct edit *e = editor;

	el_set(e->el, EL_REFRESH);
	fflush(e->out);
}

static int cursor_row(void *editor)
{
	struct edit *e = editor;
	struct width_place place = { 0 };
	size_t len, cursor;
	const char *line = text(&e->base, &len, &cursor);
	int columns, rows;

	terminal_size(&columns, &rows);
	width_move_shown(&place, e->base.prompt, strlen(e->base.prompt), columns);
	width_move_shown(&place, line, cursor, columns);
	/* what is longer than the screen scrolls in it */
	return place.row < rows ? place.row : rows - 1;
}

static void resize(struct editor *base)
{
	el_resize(edit_of(base)->el);
}

static void add_history(struct editor *base, const char *line)
{
	HistEvent event;

	history(edit_of(base)->history, &event, H_ENTER, line);
}

static void free_edit(struct editor *base)
{
	struct edit *e = edit_of(base);

	if (e->el)
		el_end(e->el);
	if (e->history)
		history_end(e->history);
	if (e->out)
		fclose(e->out);
	if (e->err)
		fclose(e->err);
	free(e);
}

static const struct editor_ops ops = {
	.begin = begin,
	.end = end,
	.again = again,
	.key = key,
	.text = text,
	.new_prompt = new_prompt,
	.set = set,
	.replace = replace,
	.draw = draw,
	.cursor_row = cursor_row,
	.resize = resize,
	.add_history = add_history,
	.find = find,
	.free = free_edit,
};

/* libedit and wcwidth() need to know how text is encoded; all else of the locale stays as it is. */
static void use_utf8(void)
{
	setlocale(LC_CTYPE, "");
	if (!str_eq(nl_langinfo(CODESET), "UTF-8"))
		setlocale(LC_CTYPE, "C.UTF-8");
}

static bool open_edit(struct edit *e)
{
	HistEvent event;

	e->out = fopencookie(e, "w", (cookie_io_functions_t){ .write = write_out });
	e->err = fopencookie(e, "w", (cookie_io_functions_t){ .write = write_nowhere });
	e->history = history_init();
	if (!e->out || !e->err || !e->history)
		return false;
	e->el = el_init_fd("bpfnet", stdin, e->out, e->err, STDIN_FILENO, STDOUT_FILENO,
			   STDERR_FILENO);
	if (!e->el)
		return false;
	history(e->history, &event, H_SETSIZE, MAX_HISTORY);
	history(e->history, &event, H_SETUNIQUE, 1);
	el_set(e->el, EL_CLIENTDATA, e);
	el_set(e->el, EL_EDITOR, "emacs");
	el_set(e->el, EL_HIST, history, e->history);
	el_set(e->el, EL_GETCFN, get_character);
	el_set(e->el, EL_PROMPT_ESC, get_prompt, LITERAL);
	el_set(e->el, EL_BIND, "^D", "ed-delete-next-char", NULL);
	el_set(e->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
	el_set(e->el, EL_BIND, "^U", "vi-kill-line-prev", NULL);
	return true;
}

struct editor *edit_new(void)
{
	struct edit *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	use_utf8();
	e->base.ops = &ops;
	e->base.colour = terminal_colour();
	e->mute = true;
	if (!open_edit(e)) {
		free_edit(&e->base);
		return NULL;
	}
	return &e->base;
}
