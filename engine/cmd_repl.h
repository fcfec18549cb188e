/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* cmd_repl.h - what the files of `bpfnet repl` need of each other. */
#ifndef BPFNET_CMD_REPL_H
#define BPFNET_CMD_REPL_H

struct handler_errors;
struct loop;
struct run_opts;

/* `bpfnet repl --attach PID`: a prompt inside another process. Returns the exit status. */
int repl_attach(const struct run_opts *opts);

/*
 * Errors of handlers, at the prompt: each is shown in full once, and then counted, and what was counted is told
 * once in a second.
 */
struct handler_errors *handler_errors_new(struct loop *loop); /* NULL: out of memory */
void handler_errors_free(struct handler_errors *errors);
/* For script_set_session(). */
void handler_errors_add(void *errors, const char *label, const char *error);

#endif
