/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "ksyms.h"
#include "record.h"
#include "stacks.h"
#include "util.h"

#define MAX_TEXT 4000
#define TRACING  5 /* frames at most */

struct stacks {
	struct stack_texts texts; /* first */
	int fd;
	char **cache; /* by id; NULL: not asked for yet */
	uint32_t n; /* ids are below */
	uint64_t *frames; /* room for a value of the map */
	uint32_t depth;
	char text[MAX_TEXT + 8];
};

static void forget(struct stacks *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->cache[i]);
	free(s->cache);
	free(s->frames);
	s->cache = NULL;
	s->frames = NULL;
	s->n = s->depth = 0;
	close_fd(&s->fd);
}

static void free_stacks(struct stack_texts *texts)
{
	forget((struct stacks *)texts);
	free(texts);
}

/* How many frames are not of what was traced but of the tracing: our program, and who called it. */
static uint32_t skipped(const struct stacks *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < TRACING && i < s->depth && s->frames[i]; i++) {
		const char *frame = ksyms_text(s->frames[i], NULL);

		if (strstr(frame, " [bpf]") || str_starts(frame, "bpf_trace_run") ||
		    str_starts(frame, "__bpf_trace_") || str_starts(frame, "__traceiter_"))
			n = i + 1;
	}
	return n;
}

/* The frames in s->text. False: the name of one is not known yet. */
static bool format(struct stacks *s)
{
	bool all = true, known;
	size_t len = 0;

	s->text[0] = '\0';
	for (uint32_t i = skipped(s); i < s->depth && s->frames[i]; i++) {
		const char *frame = ksyms_text(s->frames[i], &known);

		all &= known;
		if (len)
			s->text[len++] = ';';
		if (len + strlen(frame) > MAX_TEXT) {
			strcpy(s->text + len, "...");
			break;
		}
		len = (size_t)(stpcpy(s->text + len, frame) - s->text);
	}
	return all;
}

static const char *get_text(struct stack_texts *texts, int32_t id)
{
	struct stacks *s = (struct stacks *)texts;

	if (id < 0 || (uint32_t)id >= s->n)
		return NULL;
	if (s->cache[id])
		return s->cache[id];
	if (bpf_map_lookup_elem(s->fd, &id, s->frames))
		return NULL;
	if (format(s))
		s->cache[id] = strdup(s->text);
	return s->text;
}

struct stack_texts *stacks_new(void)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->texts = (struct stack_texts){ get_text, free_stacks, 1 };
	s->fd = -1;
	return &s->texts;
}

/* The kernel rounds the number of stacks up to a power of two. */
static uint32_t ids_of(const struct bpf_map *map)
{
	uint32_t n = 1;

	while (n < bpf_map__max_entries(map) && n < 1U << 31)
		n *= 2;
	return n;
}

int stacks_set_map(struct stack_texts *texts, const struct bpf_map *map, struct err *err)
{
	struct stacks *s = (struct stacks *)texts;
	uint32_t n = ids_of(map);

	forget(s);
	if (bpf_map__type(map) != BPF_MAP_TYPE_STACK_TRACE || bpf_map__key_size(map) != 4)
		return err_set(
			err, -EINVAL,
			"map 'stacks' is not a BPF_MAP_TYPE_STACK_TRACE with keys of 4 bytes");
	s->fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	if (s->fd < 0)
		return err_sys(err, -errno, "can't keep the map 'stacks'");
	s->cache = calloc(n, sizeof(*s->cache));
	s->frames = calloc(1, bpf_map__value_size(map));
	if (!s->cache || !s->frames) {
		forget(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	s->n = n;
	s->depth = bpf_map__value_size(map) / 8;
	return 0;
}
