/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The language of `where`: what expressions mean, and what is said about wrong ones. */
#include <errno.h>
#include "code.h"
#include "expr.h"
#include "expr_cases.h"
#include "t.h"
#include "util.h"

static struct expr *expr_of(const struct layout *layout, const char *text)
{
	struct expr *expr;
	struct err err;

	if (expr_new(&expr, text, layout, &err))
		FAIL("%s", err.msg);
	return expr;
}

static void values(void)
{
	struct layout *layout = expr_layout();

	for (size_t i = 0; i < ARRAY_SIZE(expr_cases); i++) {
		const struct expr_case *c = &expr_cases[i];
		struct expr *expr = expr_of(layout, c->text);

		CHECK_STR(expr_text(expr), c->text);
		if (expr_eval(expr, &c->rec) != c->want)
			FAIL("%s: expected %s (case %zu)", c->text, c->want ? "true" : "false", i);
		expr_free(expr);
	}
	expr_free(NULL);
	layout_free(layout);
}

struct bad {
	const char *text, *message, *hint;
};

#define AT(column, message) "column " #column ": " message

static const struct bad bad_texts[] = {
	/* words and signs */
	{ "", AT(1, "expected a field or a value, got the end"), "" },
	{ "dport = 80", AT(7, "expected an operator or the end, got \"=\""), "compare with ==" },
	{ "dport == ", AT(10, "expected a field or a value, got the end"), "" },
	{ "dport == 80 dport", AT(13, "expected an operator or the end, got \"dport\""), "" },
	{ "not", AT(4, "expected a field"), "" },
	{ "(pid == 1", AT(10, "expected \")\" or an operator, got the end"), "" },
	{ "pid == 1)", AT(9, "expected an operator or the end, got \")\""), "" },
	{ "pid == not old", AT(8, "expected a field or a value, got \"not\""),
	  "put \"not ...\" in parentheses" },
	{ "pid not 5", AT(9, "expected \"in\" after \"not\", got \"5\""), "" },
	{ "a.b", AT(2, "\".b\" is not a part of an expression"), "" },
	{ "pid == 1 ;", AT(10, "\";\" is not"), "" },
	{ "comm == '\xc3\xa9' and \xc3\xa9", AT(17, "\"\xc3\xa9\" is not a part"), "" },
	{ "1 < dport < 3", AT(11, "a comparison of a comparison"), "" },
	{ "comm == \"abc", AT(9, "text without a closing \""), "" },
	{ "comm == 'a\\q'", AT(11, "unknown escape"), "" },
	{ "comm == 'a\\x1'", AT(11, "unknown escape"), "" },
	{ "comm == '\\", AT(10, "unknown escape"), "" },
	/* numbers */
	{ "pid == 0x", AT(8, "\"0x\" is not a number"), "" },
	{ "pid == 0x1g", AT(8, "\"0x1g\" is not a number"), "" },
	{ "pid == 0x10000000000000000", AT(8, "\"0x10000000000000000\" is too large"), "" },
	{ "cookie == 9223372036854775808", AT(11, "\"9223372036854775808\" is too large"), "" },
	{ "duration_ns < 9999999h", AT(15, "\"9999999h\" is too large for 64 bits"), "" },
	{ "1.5 < pid", AT(1, "\"1.5\" is a number with a fraction, which needs a unit"), "" },
	{ "15mss < duration_ns", AT(3, "unknown unit \"mss\" (known: ns us ms"), "" },
	{ "15 mss < duration_ns", AT(4, "expected an operator or the end, got \"mss\""), "" },
	{ "0.5ns < duration_ns", AT(1, "\"0.5ns\" is not a whole number of nanoseconds"), "" },
	{ "rx_bytes > 1.5B", AT(12, "\"1.5B\" is not a whole number of bytes"), "" },
	/* units */
	{ "dport > 2ms", AT(9, "2ms is a duration, but dport has no unit"),
	  "a unit goes with fields called *_ns, *_us, *_ms or *_bytes; write a number without one" },
	{ "pid > 2KiB", AT(7, "2KiB is a size, but pid has no unit"), NULL },
	{ "rx_bytes > 2ms", AT(12, "2ms is a duration, but rx_bytes is in bytes"), NULL },
	{ "duration_ns > 2KiB", AT(15, "2KiB is a size, but duration_ns is in ns"), NULL },
	{ "srtt_us > 1500ns", AT(11, "1500ns is not a whole number of units of srtt_us"), "" },
	{ "drift_ms in {1ms, 0.5ms}", AT(19, "0.5ms is not a whole number"), "" },
	{ "duration_ns > 5ms + 3", AT(15, "5ms is a duration, but 3 has no unit"),
	  "give both numbers a unit" },
	{ "duration_ns * 1ms > 3", AT(15, "a duration can only be multiplied by a number"), "" },
	{ "pid << 1B == 3", AT(8, "the number of bits has no unit"), "" },
	/* names */
	{ "dprot == 80", AT(1, "unknown field \"dprot\", did you mean \"dport\"? (known: "), "" },
	{ "pid == 1 and\n dprot == 80", AT(15, "unknown field \"dprot\""), "" },
	{ "comm == nginx", AT(9, "unknown field \"nginx\""), "text stands in quotes" },
	{ "ended == rst_snt",
	  AT(10,
	     "\"rst_snt\" is no value of \"ended\", did you mean \"rst_sent\"? (known: fin, rst_sent, timeout, big)"),
	  "" },
	{ "ended in {fin, tmeout}", AT(16, "\"tmeout\" is no value of \"ended\""), "" },
	{ "error == ECONNREFUSD",
	  AT(10, "\"ECONNREFUSD\" is no value of \"error\", did you mean \"ECONNREFUSED\"?"), "" },
	{ "error == \"fin\"", AT(10, "\"fin\" is no value of \"error\""), "" },
	{ "flags == 'SYN|AKC'",
	  AT(10,
	     "\"SYN|AKC\" is no value of \"flags\", did you mean \"ACK\"? (known: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR)"),
	  "" },
	{ "flags in {'SYN|'}", AT(11, "\"SYN|\" is no value of \"flags\""), "" },
	{ "flags == ''", AT(10, "\"\" is no value of \"flags\""), "" },
	{ "flags & 2 == 'SYN'", AT(14, "can't compare flags & 2, which is an integer, with"), "" },
	{ "reason == '70000:1'", AT(11, "\"70000:1\" is no value of \"reason\""), "" },
	{ "reason == ':1'", AT(11, "\":1\" is no value of \"reason\""), "" },
	{ "reason < 5", AT(1, "reason is one of a set of names, which has no order"), "" },
	{ "smac == 5", AT(9, "can't compare smac, which is text, with 5"), "" },
	{ "smac == '02:42'",
	  AT(9, "expected a MAC address like \"02:42:ac:11:00:02\", got '02:42'"), "" },
	{ "smac == '02:42:ac:11:00:0'", AT(9, "expected a MAC address like"), "" },
	{ "smac in {'02:42:ac:11:00:022'}", AT(10, "expected a MAC address like"), "" },
	{ "smac starts '02:42'",
	  AT(13, "a MAC address can only be compared with == and !=, and in a list"), "" },
	{ "smac == mac", AT(9, "\"smac\" and \"mac\" are not of one kind"), "" },
	/* types */
	{ "dport", AT(1, "expected a condition, write \"dport != 0\""), "" },
	{ "dport and old", AT(1, "expected a condition, write \"dport != 0\""), "" },
	{ "old and comm", AT(9, "expected a condition, but comm is text"), "" },
	{ "not (pid + 1)", AT(5, "expected a condition, write \"(pid + 1) != 0\""), "" },
	{ "dport == comm",
	  AT(10, "can't compare dport, which is an integer, with comm, which is text"), "" },
	{ "comm == 5", AT(9, "can't compare comm"), "" },
	{ "old == 1", AT(8, "can't compare old"), "compare a condition with true or false" },
	{ "daddr == 5", AT(10, "can't compare daddr, which is an address, with 5"), "" },
	{ "ended == mood", AT(10, "can't compare ended"), "" },
	{ "ended == pid", AT(10, "can't compare ended"), "" },
	{ "old > fresh", AT(1, "conditions can only be compared with == and !="), "" },
	{ "(pid > 1) == (pid > 2)", AT(1, "only fields can be compared here"), "" },
	{ "comm < 'a'", AT(1, "text can only be compared with ==, !=, in and starts"), "" },
	{ "daddr > 10.0.0.1", AT(1, "addresses can only be compared with ==, != and in"), "" },
	{ "ended < fin", AT(1, "ended is one of a set of names, which has no order"), "" },
	{ "error > 5", AT(1, "error is an errno, which has no order"), "" },
	{ "pid + old > 1", AT(7, "expected an integer, but old is a condition"), "" },
	{ "error + 1 > 1", AT(1, "expected an integer, but error is an errno"), "" },
	{ "'a' == 'a'", AT(1, "expected a field, got text on both sides"), "" },
	{ "comm starts 3", AT(13, "expected text in quotes after \"starts\", but 3 is an integer"),
	  "" },
	{ "comm starts name", AT(13, "expected text in quotes after \"starts\""), "" },
	{ "dport starts '3'", AT(1, "expected a field with text before \"starts\""), "" },
	{ "name == mac", AT(9, "\"name\" and \"mac\" are not of one kind"), "" },
	{ "tag == 'abc'", AT(8, "\"tag\" holds 2 bytes, this text has 3"), "" },
	{ "mac starts 'abcdefg'", AT(12, "\"mac\" holds 6 bytes, this text has 7"), "" },
	{ "comm == 'a\\x00b'", AT(9, "\"comm\" ends before its first NUL"), "" },
	/* nil */
	{ "dport == nil", AT(1, "dport is never nil"), "" },
	{ "latency_ns > nil", AT(14, "nil can only be compared with == and !="), "" },
	{ "nil == nil", AT(8, "can't compare nil"), "" },
	{ "nil", AT(1, "expected a condition, but nil is nil"), "" },
	{ "latency_ns in {nil}", AT(16, "expected an integer that is constant, got nil"), "" },
	/* arithmetic */
	{ "pid / 0 == 1", AT(7, "division by zero"), "" },
	{ "pid % (1 - 1) == 1", AT(7, "division by zero"), "" },
	/* lists */
	{ "dport in {}", AT(10, "the list is empty"), "" },
	{ "dport in {1 2}", AT(13, "expected \",\" or \"}\", got \"2\""), "" },
	{ "dport in {1,,2}", AT(13, "expected a field or a value, got \",\""), "" },
	{ "dport in 80", AT(10, "expected a list in braces or a range after \"in\""),
	  "write == for a single value" },
	{ "dport in 9..2", AT(10, "the range 9..2 ends before it begins"), "" },
	{ "dport in {sport}", AT(11, "expected an integer that is constant, got sport"), "" },
	{ "dport in {10.0.0.1}", AT(11, "expected an integer that is constant, got 10.0.0.1"), "" },
	{ "comm in {'a', 3}", AT(15, "expected text in quotes, got 3"), "" },
	{ "old in {true}", AT(1, "expected an integer, a field with text, or an address"), "" },
	/* addresses */
	{ "daddr == 10.0.0.300", AT(10, "\"10.0.0.300\" is neither an address nor a network"), "" },
	{ "daddr in 10.0.0.0/33", AT(10, "\"10.0.0.0/33\" is neither"), "" },
	{ "daddr == 10.0.0.0/8", AT(10, "10.0.0.0/8 is a network, write \"in\""), "" },
	{ "daddr == 'host'", AT(10, "expected an address or a network like 10.0.0.0/8 or fd00::/8"),
	  "" },
	{ "daddr in {10.0.0.2..10.0.0.1}", AT(11, "the range 10.0.0.2..10.0.0.1 ends"), "" },
	{ "daddr in 10.0.0.0/8..11.0.0.0", AT(10, "a range is from an address to an address"), "" },
	{ "daddr in {saddr}", AT(11, "expected an address or a network, got saddr"), "" },
};

