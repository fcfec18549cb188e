/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include "globals.h"
#include "points_syms.h"
#include "util.h"

#define SLOTS 1024 /* of the hash of names: a power of two, far above the names there are */
#define LINE  1024 /* longer than any line */

/* What context.h asks for; these don't move while the kernel runs, so once is enough. */
static struct context_sym {
	const char *name, *constant;
	uint64_t address;
} context_syms[] = {
	{ "__preempt_count", "cfg_preempt_count", 0 },
	{ "pcpu_hot", "cfg_pcpu_hot", 0 },
	{ "__per_cpu_offset", "cfg_per_cpu_offset", 0 },
};
static bool context_known;

struct scan {
	struct point_sym **slots;
};

static struct point_sym **find_slot(const struct scan *s, const char *name, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	for (;; h++) {
		struct point_sym **slot = &s->slots[h & (SLOTS - 1)];

		if (!*slot || (!strncmp((*slot)->name, name, len) && !(*slot)->name[len]))
			return slot;
	}
}

/* "ffffffff81000000 T name" and, in a module, "\t[module]" */
static void read_line(const struct scan *s, const char *line)
{
	const char *name = strchr(line, ' '), *module;
	struct point_sym *sym;
	size_t len;

	if (!name || !name[1] || name[2] != ' ')
		return;
	name += 3;
	len = strcspn(name, "\t");
	sym = *find_slot(s, name, len);
	if (!sym || sym->found)
		return;
	sym->found = true;
	sym->address = strtoull(line, NULL, 16);
	module = strchr(name + len, '[');
	if (module)
		snprintf(sym->module, sizeof(sym->module), "%.*s", (int)strcspn(module + 1, "]"),
			 module + 1);
}

static int scan_kallsyms(const struct scan *s)
{
	char buf[64 * 1024 + LINE];
	size_t have = 0;
	int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + have, sizeof(buf) - have - 1)) > 0) {
		char *line = buf, *end;

		have += (size_t)n;
		buf[have] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			read_line(s, line);
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (have == sizeof(buf) - 1)
			have = 0; /* no line is that long */
	}
	close(fd);
	return n < 0 ? -EIO : 0;
}

int point_syms_find(struct point_sym *list, int n)
{
	struct point_sym context[ARRAY_SIZE(context_syms)] = { 0 };
	struct scan s = { calloc(SLOTS, sizeof(*s.slots)) };
	int rc;

	if (!s.slots)
		return -ENOMEM;
	for (int i = 0; i < n && i < SLOTS / 2; i++) {
		list[i].found = false;
		list[i].address = 0;
		list[i].module[0] = '\0';
		*find_slot(&s, list[i].name, strlen(list[i].name)) = &list[i];
	}
	for (size_t i = 0; i < ARRAY_SIZE(context); i++) {
		context[i].name = context_syms[i].name;
		*find_slot(&s, context[i].name, strlen(context[i].name)) = &context[i];
	}
	rc = scan_kallsyms(&s);
	for (size_t i = 0; i < ARRAY_SIZE(context); i++)
		context_syms[i].address = context[i].address;
	context_known = true;
	free(s.slots);
	return rc;
}

void point_syms_set_context(struct bpf_object *obj)
{
	for (size_t i = 0; i < ARRAY_SIZE(context_syms); i++) {
		struct context_sym *sym = &context_syms[i];
		uint64_t *constant = globals_find(obj, ".rodata", sym->constant, sizeof(*constant));

		if (constant && !context_known)
			point_syms_find(NULL, 0);
		if (constant)
			*constant = sym->address;
	}
}
