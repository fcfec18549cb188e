/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a script's values to the bytes that a program looks up. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "filter.h"
#include "t.h"
#include "types.h"

static const char *const kind_names[] = {
	"FILTER_PID",    "FILTER_TID",   "FILTER_UID",   "FILTER_NETNS",  "FILTER_CGROUP",
	"FILTER_FAMILY", "FILTER_SPORT", "FILTER_DPORT", "FILTER_PORT",   "FILTER_COMM",
	"FILTER_SADDR",  "FILTER_DADDR", "FILTER_ADDR",  "FILTER_LENGTH", NULL,
};

static struct filter_kinds kinds;
static struct filter *filter;

static void read_kinds(const char *const *names, const int64_t *values)
{
	struct types types;

	types_new(&types);
	types_enum(&types, "filter_kind", 4, names, values);
	filter_kinds_read(&kinds, types.btf);
	types_free(&types); /* the names are copies */
}

static void start(void)
{
	static const int64_t values[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20 };

	read_kinds(kind_names, values);
	filter = filter_new(&kinds);
	CHECK(filter);
}

static struct value int_value(int64_t i)
{
	return (struct value){ .type = VALUE_INT, .i = i };
}

static struct value str_value(const char *s)
{
	return (struct value){ .type = VALUE_STR, .s = s, .len = strlen(s) };
}

static const struct value nil = { .type = VALUE_NIL };
static const struct value yes = { .type = VALUE_BOOL, .i = 1 };

/* Adds a value; returns the entry that came of it. */
static const struct filter_entry *add(const char *name, struct value value)
{
	const struct filter_entry *entries;
	int before = filter_entries(filter, &entries), after;
	struct err err = { 0 };

	if (filter_add(filter, name, &value, &err))
		FAIL("%s", err.msg);
	after = filter_entries(filter, &entries);
	CHECK_INT(after, before + 1);
	return &entries[before];
}

static void refuse(const char *name, struct value value, const char *message)
{
	const struct filter_entry *entries;
	int before = filter_entries(filter, &entries);
	struct err err = { 0 };

	CHECK(filter_add(filter, name, &value, &err) < 0);
	CHECK_HAS(err.msg, message);
	CHECK_INT(filter_entries(filter, &entries), before);
}

static void check_int(const char *name, struct value value, uint32_t kind, uint64_t want)
{
	const struct filter_entry *e = add(name, value);
	uint64_t got;

	memcpy(&got, e->value, sizeof(got));
	CHECK_INT(e->kind, kind);
	CHECK_INT(e->prefixlen, UINT32_MAX);
	CHECK_INT(got, want);
	for (size_t i = sizeof(got); i < sizeof(e->value); i++)
		CHECK_INT(e->value[i], 0);
}

static void names(void)
{
	start();
	CHECK_INT(kinds.n, 14);
	CHECK_STR(kinds.kind[0].name, "pid");
	CHECK_STR(kinds.kind[13].name, "length");
	CHECK_INT(kinds.kind[13].number, 20);
	filter_free(filter);
}

static void no_kinds(void)
{
	struct err err = { 0 };
	struct value value = int_value(1);
	struct types types;

	types_new(&types);
	filter_kinds_read(&kinds, types.btf);
	types_free(&types);
	CHECK_INT(kinds.n, 0);
	filter = filter_new(&kinds);
	CHECK_INT(filter_add(filter, "pid", &value, &err), -EINVAL);
	CHECK_HAS(err.msg, "unknown filter \"pid\" (known: none)");
	filter_free(filter);
}

/* A user's own object may have any enum: what does not fit is left out, and messages are cut. */
static void odd_kinds(void)
{
	static const char *const long_names[] = {
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1",
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2",
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3",
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA4",
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA5",
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA6",
		"FILTER_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA7",
		NULL,
	};
	static const char *const few[] = { "FILTER_LOW", "FILTER_HIGH", "FILTER_BELOW", "BARE",
					   NULL };
	static const int64_t values[] = { 1, 64, -1, 2, 5, 6, 7 };

	read_kinds(long_names, values);
	filter = filter_new(&kinds);
	refuse("x", nil, "unknown filter \"x\"");
	filter_free(filter);
	read_kinds(few, values);
	filter = filter_new(&kinds);
	check_int("low", int_value(3), 1, 3);
	check_int("bare", int_value(3), 2, 3);
	refuse("high", int_value(3), "filter");
	refuse("below", int_value(3), "filter");
	filter_free(filter);
}

