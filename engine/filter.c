/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a script's words to the bytes that a BPF program looks up. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <bpf/btf.h>
#include "filter.h"
#include "filter_priv.h"
#include "util.h"

#define MAX_ENTRIES 16384 /* max_entries of filter_set and filter_nets */
#define MAX_KIND    31 /* filter_active has a bit for each, and the bank above */

void filter_kinds_read(struct filter_kinds *kinds, const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "filter_kind", BTF_KIND_ENUM);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	char *to = kinds->text;

	kinds->n = 0;
	for (int i = 0; t && i < btf_vlen(t) && i < (int)ARRAY_SIZE(kinds->kind); i++) {
		const char *name = btf__name_by_offset(btf, btf_enum(t)[i].name_off);
		int number = btf_enum(t)[i].val;

		if (number < 0 || number > MAX_KIND)
			continue;
		name += str_starts(name, "FILTER_") ? strlen("FILTER_") : 0;
		if (to + strlen(name) + 1 > kinds->text + sizeof(kinds->text))
			break;
		kinds->kind[kinds->n].name = to;
		kinds->kind[kinds->n].number = number;
		while (*name)
			*to++ = (char)tolower((unsigned char)*name++);
		*to++ = '\0';
		kinds->n++;
	}
}

struct filter *filter_new(const struct filter_kinds *kinds)
{
	struct filter *f = calloc(1, sizeof(*f));

	if (f)
		f->kinds = kinds;
	return f;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	free(f->entries);
	free(f);
}

int filter_entries(const struct filter *f, const struct filter_entry **entries)
{
	*entries = f->entries;
	return f->n;
}

struct filter_entry *filter_new_entry(struct filter *f, int kind, struct err *err)
{
	struct filter_entry *e;

	if (f->n == MAX_ENTRIES) {
		err_set(err, -E2BIG, "more than %d values", MAX_ENTRIES);
		return NULL;
	}
	if (f->n == f->room) {
		int room = f->room ? 2 * f->room : 16;

		e = realloc(f->entries, sizeof(*e) * (size_t)room);
		if (!e) {
			err_set(err, -ENOMEM, "out of memory");
			return NULL;
		}
		f->entries = e;
		f->room = room;
	}
	e = &f->entries[f->n++];
	memset(e, 0, sizeof(*e));
	e->kind = (uint32_t)kind;
	e->prefixlen = UINT32_MAX;
	e->verdict = FILTER_VALUE;
	f->active |= 1ULL << kind;
	return e;
}

int filter_expected(const char *name, const char *what, const struct value *v, struct err *err)
{
	if (v->type == VALUE_STR)
		return err_set(err, -EINVAL, "filter \"%s\": expected %s, got \"%s\"", name, what,
			       v->s);
	if (v->type == VALUE_INT)
		return err_set(err, -EINVAL, "filter \"%s\": expected %s, got %" PRId64, name, what,
			       v->i);
	return err_set(err, -EINVAL, "filter \"%s\": expected %s, got %s", name, what,
		       v->type == VALUE_BOOL ? "boolean" : "nil");
}

int filter_add_int(struct filter *f, int kind, uint64_t i, struct err *err)
{
	struct filter_entry *e = filter_new_entry(f, kind, err);

	if (!e)
		return err->code;
	memcpy(e->value, &i, sizeof(i));
	return 0;
}

static int add_number(struct filter *f, int kind, const char *name, const struct value *v,
		      int64_t max, struct err *err)
{
	char what[64];

	if (v->type == VALUE_INT && v->i >= 0 && v->i <= max)
		return filter_add_int(f, kind, (uint64_t)v->i, err);
	snprintf(what, sizeof(what), "an integer from 0 to %" PRId64, max);
	return filter_expected(name, what, v, err);
}

static int add_uid(struct filter *f, int kind, const char *name, const struct value *v,
		   struct err *err)
{
	if (v->type == VALUE_STR)
		return filter_expected(name, "a number (see: id -u NAME)", v, err);
	return add_number(f, kind, name, v, UINT32_MAX, err);
}

static int add_family(struct filter *f, int kind, const char *name, const struct value *v,
		      struct err *err)
{
	if (v->type == VALUE_STR && str_eq(v->s, "ipv4"))
		return filter_add_int(f, kind, AF_INET, err);
	if (v->type == VALUE_STR && str_eq(v->s, "ipv6"))
		return filter_add_int(f, kind, AF_INET6, err);
	return filter_expected(name, "\"ipv4\" or \"ipv6\"", v, err);
}

static int add_comm(struct filter *f, int kind, const char *name, const struct value *v,
		    struct err *err)
{
	struct filter_entry *e;

	if (v->type != VALUE_STR || !v->len)
		return filter_expected(name, "a process name", v, err);
	e = filter_new_entry(f, kind, err);
	if (!e)
		return err->code;
	/* The kernel keeps 15 bytes of a name: a longer one can only mean those. */
	memcpy(e->value, v->s, v->len < 15 ? v->len : 15);
	return 0;
}

static int add_net(struct filter *f, int kind, const char *name, const struct value *v,
		   struct err *err)
{
	const char *what = "an address or a network like 10.0.0.0/8 or fd00::/8";
	struct filter_entry *e;
	char text[64], *slash, *end;
	uint8_t addr[16];
	long bits = 128, max = 128;

