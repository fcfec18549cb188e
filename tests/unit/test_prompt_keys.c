/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Bytes from a terminal as keys, however they are cut; and how wide text is. */
#include <locale.h>
#include "prompt_complete.h"
#include "prompt_keys.h"
#include "t.h"
#include "width.h"

static char trace[4096];

/* t[text] for text, a name for all else. */
static void note(const struct key *k)
{
	static const char *const names[] = { "",      "enter ", "tab ",  "",       "",
					     "esc ",  "up ",    "down ", "left ",  "right ",
					     "home ", "end ",   "del ",  "wleft ", "wright " };
	size_t len = strlen(trace);
	char *at = trace + len;
	size_t left = sizeof(trace) - len;

	CHECK(left > k->len + 16);
	if (k->kind == KEY_TEXT)
		snprintf(at, left, "t[%.*s] ", (int)k->len, k->text);
	else if (k->kind == KEY_CONTROL)
		snprintf(at, left, "c%d ", k->byte);
	else if (k->kind == KEY_META)
		snprintf(at, left, "m%c ", k->byte);
	else
		snprintf(at, left, "%s", names[k->kind]);
}

static void take(struct keys *keys, bool final)
{
	struct key k;

	while (keys_next(keys, final, &k))
		note(&k);
}

/* Pieces of a text. */
static void join(void)
{
	char *p;

	while ((p = strstr(trace, "] t[")))
		memmove(p, p + 4, strlen(p + 4) + 1);
}

/* All at once, and then cut in two at each place: the keys are the same but for the cuts in text. */
static void expect(const char *bytes, const char *want)
{
	size_t len = strlen(bytes);
	struct keys keys = { 0 };

	trace[0] = '\0';
	CHECK(keys_add(&keys, bytes, len));
	take(&keys, true);
	join();
	CHECK_STR(trace, want);
	for (size_t cut = 1; cut < len; cut++) {
		trace[0] = '\0';
		CHECK(keys_add(&keys, bytes, cut));
		take(&keys, false);
		CHECK(keys_add(&keys, bytes + cut, len - cut));
		take(&keys, false);
		take(&keys, true);
		join();
		CHECK_STR(trace, want);
	}
	keys_free(&keys);
}

static void plain(void)
{
	expect("abc\r", "t[abc] enter ");
	expect("a\tb\n", "t[a] tab t[b] enter ");
	expect("\001x\177\004", "c1 t[x] c127 c4 ");
	expect("h\303\244 \346\227\245 \360\237\220\235",
	       "t[h\303\244 \346\227\245 \360\237\220\235] ");
}

static void sequences(void)
{
	expect("\033[A\033OB\033[D\033OC", "up down left right ");
	expect("\033[H\033[4~\033[3~x", "home end del t[x] ");
	expect("\033[1;5C\033[1;3D\033b\033f", "wright wleft mb mf ");
	expect("x\033", "t[x] esc ");
	/* F5, a mouse, a report of the cursor: nothing of them is typed */
	expect("a\033[15~b\033[<0;10;10Mc\033[5;10R", "t[abc] ");
}

static void pasted(void)
{
	expect("\033[200~a\tb\r\nc\033[201~d\r", "t[a\tb] enter t[cd] enter ");
	expect("\033[200~a\001b\033[Ac\033[201~\001", "t[abc] c1 ");
}

static void invalid(void)
{
	expect("a\377\376b", "t[ab] ");
	expect("a\303(b", "t[a(b] ");
	expect("\303\r", "enter ");
}

/* Any bytes in any pieces: it comes to an end, and gives valid text. */
static void random_bytes(void)
{
	static const char common[] = "\033[O~;0123456789ABab\303\244\r\t\177";
	struct keys keys = { 0 };

	srandom(7);
	for (int i = 0; i < 20000; i++) {
		char bytes[16];
		size_t len = (size_t)random() % sizeof(bytes);
		struct key k;

		for (size_t j = 0; j < len; j++)
			bytes[j] = random() % 4 ? common[(size_t)random() % sizeof(common)] :
						  (char)random();
		CHECK(keys_add(&keys, bytes, len));
		while (keys_next(&keys, random() % 8 == 0, &k))
			CHECK(k.kind != KEY_TEXT || k.len > 0);
	}
	CHECK(keys.len - keys.at < 64);
	keys_free(&keys);
}

static void widths(void)
{
	struct width_place p = { 0 };

	CHECK(setlocale(LC_CTYPE, "C.UTF-8"));
	CHECK_INT((int)width_cut("abcdef", 6, 4), 4);
	CHECK_INT((int)width_cut("\033[1mab\033[0mc", 12, 2), 10); /* what follows has no width */
	CHECK_INT((int)width_cut("a\346\227\245b", 5, 2), 1); /* half of a wide letter is none */
	CHECK_INT((int)width_cut("ab\ncd", 5, 9), 2);
	width_move(&p, "abc\ndefgh", 9, 80);
	CHECK(p.row == 1 && p.column == 5);
	width_move(&p, "\rx\t\033[31my\033[0m", 14, 80);
	CHECK(p.row == 1 && p.column == 9);
	p = (struct width_place){ 0 };
	width_move(&p, "0123456789", 10, 10);
	CHECK(p.row == 0 && p.column == 10); /* it waits at the edge */
	p = (struct width_place){ 0 };
	width_move_shown(&p, "0123456789", 10, 10);
	CHECK(p.row == 1 && p.column == 0); /* the editor does not */
	p = (struct width_place){ 0 };
	width_move_shown(&p, "\001\346\227\245\346\227\245", 7, 5);
	CHECK(p.row == 1 && p.column == 2);
}

static void common_start(void)
{
	static const char *const words[] = { "attach", "aggregate", "after" };
	static const char *const one[] = { "print" };
	static const char *const letters[] = { "x\303\244", "x\303\266" };
	char *word = complete_word("a", 1, words, 3);

	CHECK(!word);
	word = complete_word("pri", 3, one, 1);
	CHECK_STR(word, "print");
	free(word);
	CHECK(!complete_word("print", 5, one, 1));
	CHECK(!complete_word("x", 1, letters, 2)); /* no half of a letter */
	CHECK(!complete_word("", 0, words, 0));
}

static const struct t_case cases[] = {
	{ "characters, controls and lines are told apart", plain },
	{ "sequences are one key each, unknown ones none", sequences },
	{ "what is pasted is text and ends of lines", pasted },
	{ "bytes that are no text are left out", invalid },
	{ "any bytes come to an end", random_bytes },
	{ "text is as wide as a terminal shows it", widths },
	{ "words are completed as far as they agree", common_start },
};

T_MAIN(cases)
