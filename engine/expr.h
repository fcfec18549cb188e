/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * expr.h - `where` expressions: text that is checked against a record's fields, evaluated on a
 * record, or compiled to BPF instructions. The language is described in lua/README.md.
 *
 * Both ways to a result agree for every record: code is what a kernel runs, evaluation is for
 * records of the script's own making, and for tests.
 */
#ifndef BPFNET_EXPR_H
#define BPFNET_EXPR_H

#include <stdbool.h>
#include "err.h"

struct code;
struct expr;
struct layout;

/*
 * Parses and checks `text` against the fields of `layout`, which must outlive it.
 * 0; -EINVAL with the place in the text and what was expected; -ENOMEM.
 */
int expr_new(struct expr **expr, const char *text, const struct layout *layout, struct err *err);
/* NULL is fine. */
void expr_free(struct expr *expr);
/* The text as it was given. */
const char *expr_text(const struct expr *expr);
/* Whether the record passes. It needs no alignment. */
bool expr_eval(const struct expr *expr, const void *record);
/*
 * Emits code that falls through if the record at CODE_RECORD, aligned to 8, passes, and jumps to
 * label `no` if not. Uses registers 0 to 5 and the words at CODE_ROOM, and leaves 6 to 9 as they
 * are. 0; -E2BIG if it is too long or nested too deeply; -ENOMEM.
 */
int expr_code(const struct expr *expr, struct code *code, int no, struct err *err);

#endif
