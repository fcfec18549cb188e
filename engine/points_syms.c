/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "ksyms_lines.h"
#include "points_syms.h"
#include "util.h"

#define SLOTS 1024 /* of the hash of names: a power of two, far above the names there are */

struct scan {
	struct point_sym **slots;
};

static struct point_sym **find_slot(const struct scan *s, const char *name, size_t len)
{
	for (uint32_t h = name_hash(name, len);; h++) {
		struct point_sym **slot = &s->slots[h & (SLOTS - 1)];

		if (!*slot || (!strncmp((*slot)->name, name, len) && !(*slot)->name[len]))
			return slot;
	}
}

/* Behind a module's symbol stands "\t[module]". */
static bool take_line(void *arg, const struct ksyms_line *line)
{
	const char *module = memchr(line->name, '[', line->len), *end;
	struct point_sym *sym = *find_slot(arg, line->name, line->name_len);

	if (!sym || sym->found)
		return true;
	sym->found = true;
	sym->address = line->addr;
	end = module ? memchr(module, ']', (size_t)(line->name + line->len - module)) : NULL;
	if (end)
		snprintf(sym->module, sizeof(sym->module), "%.*s", (int)(end - module - 1),
			 module + 1);
	return true;
}

int point_syms_find(struct point_sym *list, int n)
{
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
	rc = ksyms_each_line(take_line, &s);
	free(s.slots);
	return rc;
}
