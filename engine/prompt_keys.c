/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdlib.h>
#include <string.h>
#include "prompt_keys.h"
#include "util.h"

#define ESC 0x1b
/* Longer sequences than this are no key of any terminal. */
#define MAX_SEQUENCE 32

static const struct {
	const char *sequence; /* behind ESC */
	enum key_kind kind;
} sequences[] = {
	{ "[A", KEY_UP },
	{ "OA", KEY_UP },
	{ "[B", KEY_DOWN },
	{ "OB", KEY_DOWN },
	{ "[C", KEY_RIGHT },
	{ "OC", KEY_RIGHT },
	{ "[D", KEY_LEFT },
	{ "OD", KEY_LEFT },
	{ "[H", KEY_HOME },
	{ "OH", KEY_HOME },
	{ "[1~", KEY_HOME },
	{ "[7~", KEY_HOME },
	{ "[F", KEY_END },
	{ "OF", KEY_END },
	{ "[4~", KEY_END },
	{ "[8~", KEY_END },
	{ "[3~", KEY_DELETE },
	{ "[1;5C", KEY_WORD_RIGHT },
	{ "[1;3C", KEY_WORD_RIGHT },
	{ "[1;5D", KEY_WORD_LEFT },
	{ "[1;3D", KEY_WORD_LEFT },
	{ "Oc", KEY_WORD_RIGHT },
	{ "Od", KEY_WORD_LEFT },
};

bool keys_add(struct keys *k, const char *bytes, size_t len)
{
	if (k->at) {
		memmove(k->bytes, k->bytes + k->at, k->len - k->at);
		k->len -= k->at;
		k->at = 0;
	}
	if (k->len + len > k->size) {
		size_t size = k->len + len + 1024;
		char *p = realloc(k->bytes, size);

		if (!p)
			return false;
		k->bytes = p;
		k->size = size;
	}
	memcpy(k->bytes + k->len, bytes, len);
	k->len += len;
	return true;
}

bool keys_pending(const struct keys *k)
{
	return k->at < k->len;
}

void keys_free(struct keys *k)
{
	free(k->bytes);
	*k = (struct keys){ 0 };
}

/* Of the UTF-8 character at s: its length, 0 if the rest has not come, -1 if it is none. */
static int character(const unsigned char *s, size_t len)
{
	size_t n = *s < 0x80               ? 1 :
		   *s >= 0xc2 && *s < 0xe0 ? 2 :
		   *s >= 0xe0 && *s < 0xf0 ? 3 :
		   *s >= 0xf0 && *s < 0xf5 ? 4 :
					     0;

	if (!n)
		return -1;
	for (size_t i = 1; i < n; i++) {
		if (i == len)
			return 0;
		if ((s[i] & 0xc0) != 0x80)
			return -1;
	}
	return (int)n;
}

static bool is_text(const struct keys *k, unsigned char c)
{
	return (c >= ' ' && c != 0x7f) || (k->pasting && c == '\t');
}

/* As many characters as there are; invalid bytes before them are left out. */
static bool take_text(struct keys *k, struct key *key)
{
	const unsigned char *s = (unsigned char *)k->bytes;
	size_t start;
	int n = 0;

	while (k->at < k->len && is_text(k, s[k->at]) &&
	       (n = character(s + k->at, k->len - k->at)) < 0)
		k->at++;
	start = k->at;
	while (k->at < k->len && is_text(k, s[k->at]) &&
	       (n = character(s + k->at, k->len - k->at)) > 0)
		k->at += (size_t)n;
	*key = (struct key){ KEY_TEXT, 0, k->bytes + start, k->at - start };
	k->after_cr = false;
	return key->len > 0;
}

/* Of the sequence that begins with the ESC at s; 0 if it has not come whole. */
static size_t sequence_length(const char *s, size_t len)
{
	size_t i = 2;

	if (len < 2)
		return 0;
	if (s[1] == 'O')
		return len < 3 ? 0 : 3;
	if (s[1] != '[')
		return 2;
	while (i < len && i < MAX_SEQUENCE && !(s[i] >= '@' && s[i] <= '~'))
		i++;
	return i < len ? i + 1 : 0;
}

/* False: a sequence that means nothing here, or only that something is being pasted. */
static bool take_sequence(struct keys *k, size_t n, struct key *key)
{
	const char *s = k->bytes + k->at + 1;

	k->at += n--;
	if (n == 5 && strncmp(s, "[200~", n) == 0)
		k->pasting = true;
	else if (n == 5 && strncmp(s, "[201~", n) == 0)
		k->pasting = false;
	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
		if (strlen(sequences[i].sequence) == n && !strncmp(s, sequences[i].sequence, n)) {
			*key = (struct key){ .kind = sequences[i].kind };
			return !k->pasting;
		}
	}
	*key = (struct key){ .kind = KEY_META, .byte = *s };
	return n == 1 && !k->pasting;
}

static bool take_control(struct keys *k, unsigned char c, struct key *key)
{
	bool second = c == '\n' && k->after_cr;

	k->at++;
	k->after_cr = c == '\r' && k->pasting;
	*key = (struct key){ .kind = KEY_CONTROL, .byte = (char)c };
	if (c == '\r' || c == '\n')
		key->kind = KEY_ENTER;
	else if (c == '\t')
		key->kind = KEY_TAB;
	else
		return !k->pasting;
	return !second;
}

bool keys_next(struct keys *k, bool final, struct key *key)
{
	while (k->at < k->len) {
		unsigned char c = (unsigned char)k->bytes[k->at];
		size_t n;

		if (c != ESC) {
			if (is_text(k, c) ? take_text(k, key) : take_control(k, c, key))
				return true;
			if (is_text(k, c) && k->at < k->len &&
			    !character((unsigned char *)k->bytes + k->at, k->len - k->at))
				return false; /* the rest of a character is to come */
			continue;
		}
		n = sequence_length(k->bytes + k->at, k->len - k->at);
		if (!n && !final)
			return false;
		if (!n) {
			k->at = k->len;
			*key = (struct key){ .kind = KEY_ESCAPE };
			return true;
		}
		if (take_sequence(k, n, key))
			return true;
	}
	return false;
}