	if (v->type != VALUE_STR || v->len >= sizeof(text))
		return filter_expected(name, what, v, err);
	memcpy(text, v->s, v->len + 1);
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	if (!addr_parse(text, addr))
		return filter_expected(name, what, v, err);
	if (!strchr(text, ':'))
		max = 32;
	if (slash) {
		bits = strtol(slash + 1, &end, 10);
		if (!isdigit((unsigned char)slash[1]) || *end || bits > max)
			return filter_expected(name,
					       max == 32 ? "a prefix length from 0 to 32" :
							   "a prefix length from 0 to 128",
					       v, err);
		bits += 128 - max;
	}
	e = filter_new_entry(f, kind, err);
	if (!e)
		return err->code;
	e->prefixlen = (uint32_t)bits;
	memcpy(e->value, addr, sizeof(addr));
	return 0;
}

/* A file, or the name of one that `ip netns` made. 0 or -errno */
static int stat_netns(const char *name, struct stat *st)
{
	char path[300];

	if (!stat(name, st))
		return 0;
	if (errno != ENOENT || strchr(name, '/'))
		return -errno;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	return stat(path, st) ? -errno : 0;
}

static int add_netns(struct filter *f, int kind, const char *name, const struct value *v,
		     struct err *err)
{
	struct stat st;
	int rc;

	if (v->type == VALUE_STR) {
		rc = stat_netns(v->s, &st);
		if (rc)
			return err_sys(err, rc, "filter \"%s\": can't find \"%s\"", name, v->s);
		return filter_add_int(f, kind, st.st_ino, err);
	}
	if (v->type != VALUE_INT)
		return filter_expected(
			name,
			"an inode number, a name of `ip netns`, or a path like /proc/PID/ns/net", v,
			err);
	return add_number(f, kind, name, v, UINT32_MAX, err);
}

/* A cgroup's id is the inode number of its directory (kernfs, 64-bit inodes). */
static int add_cgroup(struct filter *f, int kind, const char *name, const struct value *v,
		      struct err *err)
{
	struct stat st;

	if (v->type == VALUE_INT)
		return filter_add_int(f, kind, (uint64_t)v->i, err);
	if (v->type != VALUE_STR)
		return filter_expected(name, "an id or the path of a cgroup v2 directory", v, err);
	if (stat(v->s, &st))
		return err_sys(err, -errno, "filter \"%s\": can't find \"%s\"", name, v->s);
	if (!S_ISDIR(st.st_mode))
		return filter_expected(name, "the path of a cgroup v2 directory", v, err);
	return filter_add_int(f, kind, st.st_ino, err);
}

static bool is_for_packets(const struct filter *f)
{
	for (int i = 0; i < f->kinds->n; i++)
		if (str_eq(f->kinds->kind[i].name, "ifname"))
			return true;
	return false;
}

static int add_value(struct filter *f, int kind, const char *name, const struct value *v,
		     struct err *err)
{
	if (str_eq(name, "pid") || str_eq(name, "tid"))
		return add_number(f, kind, name, v, INT32_MAX, err);
	if (str_eq(name, "uid"))
		return add_uid(f, kind, name, v, err);
	if (str_eq(name, "sport") || str_eq(name, "dport") || str_eq(name, "port"))
		return add_number(f, kind, name, v, UINT16_MAX, err);
	if (str_eq(name, "family") && is_for_packets(f))
		return filter_add_packet_family(f, kind, v, err);
	if (str_eq(name, "family"))
		return add_family(f, kind, name, v, err);
	if (str_eq(name, "ifname"))
		return filter_add_ifname(f, kind, v, err);
	if (str_eq(name, "proto"))
		return filter_add_proto(f, kind, v, err);
	if (str_eq(name, "ifindex") || str_eq(name, "mark"))
		return add_number(f, kind, name, v, UINT32_MAX, err);
	if (str_eq(name, "vlan"))
		return add_number(f, kind, name, v, 4094, err);
	if (str_eq(name, "comm"))
		return add_comm(f, kind, name, v, err);
	if (str_eq(name, "saddr") || str_eq(name, "daddr") || str_eq(name, "addr"))
		return add_net(f, kind, name, v, err);
	if (str_eq(name, "netns"))
		return add_netns(f, kind, name, v, err);
	if (str_eq(name, "cgroup"))
		return add_cgroup(f, kind, name, v, err);
	return add_number(f, kind, name, v, INT64_MAX, err);
}

/* The probe's own, and behind them the words for `pod`, which is one of them. */
static const char *next_kind(const void *arg, int i)
{
	const struct filter_kinds *kinds = arg;

	if (i < kinds->n)
		return kinds->kind[i].name;
	return filter_kinds_pod(kinds) ? filter_pod_word(i - kinds->n + 1) : NULL;
}

static int no_such_filter(const struct filter *f, const char *name, struct err *err)
{
	const char *near = nearest_name(name, next_kind, f->kinds);
	char known[768] = "none"; /* room for kinds->text with commas, and the words for `pod` */
	size_t len = 0;

	for (int i = 0; next_kind(f->kinds, i); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					next_kind(f->kinds, i));
	if (near)
		return err_set(err, -EINVAL,
			       "unknown filter \"%s\", did you mean \"%s\"? (known: %s)", name,
			       near, known);
	return err_set(err, -EINVAL, "unknown filter \"%s\" (known: %s)", name, known);
}

int filter_add(struct filter *f, const char *name, const struct value *v, struct err *err)
{
	if (v->type == VALUE_STR && strlen(v->s) != v->len)
		return filter_expected(name, "text without NUL bytes", v, err);
	for (int i = 0; i < f->kinds->n; i++)
		if (str_eq(f->kinds->kind[i].name, name))
			return add_value(f, f->kinds->kind[i].number, name, v, err);
	return no_such_filter(f, name, err);
}