static void bad_ones(void)
{
	struct layout *layout = expr_layout();

	for (size_t i = 0; i < ARRAY_SIZE(bad_texts); i++) {
		const struct bad *bad = &bad_texts[i];
		struct expr *expr = (void *)1;
		struct err err = { 0 };

		if (expr_new(&expr, bad->text, layout, &err) != -EINVAL)
			FAIL("%s: expected an error", bad->text);
		CHECK(!expr);
		CHECK_INT(err.code, -EINVAL);
		CHECK_HAS(err.msg, "where \"");
		if (!strstr(err.msg, bad->message))
			FAIL("%s: got %s", bad->text, err.msg);
		if (bad->hint && !str_eq(err.hint, bad->hint))
			FAIL("%s: got the hint \"%s\"", bad->text, err.hint);
	}
	layout_free(layout);
}

static void check_refused(const struct layout *layout, const char *text, const char *message)
{
	struct expr *expr;
	struct err err;

	CHECK_INT(expr_new(&expr, text, layout, &err), -EINVAL);
	CHECK_HAS(err.msg, message);
}

/* `n` times `part`, between two other texts. */
static const char *repeated(const char *head, const char *part, int n, const char *tail)
{
	static char text[20000];
	size_t len = strlen(head);

	memcpy(text, head, len);
	for (int i = 0; i < n; i++, len += strlen(part))
		memcpy(text + len, part, strlen(part));
	memcpy(text + len, tail, strlen(tail) + 1);
	return text;
}

