/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* prompt_complete.h - what Tab does with the words that fit. */
#ifndef BPFNET_PROMPT_COMPLETE_H
#define BPFNET_PROMPT_COMPLETE_H

#include <stddef.h>

/*
 * What the words begin with in common, if that is another word than the one that is there (len bytes); to be freed.
 * NULL: nothing to put in.
 */
char *complete_word(const char *word, size_t len, const char *const *words, int n);
/* Writes the words in columns as output. */
void complete_show(const char *const *words, int n);

#endif
