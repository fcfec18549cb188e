/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Fields as values: what is written comes back, nothing else changes, and what does not fit. */
#include <errno.h>
#include "record.h"
#include "t.h"
#include "types.h"

#define SIZE   64
#define ROUNDS 2000

static struct types types;
static struct layout *layout;
static const struct field *field;
static uint8_t record[SIZE];

/* One field of this type in the middle of a record. */
static void use(int type, uint32_t bit_offset, uint32_t bit_size)
{
	struct err err;
	int id = types_struct(&types, "f", type, SIZE, bit_offset, bit_size);

	layout_free(layout);
	if (layout_new(&layout, types.btf, id, &err))
		FAIL("%s", err.msg);
	field = layout_field(layout, "f");
	CHECK(field);
}

static void start(void)
{
	types_new(&types);
	layout = NULL;
}

static void end(void)
{
	layout_free(layout);
	types_free(&types);
}

static int set(struct value value)
{
	struct err err = { 0 };

	return field_set(field, record, &value, &err);
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

static void check_refused(struct value value, const char *message)
{
	uint8_t before[SIZE];
	struct err err = { 0 };

	memcpy(before, record, SIZE);
	CHECK_INT(field_set(field, record, &value, &err), -EINVAL);
	CHECK_HAS(err.msg, "field \"f\"");
	CHECK_HAS(err.msg, message);
	CHECK(memcmp(before, record, SIZE) == 0);
}

static void check_get_int(int64_t want)
{
	struct value value;

	field_get(field, record, &value);
	CHECK_INT(value.type, VALUE_INT);
	CHECK_INT(value.i, want);
}

static void check_get_str(const char *want)
{
	struct value value;

	field_get(field, record, &value);
	CHECK_INT(value.type, VALUE_STR);
	CHECK_INT(value.len, strlen(want));
	CHECK(memcmp(value.s, want, value.len) == 0);
}

static void check_get_nil(void)
{
	struct value value;

	field_get(field, record, &value);
	CHECK_INT(value.type, VALUE_NIL);
}

static uint64_t random64(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15; /* xorshift: the same numbers in every run */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static bool bit(const uint8_t *bytes, uint32_t i)
{
	return bytes[i / 8] >> (i % 8) & 1;
}

/* All bits outside [first, first + n) are as before. */
static void check_others(const uint8_t *before, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < SIZE * 8; i++)
		if (i < first || i >= first + n)
			CHECK(bit(before, i) == bit(record, i));
}

/* Random values of `bits` bits at bit_offset, written over random records. */
static void round_trips(int type, uint32_t bit_offset, uint32_t bits, bool is_signed,
			bool bit_field)
{
	use(type, bit_offset, bit_field ? bits : 0);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t raw = random64() << (64 - bits);
		int64_t want = is_signed ? (int64_t)raw >> (64 - bits) :
					   (int64_t)(raw >> (64 - bits));
		uint8_t before[SIZE];

		for (int j = 0; j < SIZE; j++)
			before[j] = record[j] = (uint8_t)random64();
		CHECK_INT(set(int_value(want)), 0);
		check_get_int(want);
		check_others(before, bit_offset, bits);
	}
}

static void integers(void)
{
	start();
	round_trips(types.u8, 72, 8, false, false);
	round_trips(types.u16, 80, 16, false, false);
	round_trips(types.u32, 96, 32, false, false);
	round_trips(types.u64, 128, 64, false, false);
	round_trips(types.s8, 72, 8, true, false);
	round_trips(types.s16, 80, 16, true, false);
	round_trips(types.s32, 96, 32, true, false);
	round_trips(types.s64, 128, 64, true, false);
	round_trips(types.be16, 80, 16, false, false);
	round_trips(types.be32, 96, 32, false, false);
	round_trips(types.be64, 128, 64, false, false);
	round_trips(types.u64, 8, 64, false, false); /* unaligned, as in a packed struct */
	end();
}

static void bit_fields(void)
{
	start();
	for (uint32_t bits = 1; bits < 32; bits += 3) {
		for (uint32_t at = 0; at + bits <= 32; at += 5) {
			round_trips(types.u32, 64 + at, bits, false, true);
			round_trips(types.s32, 64 + at, bits, true, true);
		}
	}
	round_trips(types.u8, 67, 5, false, true);
	round_trips(types.u16, 64 + 16 + 7, 9, false, true);
	round_trips(types.u64, 128 + 1, 63, false, true);
	round_trips(types.s64, 128 + 30, 33, true, true);
	end();
}