static void limits(void)
{
	struct layout *layout = expr_layout();

	check_refused(layout, repeated("", "(", 200, "old"),
		      "column 101: nested more than 100 deep");
	check_refused(layout, repeated("", "not ", 200, "old"), "nested more than 100 deep");
	check_refused(layout, repeated("pid == ", "-", 200, "1"), "nested more than 100 deep");
	check_refused(layout, repeated("pid == 1", " ", 9000, ""),
		      "the expression has 9008 bytes, at most 8192 are allowed");
	expr_free(expr_of(layout, repeated("pid", "|pid", 2000, " == 1")));
	expr_free(expr_of(layout, repeated("old", " or old", 1100, "")));
	/* the place is shown, not all of the text */
	check_refused(layout, repeated("old", " or old", 100, " or dprot == 1"),
		      " or old or old or dprot == 1\": "
		      "column 708: unknown field \"dprot\"");
	layout_free(layout);
}

/* Leaves what it must not touch alone, and has all jumps inside. */
static void check_insns(const struct code *code, const char *text)
{
	for (int i = 0; i < code->n; i++) {
		const struct bpf_insn *insn = &code->insns[i];
		int class = BPF_CLASS(insn->code), to = i + 1 + insn->off;

		if (class == BPF_STX && insn->dst_reg != CODE_ROOM)
			FAIL("%s: stores to register %d", text, insn->dst_reg);
		if (class == BPF_JMP && (to <= i || to > code->n))
			FAIL("%s: instruction %d jumps to %d", text, i, to);
		if (class != BPF_JMP && class != BPF_STX && insn->dst_reg > BPF_REG_5)
			FAIL("%s: changes register %d", text, insn->dst_reg);
		if (insn->code == (BPF_LD | BPF_DW | BPF_IMM))
			i++;
	}
}

