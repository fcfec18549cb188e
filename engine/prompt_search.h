/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* prompt_search.h - Ctrl-R: the newest line of the history with a text in it, while that is typed. */
#ifndef BPFNET_PROMPT_SEARCH_H
#define BPFNET_PROMPT_SEARCH_H

#include "prompt_priv.h"

struct search {
	bool on;
	char text[64];
	int nth; /* of those that have it */
	char prompt[64]; /* that was there before */
};

/* True if the key was for the search: Ctrl-R begins one. What ends it is used as ever, with the line that was found. */
bool search_key(struct search *search, struct editor *e, const struct key *key);

#endif
