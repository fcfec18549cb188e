/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From text to tokens: words, numbers with units, text in quotes, addresses, signs. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "expr_priv.h"
#include "util.h"

static const struct unit {
	const char *name;
	enum expr_unit unit;
	int64_t factor;
} units[] = {
	{ "ns", UNIT_TIME, 1 },
	{ "us", UNIT_TIME, 1000 },
	{ "ms", UNIT_TIME, 1000 * 1000 },
	{ "s", UNIT_TIME, 1000 * 1000 * 1000 },
	{ "m", UNIT_TIME, 60LL * 1000 * 1000 * 1000 },
	{ "h", UNIT_TIME, 3600LL * 1000 * 1000 * 1000 },
	{ "B", UNIT_BYTES, 1 },
	{ "KiB", UNIT_BYTES, 1 << 10 },
	{ "MiB", UNIT_BYTES, 1 << 20 },
	{ "GiB", UNIT_BYTES, 1 << 30 },
	{ "TiB", UNIT_BYTES, 1LL << 40 },
	{ "kB", UNIT_BYTES, 1000 },
	{ "MB", UNIT_BYTES, 1000 * 1000 },
	{ "GB", UNIT_BYTES, 1000 * 1000 * 1000 },
};

static const struct {
	const char *text;
	enum expr_token kind;
	enum expr_op op;
} words[] = {
	{ "or", TOK_OP, OP_OR },     { "and", TOK_OP, OP_AND },       { "in", TOK_OP, OP_IN },
	{ "not", TOK_NOT, OP_NONE }, { "starts", TOK_OP, OP_STARTS }, { "true", TOK_TRUE, OP_NONE },
	{ "nil", TOK_NIL, OP_NONE }, { "false", TOK_FALSE, OP_NONE },
};

/* A sign that begins with another stands before it. */
static const struct {
	const char *text;
	enum expr_token kind;
	enum expr_op op;
} signs[] = {
	{ "||", TOK_OP, OP_OR },         { "&&", TOK_OP, OP_AND },
	{ "==", TOK_OP, OP_EQ },         { "!=", TOK_OP, OP_NE },
	{ "~=", TOK_OP, OP_NE },         { "<<", TOK_OP, OP_SHL },
	{ ">>", TOK_OP, OP_SHR },        { "<=", TOK_OP, OP_LE },
	{ ">=", TOK_OP, OP_GE },         { "..", TOK_DOTS, OP_NONE },
	{ "<", TOK_OP, OP_LT },          { ">", TOK_OP, OP_GT },
	{ "|", TOK_OP, OP_BOR },         { "^", TOK_OP, OP_BXOR },
	{ "&", TOK_OP, OP_BAND },        { "+", TOK_OP, OP_ADD },
	{ "-", TOK_OP, OP_SUB },         { "*", TOK_OP, OP_MUL },
	{ "/", TOK_OP, OP_DIV },         { "%", TOK_OP, OP_MOD },
	{ "!", TOK_NOT, OP_NONE },       { "~", TOK_TILDE, OP_NONE },
	{ "(", TOK_OPEN, OP_NONE },      { ")", TOK_CLOSE, OP_NONE },
	{ "{", TOK_OPEN_LIST, OP_NONE }, { "}", TOK_CLOSE_LIST, OP_NONE },
	{ ",", TOK_COMMA, OP_NONE },     { "=", TOK_ASSIGN, OP_NONE },
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Keeps what a token says, with a NUL behind it. */
static const char *keep(struct expr *e, const char *s, size_t len)
{
	char *to = e->strings + e->strings_len;

	memcpy(to, s, len);
	to[len] = '\0';
	e->strings_len += len + 1;
	return to;
}

static int lex_word(struct expr *e, struct token *t)
{
	const char *s = e->text + t->at;
	size_t len = 0;

	while (is_word(s[len]))
		len++;
	t->end = t->at + (int)len;
	t->kind = TOK_NAME;
	t->s = keep(e, s, len);
	t->len = len;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_eq(t->s, words[i].text)) {
			t->kind = words[i].kind;
			t->op = words[i].op;
		}
	}
	return 0;
}