static int code_of(const struct expr *expr, struct code *code, struct err *err)
{
	int no, rc;

	code_init(code);
	no = code_label(code);
	rc = expr_code(expr, code, no, err);
	code_place(code, no);
	return rc ? rc : code_finish(code, err);
}

static void instructions(void)
{
	struct layout *layout = expr_layout();

	for (size_t i = 0; i < ARRAY_SIZE(expr_cases); i++) {
		struct expr *expr = expr_of(layout, expr_cases[i].text);
		struct code code;
		struct err err;

		CHECK_INT(code_of(expr, &code, &err), 0);
		check_insns(&code, expr_cases[i].text);
		code_free(&code);
		expr_free(expr);
	}
	layout_free(layout);
}

/* How many instructions expressions become; two for a constant of 64 bits. */
static void sizes(void)
{
	static const struct {
		const char *text;
		int n;
	} rows[] = {
		{ "true", 0 },
		{ "false", 1 },
		{ "dport == 443", 2 },
		{ "duration_ns > 2ms", 2 },
		{ "duration_ns > 1h", 4 },
		{ "not (old or fresh)", 4 },
		{ "latency_ns > 5", 2 },
		{ "latency_ns < 5", 3 },
		{ "sport + dport == 7", 4 },
		{ "srtt_us / 3 == 7", 3 },
		{ "comm == 'nginx'", 4 },
		{ "comm == '1234567'", 4 },
		{ "daddr == 10.0.0.1", 6 },
		{ "dport in {80, 443, 8000..8999}", 5 },
		{ "duration_ns > 2ms and (dport == 443 or daddr in 10.0.0.0/8)", 12 },
	};
	struct layout *layout = expr_layout();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct expr *expr = expr_of(layout, rows[i].text);
		struct code code;
		struct err err;

		CHECK_INT(code_of(expr, &code, &err), 0);
		if (code.n != rows[i].n)
			FAIL("%s: %d instructions, expected %d", rows[i].text, code.n, rows[i].n);
		code_free(&code);
		expr_free(expr);
	}
	layout_free(layout);
}

static void check_too_big(const struct layout *layout, const char *text, const char *message)
{
	struct expr *expr = expr_of(layout, text);
	struct code code;
	struct err err;

	CHECK_INT(code_of(expr, &code, &err), -E2BIG);
	CHECK_INT(err.code, -E2BIG);
	CHECK_HAS(err.msg, message);
	code_free(&code);
	expr_free(expr);
}

static void too_big(void)
{
	struct layout *layout = expr_layout();
	char text[2048] = "";

	check_too_big(layout, repeated("old", " or comm == name", 400, ""),
		      "expression too long: 12002 instructions, at most 4096");
	for (int i = 0; i < 40; i++)
		strcat(text, "(pid - ");
	strcat(text, "1");
	for (int i = 0; i < 40; i++)
		strcat(text, ")");
	strcat(text, " == 1");
	check_too_big(layout, text, "column 169: nested too deeply");
	layout_free(layout);
}

static const struct t_case cases[] = {
	{ "expressions have the value that is expected", values },
	{ "what is wrong is told with its place", bad_ones },
	{ "long and deep expressions are refused", limits },
	{ "code keeps to its registers and its own instructions", instructions },
	{ "code is as short as it should be", sizes },
	{ "code that would be too large is refused", too_big },
};

T_MAIN(cases)
