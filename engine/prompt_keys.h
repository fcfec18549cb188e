/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * prompt_keys.h - bytes from a terminal as whole keys, so that nobody waits in the middle of one.
 */
#ifndef BPFNET_PROMPT_KEYS_H
#define BPFNET_PROMPT_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum key_kind {
	KEY_TEXT, /* printable characters, or what was pasted, tabs too */
	KEY_ENTER,
	KEY_TAB,
	KEY_CONTROL, /* key.byte: 1 is Ctrl-A; 127 Backspace */
	KEY_META, /* key.byte: the letter that came behind ESC */
	KEY_ESCAPE, /* alone */
	KEY_UP,
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_HOME,
	KEY_END,
	KEY_DELETE,
	KEY_WORD_LEFT,
	KEY_WORD_RIGHT,
};

struct key {
	enum key_kind kind;
	char byte;
	const char *text; /* of KEY_TEXT, UTF-8, until the next call */
	size_t len;
};

struct keys {
	char *bytes;
	size_t len, size, at;
	bool pasting;
	bool after_cr; /* of pasted text, whose lines may end in both */
};

/* False if out of memory: they are lost. */
bool keys_add(struct keys *keys, const char *bytes, size_t len);
/* The next whole key; false if there is none yet. final: an ESC at the end was the key, nothing comes behind it. */
bool keys_next(struct keys *keys, bool final, struct key *key);
/* Bytes wait for the rest of a key. */
bool keys_pending(const struct keys *keys);
void keys_free(struct keys *keys);

#endif