static int bad_token(const struct expr *e, const struct token *t, const char *what, struct err *err)
{
	const char *s = e->text + t->at;
	int len = 1;

	while (len < 40 && (is_word(s[len]) || (s[len] & 0xc0) == 0x80 || s[len] == '.' ||
			    s[len] == ':' || s[len] == '/'))
		len++;
	return expr_error(e, err, t->at, "\"%.*s\" is %s", len, s, what);
}

/* *value = *value * by + add, if that is below 2^63 */
static bool grow(int64_t *value, int64_t by, int64_t add)
{
	return !__builtin_mul_overflow(*value, by, value) &&
	       !__builtin_add_overflow(*value, add, value);
}

static const struct unit *find_unit(const char *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, s, len) == 0)
			return &units[i];
	return NULL;
}

static size_t word_length(const char *s)
{
	size_t len = 0;

	while (is_word(s[len]))
		len++;
	return len;
}

static int apply_unit(struct expr *e, struct token *t, size_t len, int64_t divisor, struct err *err)
{
	const char *s = e->text + t->end;
	const struct unit *unit = find_unit(s, len);
	__int128 value;

	if (!unit)
		return expr_error(
			e, err, t->end,
			"unknown unit \"%.*s\" (known: ns us ms s m h, B KiB MiB GiB TiB kB MB GB)",
			len < 20 ? (int)len : 20, s);
	value = (__int128)t->i * unit->factor;
	t->unit = unit->unit;
	t->end += (int)len;
	if (value % divisor)
		return bad_token(e, t,
				 t->unit == UNIT_TIME ? "not a whole number of nanoseconds" :
							"not a whole number of bytes",
				 err);
	value /= divisor;
	if (value != (int64_t)value)
		return bad_token(e, t, "too large for 64 bits", err);
	t->i = (int64_t)value;
	return 0;
}

static int lex_hex(struct expr *e, struct token *t, struct err *err)
{
	const char *s = e->text + t->at + 2, *start = s;
	uint64_t value = 0;
	int digits = 0;

	for (; isxdigit((unsigned char)*s) || *s == '_'; s++) {
		if (*s == '_')
			continue;
		value = value << 4 |
			(uint64_t)(isdigit((unsigned char)*s) ? *s - '0' : (*s | 32) - 'a' + 10);
		digits += digits || *s != '0';
	}
	if (s == start || is_word(*s))
		return bad_token(e, t, "not a number", err);
	if (digits > 16)
		return bad_token(e, t, "too large for 64 bits", err);
	t->i = (int64_t)value;
	t->end = (int)(s - e->text);
	return 0;
}

static int lex_number(struct expr *e, struct token *t, struct err *err)
{
	const char *s = e->text + t->at;
	int64_t divisor = 1;
	bool fraction = false;
	size_t unit, blanks;

	t->kind = TOK_INT;
	if (s[0] == '0' && (s[1] | 32) == 'x')
		return lex_hex(e, t, err);
	for (;; s++) {
		if (*s == '.' && !fraction && isdigit((unsigned char)s[1]))
			fraction = true;
		else if (isdigit((unsigned char)*s)) {
			if (!grow(&t->i, 10, *s - '0') || (fraction && !grow(&divisor, 10, 0)))
				return bad_token(e, t, "too large for 64 bits", err);
		} else if (*s != '_')
			break;
	}
	t->end = (int)(s - e->text);
	unit = word_length(s);
	if (!unit) { /* "10 ms" */
		blanks = strspn(s, " \t");
		unit = word_length(s + blanks);
		if (find_unit(s + blanks, unit))
			t->end += (int)blanks;
		else
			unit = 0;
	}
	if (unit)
		return apply_unit(e, t, unit, divisor, err);
	if (fraction)
		return bad_token(e, t, "a number with a fraction, which needs a unit", err);
	return 0;
}

