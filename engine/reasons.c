/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "kbtf.h"
#include "reasons.h"
#include "record.h"
#include "util.h"

#define SUBSYS_SHIFT 16
#define SUBSYS_MAX   32 /* of which we know names */

/* Enums of the kernel; those behind the first two may be in modules instead. */
enum { REASONS, SUBSYSTEMS };
static const char *const enums[] = { "skb_drop_reason", "skb_drop_reason_subsys",
				     "mac80211_drop_reason", "ovs_drop_reason" };

static struct enum_name *names; /* ascending */
static int nr_names, room;
static char *subsystems[SUBSYS_MAX];
static bool is_read;

/* Lower-case, without the first of the prefixes that it begins with. */
static char *copy_name(const char *name, const char *const *prefixes)
{
	char *copy;

	for (; *prefixes; prefixes++) {
		if (str_starts(name, *prefixes)) {
			name += strlen(*prefixes);
			break;
		}
	}
	copy = strdup(name);
	for (char *c = copy; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

static int add_subsystem(const char *name, uint32_t value)
{
	static const char *const prefixes[] = { "SKB_DROP_REASON_SUBSYS_", NULL };

	if (!value || value >= SUBSYS_MAX || subsystems[value] ||
	    str_eq(name, "SKB_DROP_REASON_SUBSYS_NUM"))
		return 0;
	subsystems[value] = copy_name(name, prefixes);
	return subsystems[value] ? 0 : -ENOMEM;
}

static int add_reason(const char *name, uint32_t value)
{
	static const char *const prefixes[] = { "SKB_DROP_REASON_", "SKB_", NULL };
	struct enum_name *bigger;

	if (nr_names == room) {
		bigger = realloc(names, sizeof(*names) * (size_t)(room + 128));
		if (!bigger)
			return -ENOMEM;
		names = bigger;
		room += 128;
	}
	names[nr_names].value = value;
	names[nr_names].name = copy_name(name, prefixes);
	return names[nr_names].name ? (nr_names++, 0) : -ENOMEM;
}

/* The marks at an enum's ends are no reasons, nor is 0, nor what a subsystem begins with. */
static bool is_reason(int which, const char *name, uint32_t value)
{
	if (which == REASONS)
		return value && !str_eq(name, "SKB_DROP_REASON_MAX") &&
		       !str_eq(name, "SKB_DROP_REASON_SUBSYS_MASK");
	return value >> SUBSYS_SHIFT && (uint16_t)value;
}

static int add(void *arg, int which, const char *name, uint32_t value)
{
	(void)arg;
	if (which == SUBSYSTEMS)
		return add_subsystem(name, value);
	return is_reason(which, name, value) ? add_reason(name, value) : 0;
}

static int by_value(const void *a, const void *b)
{
	const struct enum_name *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

static void forget(void)
{
	while (nr_names)
		free((char *)names[--nr_names].name);
	for (int i = 0; i < SUBSYS_MAX; i++) {
		free(subsystems[i]);
		subsystems[i] = NULL;
	}
}

int reasons_read(void)
{
	if (is_read)
		return 0;
	if (kbtf_enums(enums, ARRAY_SIZE(enums), add, NULL) == -ENOMEM) {
		forget();
		return -ENOMEM;
	}
	if (names)
		qsort(names, (size_t)nr_names, sizeof(*names), by_value);
	is_read = true;
	return 0;
}

const struct enum_name *reasons_names(int *n)
{
	*n = nr_names;
	return names;
}

static const struct enum_name *find(uint32_t reason)
{
	struct enum_name key = { .value = reason };

	/* the kernel's own mostly are 1, 2, 3, ... */
	if (reason && reason <= (uint32_t)nr_names && names[reason - 1].value == reason)
		return &names[reason - 1];
	return names ? bsearch(&key, names, (size_t)nr_names, sizeof(*names), by_value) : NULL;
}

const char *reason_text(uint32_t reason, char *buf)
{
	const struct enum_name *known = find(reason);
	uint32_t subsys = reason >> SUBSYS_SHIFT;

	if (known)
		return known->name;
	if (!subsys)
		return NULL;
	if (subsys < SUBSYS_MAX && subsystems[subsys])
		snprintf(buf, 48, "%.40s:%u", subsystems[subsys], reason & 0xffff);
	else
		snprintf(buf, 48, "%u:%u", subsys, reason & 0xffff);
	return buf;
}

/* Of "openvswitch" or "2"; 0: there is none. */
static uint32_t subsys_number(const char *text, size_t len)
{
	unsigned long n;
	char *end;

	for (uint32_t i = 1; i < SUBSYS_MAX; i++)
		if (subsystems[i] && strlen(subsystems[i]) == len &&
		    !memcmp(subsystems[i], text, len))
			return i;
	n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
	return n && n <= UINT16_MAX && end == text + len ? (uint32_t)n : 0;
}

/* "openvswitch:7", "2:7" */
static bool parse_subsys(const char *text, uint32_t *reason)
{
	size_t len = strcspn(text, ":");
	uint32_t subsys = subsys_number(text, len);
	unsigned long number;
	char *end;

	if (!subsys || !text[len] || !isdigit((unsigned char)text[len + 1]))
		return false;
	number = strtoul(text + len + 1, &end, 10);
	*reason = subsys << SUBSYS_SHIFT | (uint32_t)number;
	return !*end && number <= UINT16_MAX;
}

bool reason_number(const char *text, uint32_t *reason)
{
	for (int i = 0; i < nr_names; i++) {
		if (str_eq(names[i].name, text)) {
			*reason = (uint32_t)names[i].value;
			return true;
		}
	}
	return parse_subsys(text, reason);
}
