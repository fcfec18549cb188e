/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * doctor_job.h - a piece of work in a process of its own, whose answer is a text.
 *
 * What it opens and attaches is gone with it, however it ends; several work at once, and let go at once.
 * None lets go while another works: who looks for redirects opens all maps, and the kernel may keep a program array
 * for ever that is opened while it goes away (see tests/runtime/ids.c).
 */
#ifndef BPFNET_DOCTOR_JOB_H
#define BPFNET_DOCTOR_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct doctor_job {
	pid_t pid; /* 0: none */
	int answer; /* end of a socket pair, -1: none */
	char *text;
	size_t len;
};

/* Runs work(arg, fd) in a child, which writes its answer to fd. 0 or -errno. */
int doctor_job_start(struct doctor_job *job, void (*work)(void *arg, int fd), void *arg);
/*
 * Waits for the answer, at most until deadline_ns (of now_ns()). True if it has come: text, of len
 * bytes. The process then waits to be dismissed.
 */
bool doctor_job_wait(struct doctor_job *job, uint64_t deadline_ns);
/* It may end; does not wait for that. */
void doctor_job_dismiss(struct doctor_job *job);
/* Waits for the end of one that was dismissed, or kills it. Twice is fine. */
void doctor_job_end(struct doctor_job *job, bool wait);

#endif