static void byte_order(void)
{
	static const uint8_t port[] = { 0x01, 0xbb };

	start();
	use(types.be16, 16, 0);
	memset(record, 0, SIZE);
	CHECK_INT(set(int_value(443)), 0);
	CHECK(memcmp(record + 2, port, 2) == 0);
	end();
}

static void ranges(void)
{
	start();
	use(types.u8, 64, 0);
	check_refused(int_value(256), "256 does not fit 8 bits");
	check_refused(int_value(-1), "-1 does not fit 8 bits");
	use(types.s16, 64, 0);
	CHECK_INT(set(int_value(-32768)), 0);
	check_refused(int_value(-32769), "does not fit 16 bits");
	check_refused(int_value(32768), "does not fit 16 bits");
	use(types.be32, 64, 0);
	check_refused(int_value(1LL << 32), "does not fit 32 bits");
	use(types.u32, 64, 3);
	check_refused(int_value(8), "8 does not fit 3 bits");
	use(types.s32, 64, 3);
	CHECK_INT(set(int_value(-4)), 0);
	check_refused(int_value(4), "4 does not fit 3 bits");
	check_refused(str_value("four"), "expected integer, got \"four\"");
	check_refused(nil, "expected integer, got nil");
	check_refused((struct value){ .type = VALUE_BOOL, .i = 1 },
		      "expected integer, got boolean");
	end();
}

static void booleans(void)
{
	struct value value;

	start();
	use(types.boolean, 64, 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(set((struct value){ .type = VALUE_BOOL, .i = i }), 0);
		CHECK_INT(record[8], i);
		field_get(field, record, &value);
		CHECK_INT(value.type, VALUE_BOOL);
		CHECK_INT(value.i, i);
	}
	record[8] = 2; /* the kernel side may write what it likes */
	field_get(field, record, &value);
	CHECK_INT(value.i, 1);
	check_refused(int_value(1), "expected boolean, got integer");
	end();
}

static void optional(void)
{
	start();
	use(types.opt32, 64, 0);
	CHECK_INT(set(nil), 0);
	CHECK_INT(*(uint32_t *)(record + 8), UINT32_MAX);
	check_get_nil();
	CHECK_INT(set(int_value(0)), 0);
	check_get_int(0);
	CHECK_INT(set(int_value(UINT32_MAX - 1)), 0);
	check_get_int(UINT32_MAX - 1);
	check_refused(str_value("x"), "expected integer or nil");
	use(types.opt64, 64, 0);
	CHECK_INT(set(nil), 0);
	check_get_nil();
	CHECK_INT(set(int_value(INT64_MIN)), 0);
	check_get_int(INT64_MIN);
	end();
}

static const char *const names[] = { "END_NONE", "END_RST", "END_LOST", "END_MANY", NULL };

static void check_enum(uint32_t size, uint32_t bits, const int64_t *values)
{
	use(types_enum(&types, "end", size, names, values), 64, bits);
	for (int i = 0; names[i]; i++) {
		static const char *const seen[] = { "none", "rst", "lost", "many" };

		memset(record, 0, SIZE);
		CHECK_INT(set(str_value(seen[i])), 0);
		check_get_str(seen[i]);
		CHECK_INT(set(int_value(values[i])), 0);
		check_get_str(seen[i]);
	}
}

static void enums(void)
{
	static const int64_t plain[] = { 0, 1, 2, 127 }, negative[] = { 0, 1, -1, -128 },
			     large[] = { 0, 1, 200, 255 }, small[] = { 0, 1, 2, 3 };

	start();
	check_enum(4, 0, plain);
	check_enum(4, 0, negative);
	check_enum(4, 0, large);
	check_enum(2, 0, negative);
	check_enum(1, 0, plain);
	check_enum(1, 0, negative);
	check_enum(1, 0, large);
	check_enum(4, 2, small);
	check_enum(4, 8, negative);
	use(types_enum(&types, "end", 4, names, plain), 64, 0);
	CHECK_INT(set(int_value(77)), 0); /* a newer kernel may have more of them */
	check_get_int(77);
	check_refused(str_value("RST"), "expected string, got \"RST\"");
	check_refused(str_value("rs"), "expected string, got \"rs\", did you mean \"rst\"?");
	check_refused(nil, "got nil");
	end();
}

