/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Making and freeing expressions; errors that say where in the text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "expr_priv.h"
#include "util.h"

#define SHOWN 60 /* bytes of a text in a message */

static bool is_continued(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80; /* UTF-8 */
}

/* The text, or what is around the place, on one line. */
static void show(const struct expr *e, int at, char *buf, size_t size)
{
	int from = 0, to = e->len;

	if (e->len > SHOWN) {
		from = at > SHOWN / 2 ? at - SHOWN / 2 : 0;
		from = from > e->len - SHOWN ? e->len - SHOWN : from;
		to = from + SHOWN;
	}
	while (from < to && is_continued(e->text[from]))
		from++;
	while (to > from && to < e->len && is_continued(e->text[to]))
		to--;
	snprintf(buf, size, "%s%.*s%s", from ? "..." : "", to - from, e->text + from,
		 to < e->len ? "..." : "");
	for (; *buf; buf++)
		if ((unsigned char)*buf < ' ')
			*buf = ' ';
}

int expr_error_at(const struct expr *e, struct err *err, int at)
{
	char shown[SHOWN + 8];
	int column = 1;

	for (int i = 0; i < at; i++)
		column += !is_continued(e->text[i]);
	show(e, at, shown, sizeof(shown));
	return err_prefix(err, "where \"%s\": column %d", shown, column);
}

int expr_error(const struct expr *e, struct err *err, int at, const char *fmt, ...)
{
	char msg[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_set(err, -EINVAL, "%s", msg);
	return expr_error_at(e, err, at);
}

struct node *expr_node(struct expr *e, enum expr_op op, int at, int end, struct err *err)
{
	struct node *n = &e->nodes[e->nr_nodes];

	if (e->nr_nodes == e->max_nodes) {
		expr_error(e, err, at, "the expression has too many parts");
		return NULL;
	}
	e->nr_nodes++;
	n->op = op;
	n->at = at;
	n->end = end;
	return n;
}

static struct expr *alloc(const char *text, const struct layout *layout, struct err *err)
{
	struct expr *e = calloc(1, sizeof(*e));
	size_t len = strlen(text);

	if (e) {
		e->len = (int)len;
		e->layout = layout;
		e->text = strdup(text);
		e->strings = malloc(2 * len + 2);
		/* a token makes one, a comparison two, and a list one for each comma */
		e->max_nodes = 2 * (int)len + 4;
		e->nodes = calloc((size_t)e->max_nodes, sizeof(*e->nodes));
		if (e->text && e->strings && e->nodes)
			return e;
	}
	expr_free(e);
	err_set(err, -ENOMEM, "out of memory");
	return NULL;
}

int expr_new(struct expr **expr, const char *text, const struct layout *layout, struct err *err)
{
	struct expr *e;
	int rc;

	*expr = NULL;
	if (strlen(text) > EXPR_MAX_TEXT)
		return err_set(err, -EINVAL,
			       "where: the expression has %zu bytes, at most %d are allowed",
			       strlen(text), EXPR_MAX_TEXT);
	e = alloc(text, layout, err);
	if (!e)
		return -ENOMEM;
	rc = expr_parse(e, err);
	if (!rc)
		rc = expr_check(e, err);
	if (rc) {
		expr_free(e);
		return rc;
	}
	*expr = e;
	return 0;
}

void expr_free(struct expr *e)
{
	if (!e)
		return;
	for (int i = 0; i < e->nr_nodes; i++) {
		free(e->nodes[i].ranges);
		free(e->nodes[i].spans);
	}
	free(e->nodes);
	free(e->strings);
	free(e->text);
	free(e);
}

const char *expr_text(const struct expr *e)
{
	return e->text;
}
