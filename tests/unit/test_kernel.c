/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is read of the kernel that runs: its symbols, and its names for drop reasons. */
#include <ctype.h>
#include "ksyms.h"
#include "reasons.h"
#include "record.h"
#include "t.h"

#define BPFTOOL "bpftool btf dump file /sys/kernel/btf/vmlinux"

/* "\t'SKB_DROP_REASON_NO_SOCKET' val=3" as "no_socket" and 3. */
static bool parse_reason(const char *line, char *name, unsigned int *value)
{
	static const char *const prefixes[] = { "DROP_REASON_", "" };
	const char *p;

	if (sscanf(line, " 'SKB_%99[A-Z0-9_]' val=%u", name, value) != 2)
		return false;
	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], len) == 0) {
			p = name + len;
			memmove(name, p, strlen(p) + 1);
			break;
		}
	}
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return true;
}

static void check_reason(const char *name, unsigned int value)
{
	char buf[48];
	uint32_t number = 0;

	CHECK_STR(reason_text(value, buf), name);
	CHECK(reason_number(name, &number));
	CHECK_INT(number, value);
}

static void all_reasons(void)
{
	FILE *f = popen(BPFTOOL " | sed -n \"/ENUM 'skb_drop_reason' /,/^\\[/p\"", "r");
	char line[256], name[100];
	unsigned int value;
	int n = 0, known;

	CHECK_INT(reasons_read(), 0);
	while (f && fgets(line, sizeof(line), f)) {
		if (!parse_reason(line, name, &value) || !value || !strcmp(name, "max") ||
		    !strcmp(name, "subsys_mask"))
			continue;
		check_reason(name, value);
		n++;
	}
	if (f)
		pclose(f);
	if (!n)
		SKIP("no bpftool, or a kernel without names for reasons");
	reasons_names(&known);
	CHECK(known >= n);
	CHECK(n > 30);
}

static void other_reasons(void)
{
	const struct enum_name *names;
	uint32_t number;
	char buf[48];
	int n;

	CHECK_INT(reasons_read(), 0);
	CHECK(!reason_text(0, buf));
	CHECK(!reason_text(0xfffe, buf));
	CHECK_STR(reason_text(0xfff00007, buf), "65520:7");
	CHECK(reason_number("65520:7", &number));
	CHECK_INT(number, 0xfff00007);
	CHECK(!reason_number("not_dropped_yet", &number));
	CHECK(!reason_number("max", &number));
	CHECK(!reason_number("", &number));
	names = reasons_names(&n);
	for (int i = 1; i < n; i++)
		CHECK(names[i - 1].value <= names[i].value);
}

/* Some functions that /proc/kallsyms lists; those behind the text are gone after the start. */
static void symbols(void)
{
	uint64_t found, end = ksyms_find("_etext");
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[700], name[520], want[560], type;
	unsigned long long addr;
	bool known;
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %511s", &addr, &type, name) != 3 || type != 'T' ||
		    !addr || addr >= end || strncmp(name, "tcp_v", 5) != 0 || strchr(line, '['))
			continue;
		snprintf(want, sizeof(want), "%s+0x1", name);
		CHECK_STR(ksyms_text(addr, &known), name);
		CHECK(known);
		CHECK_STR(ksyms_text(addr + 1, &known), want);
		CHECK(strncmp(ksyms_text(addr - 1, NULL), "__pfx_", 6) != 0);
		CHECK(ksyms_parse(want, &found));
		CHECK_INT(found, addr + 1);
		if (!n++)
			CHECK_INT(ksyms_find(name), addr);
	}
	if (f)
		fclose(f);
	if (!n)
		SKIP("/proc/kallsyms shows no addresses");
	CHECK(n > 10);
}

static void no_symbols(void)
{
	const char *const names[] = { "tcp_v4_rcv", "no_such_symbol" };
	uint64_t addrs[2] = { 1, 1 }, addr;
	bool known = true;

	CHECK_STR(ksyms_text(42, &known), "0x2a");
	CHECK(!known);
	CHECK_STR(ksyms_text(~0ULL, &known), "0xffffffffffffffff");
	CHECK(!known);
	CHECK(ksyms_parse("0x2a", &addr));
	CHECK_INT(addr, 42);
	CHECK(!ksyms_parse("0x2ax", &addr));
	CHECK(!ksyms_parse("no_such_symbol+0x1", &addr));
	CHECK(!ksyms_parse("tcp_v4_rcv+0x1 ", &addr));
	CHECK(!ksyms_parse("tcp_v4_rcv+1;tcp_v4_rcv", &addr));
	CHECK(!ksyms_parse("tcp_v4_rcv [no_such_module]", &addr));
	CHECK(!ksyms_parse("", &addr));
	CHECK(ksyms_scan(names, addrs, 2) <= 1);
	CHECK_INT(addrs[1], 0);
	CHECK_INT(ksyms_find("no_such_symbol"), 0);
}

/* The symbol of a module has its name behind it, both ways. */
static void modules(void)
{
	FILE *f = popen("grep ' [tT] .*\\[' /proc/kallsyms | grep -v __pfx_", "r");
	char line[700], name[520], module[80], want[660];
	unsigned long long addr;
	uint64_t found;
	int n = 0;

	while (f && n < 5 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %*c %511s [%63[^]]]", &addr, name, module) != 3 || !addr)
			continue;
		snprintf(want, sizeof(want), "%s [%s]", name, module);
		if (strcmp(ksyms_text(addr, NULL), want) != 0)
			continue; /* one of several names for it */
		CHECK(ksyms_parse(want, &found));
		snprintf(want, sizeof(want), "%s+0x1 [%s]", name, module);
		CHECK_STR(ksyms_text(addr + 1, NULL), want);
		n++;
	}
	if (f)
		pclose(f);
	if (!n)
		SKIP("no modules, or /proc/kallsyms shows no addresses");
}

static const struct t_case cases[] = {
	{ "drop reasons have the names that bpftool shows", all_reasons },
	{ "other reasons are subsystem and number, or nothing", other_reasons },
	{ "functions have the names that /proc/kallsyms shows, both ways", symbols },
	{ "what is no function is a number", no_symbols },
	{ "functions of modules have the module's name behind theirs", modules },
};

T_MAIN(cases)
