/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <string.h>
#include "prompt_search.h"
#include "terminal.h"

#define CONTROL(c) ((c)&0x1f)

/* The last match stays when there is none. */
static void show(struct search *s, struct editor *e)
{
	const char *line = *s->text ? e->ops->find(e, s->text, s->nth) : "";

	if (!line && s->nth)
		s->nth--;
	terminal_hide(); /* it knows how much room the old prompt takes */
	snprintf(e->prompt, sizeof(e->prompt), "search \"%.30s\"%s: ", s->text,
		 line ? "" : ", no such line");
	e->ops->new_prompt(e);
	if (line)
		e->ops->set(e, line);
}

static void begin(struct search *s, struct editor *e)
{
	*s = (struct search){ .on = true };
	strcpy(s->prompt, e->prompt);
	show(s, e);
}

static void end(struct search *s, struct editor *e)
{
	s->on = false;
	terminal_hide();
	strcpy(e->prompt, s->prompt);
	e->ops->new_prompt(e);
}

static bool is_control(const struct key *k, char c)
{
	return k->kind == KEY_CONTROL && k->byte == c;
}

static void take_back(struct search *s)
{
	size_t len = strlen(s->text);

	while (len && (s->text[--len] & 0xc0) == 0x80)
		; /* the rest of the character */
	s->text[len] = '\0';
}

bool search_key(struct search *s, struct editor *e, const struct key *k)
{
	if (!s->on) {
		if (!is_control(k, CONTROL('R')))
			return false;
		begin(s, e);
		return true;
	}
	if (is_control(k, CONTROL('R'))) {
		s->nth++;
	} else if (is_control(k, 127) || is_control(k, '\b')) {
		take_back(s);
		s->nth = 0;
	} else if (k->kind == KEY_TEXT && strlen(s->text) + k->len < sizeof(s->text)) {
		strncat(s->text, k->text, k->len);
		s->nth = 0;
	} else {
		end(s, e);
		/* Ctrl-G: none of them after all */
		if (is_control(k, CONTROL('G')))
			e->ops->set(e, "");
		return is_control(k, CONTROL('G')) || k->kind == KEY_ESCAPE;
	}
	show(s, e);
	return true;
}