bool expr_net_parse(const char *text, size_t len, struct expr_span *span)
{
	char addr[64], *slash;
	int bits = 0, digits = 0, max;

	if (len >= sizeof(addr) || strlen(text) < len)
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	max = strchr(addr, ':') ? 128 : 32;
	slash = strchr(addr, '/');
	if (slash) {
		*slash = '\0';
		for (slash++; isdigit((unsigned char)*slash) && digits < 3; slash++, digits++)
			bits = bits * 10 + (*slash - '0');
		if (*slash || !digits || bits > max)
			return false;
	} else {
		bits = max;
	}
	if (!addr_parse(addr, span->lo))
		return false;
	bits += 128 - max;
	for (int i = 0; i < 16; i++) {
		int left = bits - i * 8;
		uint8_t host = left >= 8 ? 0 : left <= 0 ? 0xff : (uint8_t)(0xff >> left);

		span->hi[i] = span->lo[i] | host;
		span->lo[i] &= (uint8_t)~host;
	}
	return true;
}

/*
 * Length of what can only be an address: hexadecimal digits with a colon, or numbers with two dots
 * between them; 0 if it is something else. Two dots in a row are a range's.
 */
static int addr_len(const char *s)
{
	int n = 0, dots = 0;

	while (isxdigit((unsigned char)s[n]))
		n++;
	if (s[n] != ':') {
		for (n = 0; isdigit((unsigned char)s[n]) ||
			    (s[n] == '.' && isdigit((unsigned char)s[n + 1]));
		     n++)
			dots += s[n] == '.';
		if (dots < 2)
			return 0;
	} else {
		while (isxdigit((unsigned char)s[n]) || s[n] == ':' ||
		       (s[n] == '.' && s[n + 1] != '.'))
			n++;
	}
	if (s[n] == '/' && isdigit((unsigned char)s[n + 1]))
		for (n++; isdigit((unsigned char)s[n]);)
			n++;
	return n;
}

static int lex_addr(struct expr *e, struct token *t, int len, struct err *err)
{
	const char *s = e->text + t->at;

	t->kind = TOK_ADDR;
	t->end = t->at + len;
	if (is_word(s[len]) || !expr_net_parse(s, (size_t)len, &t->span))
		return bad_token(e, t, "neither an address nor a network", err);
	return 0;
}

static int hex_digit(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

/* The byte that an escape behind a backslash stands for; moves *s to its end. -1 if it is none. */
static int escape(const char **s)
{
	int c = *(*s)++, high, low;

	if (c == '\\' || c == '"' || c == '\'')
		return c;
	if (c == 'n')
		return '\n';
	if (c != 'x')
		return -1;
	high = hex_digit((*s)[0]);
	low = high < 0 ? -1 : hex_digit((*s)[1]);
	*s += 2;
	return low < 0 ? -1 : high << 4 | low;
}

static int lex_str(struct expr *e, struct token *t, struct err *err)
{
	const char *s = e->text + t->at + 1;
	char quote = s[-1], *to = e->strings + e->strings_len;

	t->kind = TOK_STR;
	t->s = to;
	while (*s && *s != quote) {
		const char *start = s;
		int c = (unsigned char)*s++;

		if (c == '\\') {
			c = escape(&s);
			if (c < 0)
				return expr_error(
					e, err, (int)(start - e->text),
					"unknown escape (known: \\\\ \\\" \\' \\n \\xHH)");
		}
		*to++ = (char)c;
	}
	if (!*s)
		return expr_error(e, err, t->at, "text without a closing %c", quote);
	*to = '\0';
	t->len = (size_t)(to - t->s);
	t->end = (int)(s + 1 - e->text);
	e->strings_len += t->len + 1;
	return 0;
}

static int lex_sign(struct expr *e, struct token *t, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (str_starts(e->text + t->at, signs[i].text)) {
			t->kind = signs[i].kind;
			t->op = signs[i].op;
			t->end = t->at + (int)strlen(signs[i].text);
			return 0;
		}
	}
	return bad_token(e, t, "not a part of an expression", err);
}

int expr_lex(struct expr *e, int at, struct token *t, struct err *err)
{
	const char *s = e->text;
	int len;

	while (isspace((unsigned char)s[at]))
		at++;
	memset(t, 0, sizeof(*t));
	t->at = t->end = at;
	s += at;
	if (!*s)
		return 0;
	len = addr_len(s);
	if (len)
		return lex_addr(e, t, len, err);
	if (isdigit((unsigned char)*s))
		return lex_number(e, t, err);
	if (is_word(*s))
		return lex_word(e, t);
	if (*s == '"' || *s == '\'')
		return lex_str(e, t, err);
	return lex_sign(e, t, err);
}
