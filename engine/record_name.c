/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Fields with names for numbers: enums, errnos, the kernel's drop reasons, TCP flags. */
#include <stdio.h>
#include "reasons.h"
#include "record.h"
#include "util.h"

#define LAST_ERRNO 133 /* EHWPOISON */

bool field_has_names(const struct field *f)
{
	return f->kind == FIELD_ENUM || f->kind == FIELD_ERRNO || f->kind == FIELD_REASON ||
	       f->kind == FIELD_FLAGS;
}

static const char *enum_name(const struct field *f, int64_t number)
{
	for (int i = 0; i < f->nr_names; i++)
		if (f->names[i].value == number)
			return f->names[i].name;
	return NULL;
}

/* "SYN|ACK" */
static const char *flag_names(const struct field *f, int64_t flags, char *buf)
{
	char *to = buf;

	for (int i = 0; i < f->nr_names; i++) {
		if (!(flags & f->names[i].value))
			continue;
		if (to > buf)
			*to++ = '|';
		to = stpcpy(to, f->names[i].name);
	}
	return buf;
}

const char *field_name(const struct field *f, int64_t number, char *buf)
{
	switch (f->kind) {
	case FIELD_ENUM:
		return enum_name(f, number);
	case FIELD_ERRNO:
		return errno_name((int)number);
	case FIELD_REASON:
		return reason_text((uint32_t)number, buf);
	case FIELD_FLAGS:
		return flag_names(f, number, buf);
	default:
		return NULL;
	}
}

static bool enum_number(const struct field *f, const char *name, size_t len, int64_t *number)
{
	for (int i = 0; i < f->nr_names; i++) {
		if (strlen(f->names[i].name) == len && !memcmp(f->names[i].name, name, len)) {
			*number = f->names[i].value;
			return true;
		}
	}
	return false;
}

/* Flags in any order; `bad` is set to the part that is none. */
static bool flag_numbers(const struct field *f, const char *text, int64_t *number, const char **bad)
{
	int64_t flag;

	*number = 0;
	for (*bad = text;; *bad += strcspn(*bad, "|") + 1) {
		size_t len = strcspn(*bad, "|");

		if (!enum_number(f, *bad, len, &flag))
			return false;
		*number |= flag;
		if (!(*bad)[len])
			return true;
	}
}

bool field_number(const struct field *f, const char *name, size_t len, int64_t *number)
{
	uint32_t reason;
	const char *bad;

	if (strlen(name) != len) /* a NUL within */
		return false;
	switch (f->kind) {
	case FIELD_ENUM:
		return enum_number(f, name, len, number);
	case FIELD_ERRNO:
		*number = errno_number(name);
		return *number;
	case FIELD_REASON:
		if (!reason_number(name, &reason))
			return false;
		*number = reason;
		return true;
	case FIELD_FLAGS:
		return flag_numbers(f, name, number, &bad);
	default:
		return false;
	}
}

static const char *next_name(const void *arg, int i)
{
	const struct field *f = arg;

	return i < f->nr_names ? f->names[i].name : NULL;
}

static const char *next_errno(const void *arg, int i)
{
	const char *name = errno_name(i + 1);

	(void)arg;
	if (i >= LAST_ERRNO)
		return NULL;
	return name ? name : "EPERM"; /* some numbers have none */
}

const char *field_near_name(const struct field *f, const char *name)
{
	const char *bad = name;
	char part[32];
	int64_t flags;

	if (f->kind == FIELD_ERRNO)
		return nearest_name(name, next_errno, f);
	if (f->kind == FIELD_FLAGS && !flag_numbers(f, name, &flags, &bad)) {
		snprintf(part, sizeof(part), "%.*s", (int)strcspn(bad, "|"), bad);
		return nearest_name(part, next_name, f);
	}
	return nearest_name(name, next_name, f);
}
