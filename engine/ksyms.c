/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "err.h"
#include "ksyms.h"
#include "ksyms_lines.h"
#include "log.h"
#include "util.h"

#define MODULE_MAX  64 /* MODULE_NAME_LEN */
#define FARTHEST    65536 /* from the start of a module's function: beyond, it is another's */
#define LONGEST_NS  (64 * NSEC_PER_SEC) /* between two readings that are of no use */
#define HALF_WINDOW (1ULL << 31)

struct sym {
	uint32_t at; /* from table.base */
	uint32_t name; /* in table.names: "kfree_skb", or "br_forward\tbridge" */
};

static struct table {
	uint64_t base; /* what is kept is within 2^32 from here */
	uint64_t core_end; /* of the functions of the kernel itself */
	struct sym *syms; /* by address, one for each */
	uint32_t n, room;
	char *names;
	size_t names_len, names_room;
	bool failed; /* no memory */
	uint64_t read_ns; /* 0: not read */
} table;

/* Before the list is read again for an address that nobody knows. */
static uint64_t pause_ns = NSEC_PER_SEC;

/* Room for `more` of `size` bytes behind the first n. NULL: no memory. */
static void *grow(void *p, size_t n, size_t *room, size_t more, size_t size)
{
	size_t bigger = n + more + n / 2;
	void *q;

	if (n + more <= *room)
		return p;
	q = realloc(p, bigger * size);
	if (q)
		*room = bigger;
	return q;
}

/* Name and module, or false. */
static bool add_name(struct table *t, const struct ksyms_line *line)
{
	bool module = line->len > line->name_len + 2; /* "\t[x]" */
	size_t tail = module ? line->len - line->name_len - 3 : 0;
	char *to = grow(t->names, t->names_len, &t->names_room, line->len + 1, 1);

	if (!to)
		return false;
	t->names = to;
	to += t->names_len;
	memcpy(to, line->name, line->name_len);
	to += line->name_len;
	if (module) {
		*to++ = '\t';
		memcpy(to, line->name + line->name_len + 2, tail);
		to += tail;
	}
	*to++ = '\0';
	t->names_len = (size_t)(to - t->names);
	return true;
}

static bool is_name(const struct ksyms_line *line, const char *name)
{
	return line->name_len == strlen(name) && !memcmp(line->name, name, line->name_len);
}

/*
 * Functions only, and of those at one address the first. Padding before functions is never called,
 * and what is behind the text is the start-up code, which is gone.
 */
static bool is_wanted(struct table *t, const struct ksyms_line *line)
{
	bool core = line->len == line->name_len;

	if (core && is_name(line, "_etext"))
		t->core_end = line->addr;
	if (!line->addr || !strchr("tTwW", line->type))
		return false;
	if (core && t->core_end && line->addr >= t->core_end)
		return false;
	if (line->len > 6 && !memcmp(line->name, "__pfx_", 6))
		return false;
	return !t->n || t->base + t->syms[t->n - 1].at != line->addr;
}

static bool add_line(void *arg, const struct ksyms_line *line)
{
	struct table *t = arg;
	size_t room = t->room;
	struct sym *syms;

	if (!is_wanted(t, line))
		return true;
	if (!t->n)
		t->base = line->addr - HALF_WINDOW;
	if (line->addr - t->base > UINT32_MAX)
		return true;
	syms = grow(t->syms, t->n, &room, 1, sizeof(*syms));
	if (syms) {
		t->syms = syms;
		t->room = (uint32_t)room;
		syms[t->n] =
			(struct sym){ (uint32_t)(line->addr - t->base), (uint32_t)t->names_len };
	}
	t->failed = !syms || !add_name(t, line);
	t->n += !t->failed;
	return !t->failed;
}

static int by_address(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	if (x->at != y->at)
		return x->at > y->at ? 1 : -1;
	return (x->name > y->name) - (x->name < y->name);
}

/* The kernel's own are sorted, those of modules are not. */
static void sort(struct table *t)
{
	uint32_t sorted = 1;

	while (sorted < t->n && t->syms[sorted - 1].at < t->syms[sorted].at)
		sorted++;
	if (sorted < t->n)
		qsort(t->syms, t->n, sizeof(*t->syms), by_address);
}

/* Room for more was made than there is. */
static void trim(struct table *t)
{
	void *syms = realloc(t->syms, (t->n + 1) * sizeof(*t->syms));
	void *names = realloc(t->names, t->names_len + 1);

	if (syms)
		t->syms = syms;
	if (names)
		t->names = names;
}

static void tell_hidden(int rc)
{
	static bool told;

	if (told)
		return;
	told = true;
	if (rc)
		log_msg(LOG_WARN,
			"can't read " KSYMS_FILE " (%s): kernel symbols are shown as numbers",
			errno_name(-rc));
	else
		log_msg(LOG_WARN, KSYMS_FILE
			" hides addresses (hint: CAP_SYSLOG, kernel.kptr_restrict): kernel "
			"symbols are shown as numbers");
}

