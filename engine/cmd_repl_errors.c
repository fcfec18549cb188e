/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include "cmd_repl.h"
#include "log.h"
#include "loop.h"
#include "util.h"

/* As many different ones are told apart; of more, the one that came longest ago is forgotten. */
#define MAX_KNOWN 32
#define LINE      200
/* New ones in a second that are shown in full: a message may have a number in it that changes. */
#define MAX_NEW 5

struct known {
	char what[LINE]; /* "handler of tcpclose: first line" */
	uint64_t count; /* since it was told */
	uint64_t last_ns;
};

struct handler_errors {
	struct loop_timer *timer;
	struct known known[MAX_KNOWN];
	int shown; /* in this second */
	uint64_t others; /* not shown */
};

static void tell(void *arg)
{
	struct handler_errors *e = arg;

	for (int i = 0; i < MAX_KNOWN; i++) {
		struct known *k = &e->known[i];

		if (k->count)
			log_msg(LOG_ERROR, "%s (%llu more)", k->what, (unsigned long long)k->count);
		k->count = 0;
	}
	if (e->others)
		log_msg(LOG_ERROR, "%llu more errors of handlers, of other texts",
			(unsigned long long)e->others);
	e->others = 0;
	e->shown = 0;
}

static struct known *find(struct handler_errors *e, const char *what)
{
	struct known *oldest = &e->known[0];

	for (int i = 0; i < MAX_KNOWN; i++) {
		if (str_eq(e->known[i].what, what))
			return &e->known[i];
		if (e->known[i].last_ns < oldest->last_ns)
			oldest = &e->known[i];
	}
	return oldest;
}

static void start_second(struct handler_errors *e)
{
	if (!e->shown && !e->others)
		loop_timer_set(e->timer, NSEC_PER_SEC, 0);
}

void handler_errors_add(void *arg, const char *label, const char *error)
{
	struct handler_errors *e = arg;
	char what[LINE];
	struct known *k;

	snprintf(what, sizeof(what), "%s%s%s%.*s", label ? "handler of " : "", label ? label : "",
		 label ? ": " : "", (int)strcspn(error, "\n"), error);
	k = find(e, what);
	if (str_eq(k->what, what)) {
		if (!k->count++)
			loop_timer_set(e->timer, NSEC_PER_SEC, 0);
	} else if (e->shown == MAX_NEW) {
		e->others++;
	} else {
		start_second(e);
		e->shown++;
		strcpy(k->what, what);
		k->count = 0;
		log_msg(LOG_ERROR, "%s%s%s%s", label ? "handler of " : "", label ? label : "",
			label ? ": " : "", error);
	}
	k->last_ns = now_ns();
}

struct handler_errors *handler_errors_new(struct loop *loop)
{
	struct handler_errors *e = calloc(1, sizeof(*e));

	if (e)
		e->timer = loop_timer_new(loop, tell, e);
	if (e && !e->timer) {
		free(e);
		return NULL;
	}
	return e;
}

void handler_errors_free(struct handler_errors *e)
{
	if (!e)
		return;
	tell(e);
	loop_timer_free(e->timer);
	free(e);
}
