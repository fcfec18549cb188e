/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A line on a terminal that can't move its cursor: typed at the end, taken back from there. Of a long one the end
 * is shown.
 */
#include <stdlib.h>
#include <string.h>
#include "prompt_priv.h"
#include "terminal.h"
#include "terminal_end.h"
#include "util.h"
#include "width.h"

struct simple {
	struct editor base;
	bool echo; /* not if who is at the other end shows what it sends */
	char *line;
	size_t len, size;
};

static struct simple *simple_of(struct editor *e)
{
	return (struct simple *)e;
}

static void again(struct editor *base)
{
	struct simple *s = simple_of(base);
	struct termios mode = *end_saved();

	s->echo = mode.c_lflag & ECHO;
	mode.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

static void begin(struct editor *base)
{
	simple_of(base)->len = 0;
	again(base);
}

static void end(struct editor *base)
{
	(void)base;
	tcsetattr(STDIN_FILENO, TCSADRAIN, end_saved());
}

static void append(struct simple *s, const char *text, size_t len)
{
	if (s->len + len + 1 > s->size) {
		char *p = realloc(s->line, s->len + len + 256);

		if (!p)
			return;
		s->line = p;
		s->size = s->len + len + 256;
	}
	memcpy(s->line + s->len, text, len);
	s->len += len;
}

static void take_back(struct simple *s, bool (*is_end)(char c))
{
	while (s->len && is_end(s->line[s->len - 1]))
		s->len--;
	while (s->len && !is_end(s->line[s->len - 1]))
		s->len--;
}

static bool is_space(char c)
{
	return c == ' ';
}

static void key(struct editor *base, const struct key *k)
{
	struct simple *s = simple_of(base);

	terminal_hide();
	if (k->kind == KEY_TEXT) {
		append(s, k->text, k->len);
	} else if (k->kind == KEY_CONTROL && (k->byte == 127 || k->byte == 8)) {
		while (s->len && (s->line[--s->len] & 0xc0) == 0x80)
			; /* the rest of the character */
	} else if (k->kind == KEY_CONTROL && k->byte == ('W' & 0x1f)) {
		take_back(s, is_space);
	} else if (k->kind == KEY_CONTROL && k->byte == ('U' & 0x1f)) {
		s->len = 0;
	}
}

static const char *text(struct editor *base, size_t *len, size_t *cursor)
{
	const struct simple *s = simple_of(base);

	*len = *cursor = s->len;
	return s->line ? s->line : "";
}

static void replace(struct editor *base, size_t n, const char *new)
{
	struct simple *s = simple_of(base);

	terminal_hide();
	s->len -= n;
	append(s, new, strlen(new));
}

static void new_prompt(struct editor *base)
{
	(void)base;
	terminal_hide();
}

static void set(struct editor *base, const char *new)
{
	replace(base, simple_of(base)->len, new);
}

/* It has no history. */
static const char *find(struct editor *base, const char *what, int nth)
{
	(void)base;
	(void)what;
	(void)nth;
	return NULL;
}

static void draw(void *editor)
{
	const struct simple *s = editor;
	int columns, rows;
	size_t room, from = 0;

	terminal_size(&columns, &rows);
	fputs(s->base.prompt, terminal_out());
	if (!s->echo || !s->len)
		return;
	room = (size_t)columns - strlen(s->base.prompt) - 1;
	if (s->len > room)
		from = s->len - room;
	fwrite(s->line + from, 1, s->len - from, terminal_out());
}

static int cursor_row(void *editor)
{
	(void)editor;
	return 0;
}

static void resize(struct editor *base)
{
	(void)base;
}

static void add_history(struct editor *base, const char *line)
{
	(void)base;
	(void)line;
}

static void free_simple(struct editor *base)
{
	free(simple_of(base)->line);
	free(base);
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
	.free = free_simple,
};

struct editor *edit_simple_new(void)
{
	struct simple *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base.ops = &ops;
	return &s->base;
}