/* What was there stays if there is no memory for the new list. */
static void read_table(void)
{
	struct table new = { .read_ns = now_ns() };
	int rc = ksyms_each_line(add_line, &new);

	if (rc || !new.n)
		tell_hidden(rc);
	table.read_ns = new.read_ns;
	if (!new.failed &&new.n) {
		struct table old = table;

		sort(&new);
		trim(&new);
		table = new;
		new = old;
	}
	free(new.syms);
	free(new.names);
}

/* The function that the address is in, or NULL. */
static const struct sym *find(uint64_t addr)
{
	uint64_t at = addr - table.base;
	uint32_t low = 0, high = table.n;
	const struct sym *sym;

	/* An address below all of them wraps around to one that may be near the kernel's end. */
	if (!table.n || addr < table.base || at > UINT32_MAX || at < table.syms[0].at)
		return NULL;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (table.syms[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	sym = &table.syms[low];
	if (table.core_end && !strchr(table.names + sym->name, '\t'))
		return addr < table.core_end ? sym : NULL;
	return at - sym->at < FARTHEST ? sym : NULL;
}

/* Reads the list when that may help, and seldom when it did not. */
static const struct sym *find_or_read(uint64_t addr)
{
	const struct sym *sym = find(addr);

	if (sym || (table.read_ns && now_ns() - table.read_ns < pause_ns))
		return sym;
	read_table();
	sym = find(addr);
	pause_ns = sym ? NSEC_PER_SEC : pause_ns * 2 < LONGEST_NS ? pause_ns * 2 : LONGEST_NS;
	return sym;
}

const char *ksyms_text(uint64_t addr, bool *known)
{
	static char text[KSYMS_NAME + MODULE_MAX + 32];
	const struct sym *sym = find_or_read(addr);
	const char *name, *tab;
	char offset[24] = "";

	if (known)
		*known = sym;
	if (!sym) {
		snprintf(text, sizeof(text), "0x%" PRIx64, addr);
		return text;
	}
	name = table.names + sym->name;
	tab = strchr(name, '\t');
	addr -= table.base + sym->at;
	if (addr)
		snprintf(offset, sizeof(offset), "+0x%" PRIx64, addr);
	if (tab)
		snprintf(text, sizeof(text), "%.*s%s [%s]", (int)(tab - name), name, offset,
			 tab + 1);
	else
		snprintf(text, sizeof(text), "%s%s", name, offset);
	return text;
}

/* A name of `len` bytes, and of a module if there is one behind " [". */
static bool is_sym(const char *name, const char *text, size_t len, const char *module)
{
	size_t module_len = module ? strlen(module) - 1 : 0;

	if (*name != *text || strncmp(name, text, len) != 0)
		return false;
	if (!module)
		return !name[len];
	return name[len] == '\t' && !strncmp(name + len + 1, module, module_len) &&
	       str_eq(module + module_len, "]") && !name[len + 1 + module_len];
}

bool ksyms_parse(const char *text, uint64_t *addr)
{
	size_t len = strcspn(text, "+ ");
	const char *module = strstr(text, " [");
	char *end = (char *)text + len;
	uint64_t offset = 0;

	if (str_starts(text, "0x")) {
		*addr = strtoull(text, &end, 16);
		return end > text + 2 && !*end;
	}
	if (*end == '+')
		offset = strtoull(end + 1, &end, 16);
	if (end != (module ? module : text + strlen(text)))
		return false;
	if (!table.read_ns)
		read_table();
	for (uint32_t i = 0; i < table.n; i++) {
		if (!is_sym(table.names + table.syms[i].name, text, len,
			    module ? module + 2 : NULL))
			continue;
		*addr = table.base + table.syms[i].at + offset;
		return true;
	}
	return false;
}

struct scan {
	const char *const *names;
	uint64_t *addrs;
	int n, found;
};

static bool scan_line(void *arg, const struct ksyms_line *line)
{
	struct scan *s = arg;

	for (int i = 0; line->addr && i < s->n; i++) {
		if (s->addrs[i] || !is_name(line, s->names[i]))
			continue;
		s->addrs[i] = line->addr;
		s->found++;
	}
	return s->found < s->n;
}

int ksyms_scan(const char *const *names, uint64_t *addrs, int n)
{
	struct scan s = { names, addrs, n, 0 };
	int rc;

	memset(addrs, 0, sizeof(*addrs) * (size_t)n);
	rc = ksyms_each_line(scan_line, &s);
	return rc ? rc : s.found;
}

uint64_t ksyms_find(const char *name)
{
	uint64_t addr;

	return ksyms_scan(&name, &addr, 1) == 1 ? addr : 0;
}
