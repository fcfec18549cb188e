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

static const struct t_case cases[] = {
	{ "expressions have the value that is expected", values },
};

T_MAIN(cases)