static void numbers(void)
{
	start();
	check_int("pid", int_value(1), 0, 1);
	check_int("tid", int_value(INT32_MAX), 1, INT32_MAX);
	check_int("uid", int_value(0), 2, 0);
	check_int("uid", int_value(UINT32_MAX), 2, UINT32_MAX);
	check_int("sport", int_value(65535), 6, 65535);
	check_int("dport", int_value(0), 7, 0);
	check_int("port", int_value(443), 8, 443);
	check_int("length", int_value(INT64_MAX), 20, INT64_MAX);
	refuse("pid", int_value(-1),
	       "filter \"pid\": expected an integer from 0 to 2147483647, got -1");
	refuse("pid", int_value(1LL << 31), "got 2147483648");
	refuse("pid", str_value("nginx"), "got \"nginx\"");
	refuse("pid", yes, "got boolean");
	refuse("pid", nil, "got nil");
	refuse("uid", str_value("root"), "id -u");
	refuse("dport", int_value(65536), "from 0 to 65535");
	refuse("length", int_value(-1), "filter \"length\"");
	filter_free(filter);
}

static void families(void)
{
	start();
	check_int("family", str_value("ipv4"), 5, AF_INET);
	check_int("family", str_value("ipv6"), 5, AF_INET6);
	refuse("family", str_value("inet"), "expected \"ipv4\" or \"ipv6\", got \"inet\"");
	refuse("family", int_value(2), "got 2");
	filter_free(filter);
}

static void comms(void)
{
	static const char name15[16] = "123456789012345", name4[16] = "curl";

	start();
	CHECK(memcmp(add("comm", str_value("curl"))->value, name4, 16) == 0);
	CHECK(memcmp(add("comm", str_value("123456789012345"))->value, name15, 16) == 0);
	CHECK(memcmp(add("comm", str_value("1234567890123456789"))->value, name15, 16) == 0);
	CHECK_INT(add("comm", str_value("x"))->kind, 9);
	refuse("comm", str_value(""), "expected a process name");
	refuse("comm", int_value(1), "expected a process name, got 1");
	filter_free(filter);
}

static void check_net(const char *text, uint32_t prefixlen, const char *addr)
{
	const struct filter_entry *e = add("daddr", str_value(text));
	uint8_t want[16];

	CHECK(addr_parse(addr, want));
	CHECK_INT(e->kind, 11);
	CHECK_INT(e->prefixlen, prefixlen);
	CHECK(memcmp(e->value, want, 16) == 0);
}

static void networks(void)
{
	start();
	check_net("10.0.0.1", 128, "10.0.0.1");
	check_net("10.0.0.0/8", 104, "10.0.0.0");
	check_net("10.0.0.1/32", 128, "10.0.0.1");
	check_net("0.0.0.0/0", 96, "0.0.0.0");
	check_net("::1", 128, "::1");
	check_net("fd00::/8", 8, "fd00::");
	check_net("::/0", 0, "::");
	check_net("2001:db8::1/128", 128, "2001:db8::1");
	check_net("::ffff:10.0.0.0/104", 104, "10.0.0.0");
	CHECK_INT(add("saddr", str_value("1.2.3.4"))->kind, 10);
	CHECK_INT(add("addr", str_value("1.2.3.4"))->kind, 12);
	filter_free(filter);
}

static void bad_networks(void)
{
	static const char *const bad[] = {
		"",
		"x",
		"/",
		"/8",
		"10.0.0",
		"10.0.0.0.0",
		"256.0.0.1",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/ 8",
		"10.0.0.0/8x",
		"10.0.0.0/8/8",
		"10.0.0.0/99999999999999999999",
		"fd00::/129",
		"fd00::g",
		"::1%lo",
		"localhost",
		"[::1]",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff",
	};

	start();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse("daddr", str_value(bad[i]), "filter \"daddr\": expected a");
	refuse("daddr", str_value("10.0.0.0/33"), "a prefix length from 0 to 32");
	refuse("daddr", str_value("fd00::/129"), "a prefix length from 0 to 128");
	refuse("daddr", int_value(1), "a network like 10.0.0.0/8");
	refuse("daddr", (struct value){ .type = VALUE_STR, .s = "10.0.0.1\0x", .len = 10 },
	       "filter \"daddr\": expected");
	filter_free(filter);
}

static void paths(void)
{
	struct stat st;

	start();
	CHECK(stat("/proc/self/ns/net", &st) == 0);
	check_int("netns", str_value("/proc/self/ns/net"), 3, st.st_ino);
	check_int("netns", int_value(4026531840), 3, 4026531840);
	refuse("netns", str_value("/nowhere"),
	       "filter \"netns\": can't find \"/nowhere\" (ENOENT)");
	refuse("netns", yes, "/proc/PID/ns/net");
	refuse("netns", int_value(-1), "filter \"netns\"");
	CHECK(stat("/proc", &st) == 0);
	check_int("cgroup", str_value("/proc"), 4, st.st_ino);
	check_int("cgroup", int_value(INT64_MAX), 4, INT64_MAX);
	refuse("cgroup", str_value("/proc/self/comm"), "a cgroup v2 directory");
	refuse("cgroup", str_value("/nowhere"), "can't find");
	refuse("cgroup", nil, "got nil");
	filter_free(filter);
}