static void errnos(void)
{
	start();
	use(types.err, 64, 0);
	CHECK_INT(set(str_value("ECONNREFUSED")), 0);
	CHECK_INT(*(int32_t *)(record + 8), ECONNREFUSED);
	check_get_str("ECONNREFUSED");
	CHECK_INT(set(nil), 0);
	check_get_nil();
	CHECK_INT(set(int_value(0)), 0);
	check_get_nil();
	CHECK_INT(set(int_value(4000)), 0);
	check_get_int(4000);
	check_refused(str_value("EWHAT"), "expected errno name, got \"EWHAT\"");
	check_refused(str_value(""), "expected errno name");
	check_refused(int_value(1LL << 40), "does not fit 32 bits");
	end();
}

static void text(void)
{
	struct value value = { .type = VALUE_STR, .s = "a\0b", .len = 3 };
	int id;

	start();
	id = types_array(&types, types.ch, 16);
	use(id, 64, 0);
	memset(record, 0xff, SIZE);
	CHECK_INT(set(str_value("curl")), 0);
	check_get_str("curl");
	for (int i = 8 + 4; i < 8 + 16; i++)
		CHECK_INT(record[i], 0);
	CHECK_INT(set(str_value("123456789012345")), 0);
	check_get_str("123456789012345");
	check_refused(str_value("1234567890123456"), "at most 15 bytes fit, got 16");
	check_refused(int_value(1), "expected string, got integer");
	memset(record, 'x', SIZE); /* without a NUL it ends with the field */
	check_get_str("xxxxxxxxxxxxxxxx");
	id = types_array(&types, types.u8, 3);
	use(id, 64, 0);
	CHECK_INT(set(value), 0);
	field_get(field, record, &value);
	CHECK_INT(value.len, 3);
	CHECK(memcmp(value.s, "a\0b", 3) == 0);
	check_refused(str_value("1234"), "at most 3 bytes fit, got 4");
	end();
}

static void check_address(const char *text_in, const char *text_out)
{
	CHECK_INT(set(str_value(text_in)), 0);
	check_get_str(text_out);
}

static void addresses(void)
{
	start();
	use(types.in_addr, 64, 0);
	check_address("127.0.0.1", "127.0.0.1");
	CHECK_INT(record[8], 127);
	check_address("::ffff:10.1.2.3", "10.1.2.3");
	check_refused(str_value("::1"), "expected address, got \"::1\"");
	check_refused(str_value("1.2.3"), "expected address");
	check_refused(int_value(1), "expected address, got integer");
	use(types.in6_addr, 64, 0);
	check_address("2001:db8:0:0::1", "2001:db8::1");
	check_address("::", "::");
	check_address("::ffff:10.1.2.3", "10.1.2.3");
	check_address("10.1.2.3", "10.1.2.3");
	CHECK_INT(record[8 + 10], 0xff);
	check_address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	check_refused(str_value("fe80::1%eth0"), "expected address");
	check_refused(str_value(""), "expected address");
	end();
}

/* What Lua hands over may hold a NUL; what comes after it is not to be dropped silently. */
static void embedded_nul(void)
{
	start();
	use(types.in6_addr, 64, 0);
	check_refused((struct value){ .type = VALUE_STR, .s = "::1\0junk", .len = 8 }, "address");
	use(types.err, 64, 0);
	check_refused((struct value){ .type = VALUE_STR, .s = "EPERM\0x", .len = 7 }, "errno name");
	end();
}

static void macs(void)
{
	static const uint8_t bytes[] = { 0x02, 0x42, 0xac, 0x11, 0x00, 0x0f };

	start();
	use(types.mac, 64, 0);
	memset(record, 0xff, SIZE);
	CHECK_INT(set(str_value("02:42:AC:11:00:0f")), 0);
	CHECK(memcmp(record + 8, bytes, 6) == 0);
	CHECK_INT(record[7], 0xff);
	CHECK_INT(record[14], 0xff);
	check_get_str("02:42:ac:11:00:0f");
	check_refused(str_value("02:42:ac:11:00"), "expected MAC address, got \"02:42:ac:11:00\"");
	check_refused(str_value("02:42:ac:11:00:0f:"), "expected MAC address");
	check_refused(str_value("2:42:ac:11:00:0ff"), "expected MAC address");
	check_refused(str_value("02:42:ac:11:00:-1"), "expected MAC address");
	check_refused((struct value){ .type = VALUE_STR, .s = "02:42:ac:11:00:0f\0x", .len = 19 },
		      "expected MAC address");
	check_refused(int_value(1), "expected MAC address, got integer");
	CHECK_INT(set(nil), 0);
	check_get_nil();
	end();
}

