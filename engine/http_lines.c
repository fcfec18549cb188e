/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The lines that a server sends around a body: status, headers, trailers. */
#include <ctype.h>
#include <stdlib.h>
#include "http_priv.h"
#include "util.h"

#define MAX_BYTES (256 * 1024)

static void free_headers(struct http_headers *h)
{
	for (size_t i = 0; i < h->count; i++)
		free((void *)h->list[i].name); /* its value is in the same piece */
	free(h->list);
	*h = (struct http_headers){ 0 };
}

void http_free_lines(struct http_lines *l)
{
	free_headers(&l->headers);
	free_headers(&l->trailers);
}

static bool add(struct http_headers *h, const char *line, size_t name_len, size_t len)
{
	struct http_header *list = realloc(h->list, (h->count + 1) * sizeof(*list));
	char *text, *value;

	if (!list)
		return false;
	h->list = list;
	text = strndup(line, len);
	if (!text)
		return false;
	for (size_t i = 0; i < name_len; i++)
		text[i] = (char)tolower((unsigned char)text[i]);
	text[name_len] = '\0';
	value = text + name_len + 1;
	list[h->count++] = (struct http_header){ text, value + strspn(value, " \t") };
	return true;
}

/* A response after another one (100, then 200) is what counts. */
static void begin(struct http_lines *l, const char *line, size_t len)
{
	const char *end = line + len, *p = memchr(line, ' ', len);

	http_free_lines(l);
	l->body_began = false;
	l->status = 0;
	/* three digits: libcurl has read it already */
	for (p = p ? p + 1 : end; p < end && isdigit((unsigned char)*p); p++)
		l->status = l->status * 10 + (unsigned int)(*p - '0');
}

bool http_add_line(struct http_lines *l, const char *line, size_t len)
{
	const char *colon;

	l->bytes += len;
	if (l->bytes > MAX_BYTES)
		return false;
	while (len && (isspace((unsigned char)line[len - 1]) || !line[len - 1]))
		len--;
	if (!len) {
		l->body_began = true;
		return true;
	}
	if (len > 5 && strncmp(line, "HTTP/", 5) == 0) {
		begin(l, line, len);
		return true;
	}
	colon = memchr(line, ':', len);
	if (!colon)
		return true;
	return add(l->body_began ? &l->trailers : &l->headers, line, (size_t)(colon - line), len);
}