static void unknown(void)
{
	start();
	refuse("dprot", int_value(1), "unknown filter \"dprot\", did you mean \"dport\"?");
	refuse("command", int_value(1), "did you mean \"comm\"?");
	refuse("interface", int_value(1), "unknown filter \"interface\" (known: pid, tid, uid, ");
	refuse("PID", int_value(1), "unknown filter \"PID\"");
	refuse("", int_value(1), "unknown filter \"\"");
	filter_free(filter);
}

static void many(void)
{
	struct err err = { 0 };
	struct value value;

	start();
	for (int i = 0; i < 16384; i++)
		check_int("pid", int_value(i), 0, (uint64_t)i);
	value = int_value(1);
	CHECK_INT(filter_add(filter, "pid", &value, &err), -E2BIG);
	CHECK_HAS(err.msg, "more than 16384 values");
	filter_free(filter);
	filter_free(NULL);
}

/* The verdict that stands under a key, 0 if there is none; and how many entries there are. */
static uint32_t verdict(uint64_t key, int *n)
{
	const struct filter_entry *entries;
	uint32_t found = 0;

	*n = filter_entries(filter, &entries);
	for (int i = 0; i < *n; i++)
		if (entries[i].kind == 3 && !memcmp(entries[i].value, &key, sizeof(key)))
			found = entries[i].verdict;
	return found;
}

static void pods(void)
{
	static const char *const names[] = { "FILTER_PID", "FILTER_POD", NULL };
	static const int64_t values[] = { 0, 3 };
	int n;

	read_kinds(names, values);
	CHECK(filter_kinds_pod(&kinds));
	filter = filter_new(&kinds);
	filter_use_pod(filter);
	add("pid", int_value(7));
	CHECK(!filter_add_pod(filter, 100, POD_WANTED));
	CHECK(!filter_add_pod(filter, 7, POD_UNWANTED)); /* the number of the pid, too */
	CHECK_INT(verdict(100, &n), POD_WANTED);
	CHECK_INT(n, 3);
	CHECK(!filter_set_pod(filter, NULL, 100, POD_NONE));
	CHECK(!filter_set_pod(filter, NULL, 1ULL << 40, POD_WANTED));
	CHECK_INT(verdict(100, &n), POD_NONE);
	CHECK_INT(verdict(1ULL << 40, &n), POD_WANTED);
	CHECK_INT(n, 4);
	CHECK(!filter_set_pod(filter, NULL, 7, POD_UNDECIDED));
	CHECK(!filter_set_pod(filter, NULL, 12345, POD_UNDECIDED)); /* there was none */
	CHECK_INT(verdict(7, &n), 0);
	CHECK_INT(n, 3);
	CHECK_INT(verdict(1ULL << 40, &n), POD_WANTED);
	for (uint64_t i = 0; i < 16384 - 3; i++)
		CHECK(!filter_add_pod(filter, 1000 + i, POD_UNWANTED));
	CHECK_INT(filter_set_pod(filter, NULL, 99, POD_WANTED), -E2BIG); /* it stays undecided */
	filter_free(filter);
}

static void pod_words(void)
{
	static const char *const names[] = { "FILTER_PID", "FILTER_POD", NULL };
	static const int64_t values[] = { 0, 3 };

	CHECK(filter_is_pod_word("pod") && filter_is_pod_word("label"));
	CHECK(!filter_is_pod_word("pid"));
	start();
	CHECK(!filter_kinds_pod(&kinds));
	refuse("namespace", str_value("shop"), "unknown filter \"namespace\"");
	filter_free(filter);
	read_kinds(names, values);
	filter = filter_new(&kinds);
	refuse("namspace", str_value("shop"), "did you mean \"namespace\"?");
	refuse("whatever", str_value("x"),
	       "(known: pid, pod, namespace, container, image, runtime, sidecar, label, where)");
	filter_free(filter);
}

static const struct t_case cases[] = {
	{ "kinds have the names of the enum in BTF", names },
	{ "an object without the enum has no filters", no_kinds },
	{ "kinds that do not fit are left out", odd_kinds },
	{ "numbers are packed in 8 bytes, within their range", numbers },
	{ "families are ipv4 and ipv6", families },
	{ "a name of a process counts with its first 15 bytes", comms },
	{ "networks are 128 bits wide, IPv4 mapped", networks },
	{ "what is no network is refused", bad_networks },
	{ "namespaces and cgroups can be paths", paths },
	{ "an unknown filter is answered with the nearest one", unknown },
	{ "there are at most 16384 values", many },
	{ "verdicts on pods come, change and go among other values", pods },
	{ "the words for pods are known where there is the filter", pod_words },
};

T_MAIN(cases)