static void flags(void)
{
	static const struct {
		uint8_t bits;
		const char *text;
	} known[] = {
		{ 1, "FIN" },           { 2, "SYN" },
		{ 4, "RST" },           { 8, "PSH" },
		{ 16, "ACK" },          { 32, "URG" },
		{ 64, "ECE" },          { 128, "CWR" },
		{ 17, "FIN|ACK" },      { 18, "SYN|ACK" },
		{ 194, "SYN|ECE|CWR" }, { 255, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR" },
	};

	start();
	use(types.flags, 64, 0);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		CHECK_INT(set(str_value(known[i].text)), 0);
		CHECK_INT(record[8], known[i].bits);
		check_get_str(known[i].text);
		CHECK_INT(set(int_value(known[i].bits)), 0);
		check_get_str(known[i].text);
	}
	CHECK_INT(set(str_value("ACK|SYN")), 0);
	check_get_str("SYN|ACK");
	check_refused(str_value("SYN|AKC"),
		      "expected TCP flags, got \"SYN|AKC\", did you mean \"ACK\"?");
	check_refused(str_value("SYN|"), "expected TCP flags, got \"SYN|\"");
	check_refused(str_value(""), "expected TCP flags, got \"\"");
	check_refused(int_value(256), "256 does not fit 8 bits");
	CHECK_INT(set(nil), 0);
	CHECK_INT(record[8], 0);
	check_get_nil();
	end();
}

/* Names are the kernel's: test_kernel checks them. */
static void reasons(void)
{
	start();
	use(types.reason, 64, 0);
	CHECK_INT(set(nil), 0);
	check_get_nil();
	CHECK_INT(set(int_value(0xfff0)), 0); /* a newer kernel may have more of them */
	check_get_int(0xfff0);
	CHECK_INT(set(int_value(77 << 16 | 5)), 0);
	check_get_str("77:5");
	memset(record, 0, SIZE);
	CHECK_INT(set(str_value("77:5")), 0);
	check_get_str("77:5");
	check_refused(str_value("77:65536"), "expected drop reason, got \"77:65536\"");
	check_refused(str_value("77:"), "expected drop reason");
	check_refused(str_value("0:5"), "expected drop reason");
	check_refused(str_value("77:5x"), "expected drop reason");
	check_refused(int_value(-1), "does not fit 32 bits");
	end();
}

static const char *two_texts(struct stack_texts *texts, int32_t id)
{
	static const char *const known[] = { "a+0x1;b", "b;c+0x2" };

	(void)texts;
	return id < 2 ? known[id] : NULL;
}

static void count_free(struct stack_texts *texts)
{
	texts->holders = -1;
}

static void stacks(void)
{
	struct stack_texts texts = { two_texts, count_free, 1 };

	start();
	use(types.kstack, 64, 0);
	CHECK_INT(set(int_value(1)), 0);
	check_get_int(1); /* as nobody has their texts */
	layout_set_stacks(layout, &texts);
	check_get_str("b;c+0x2");
	CHECK_INT(set(int_value(0)), 0);
	check_get_str("a+0x1;b");
	CHECK_INT(set(int_value(2)), 0);
	check_get_int(2);
	CHECK_INT(set(int_value(-17)), 0);
	check_get_nil();
	CHECK_INT(set(nil), 0);
	CHECK_INT(*(int32_t *)(record + 8), -1);
	check_get_nil();
	check_refused(str_value("a+0x1;b"), "expected kernel stack, got \"a+0x1;b\"");
	stack_texts_hold(&texts);
	layout_free(layout);
	layout = NULL;
	CHECK_INT(texts.holders, 1);
	stack_texts_release(&texts);
	CHECK_INT(texts.holders, -1);
	stack_texts_release(NULL);
	CHECK(!stack_texts_hold(NULL));
	end();
}

static const struct t_case cases[] = {
	{ "integers of all sizes come back, others stay", integers },
	{ "bit fields come back, other bits stay", bit_fields },
	{ "__be16 is written in network order", byte_order },
	{ "integers that do not fit are refused", ranges },
	{ "booleans are only true and false", booleans },
	{ "all ones of an opt_u32 or opt_u64 are nil", optional },
	{ "enums of any width, negative ones and bit fields have names", enums },
	{ "errno_t is a name, 0 is nil", errnos },
	{ "text ends with a NUL, bytes do not", text },
	{ "addresses are text, v4-mapped ones as IPv4", addresses },
	{ "struct mac_addr is text, all zero is nil", macs },
	{ "tcp_flags_t is the flags' names, 0 is nil", flags },
	{ "drop_reason_t without a name is subsystem and number, or a number", reasons },
	{ "kstack_t is what the holder of the stacks says, negative is nil", stacks },
	{ "text after a NUL is not dropped silently", embedded_nul },
};

T_MAIN(cases)
