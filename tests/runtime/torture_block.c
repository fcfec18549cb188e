// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Ends that block.  One that reads and writes in turns, or only one of both, does it in one
 * thread; others have a thread for each lane, and the reader opens the writer's gates.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define STACK (128 << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct end *first, **last = &first;
static int waiting, queued; /* threads, ends */

static void one_thread(struct end *e, char *buf)
{
	while (!settle(e)) {
		enum step wrote = write_step(e, buf), read;

		if (wrote == STEP_MORE)
			continue;
		read = settle(e) ? STEP_OVER : read_step(e, buf);
		if (wrote == STEP_IDLE && read == STEP_OVER && !gate_open(e) && !write_over(e)) {
			conn_fail(e->conn, "its thread neither reads nor writes");
			break;
		}
	}
	end_over(e);
}

/* A lane is over; the last one of both closes. */
static void lane_over(struct end *e)
{
	if (e->conn->failed)
		shutdown(e->fd, SHUT_RDWR); /* wakes the other lane */
	if (atomic_fetch_sub(&e->lanes, 1) > 1)
		return;
	settle(e);
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->opened);
	end_over(e);
}

static void writer(struct end *e, char *buf)
{
	enum step s;

	while ((s = write_step(e, buf)) != STEP_OVER) {
		if (s == STEP_MORE)
			continue;
		pthread_mutex_lock(&e->lock);
		while (!gate_open(e) && !write_over(e) && !e->conn->failed)
			pthread_cond_wait(&e->opened, &e->lock);
		pthread_mutex_unlock(&e->lock);
	}
	settle(e);
	lane_over(e);
}

static void reader(struct end *e, char *buf)
{
	enum step s;

	do {
		s = read_step(e, buf);
		pthread_mutex_lock(&e->lock);
		pthread_cond_signal(&e->opened);
		pthread_mutex_unlock(&e->lock);
	} while (s != STEP_OVER);
	lane_over(e);
}

static void enqueue(struct end *e);

static void begin(struct end *e, char *buf)
{
	if (!e->side && !end_connect(e, buf))
		return;
	if (!e->two_threads) {
		one_thread(e, buf);
		return;
	}
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->opened, NULL);
	e->lanes = 2;
	e->writer = true;
	enqueue(e);
	reader(e, buf);
}

static void *thread(void *arg)
{
	char *buf = malloc(BLOCK_BUFFER);
	struct end *e;

	(void)arg;
	if (!buf)
		die("no memory");
	for (;;) {
		pthread_mutex_lock(&lock);
		waiting++;
		while (!first)
			pthread_cond_wait(&work, &lock);
		waiting--;
		queued--;
		e = first;
		first = e->next;
		if (!first)
			last = &first;
		pthread_mutex_unlock(&lock);
		if (e->writer)
			writer(e, buf);
		else
			begin(e, buf);
	}
	return NULL;
}

static void new_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&t, &attr, thread, NULL);
	if (error)
		die("a thread: %s", strerror(error));
	pthread_attr_destroy(&attr);
}

/* Each end gets a thread at once: it may have to wait for another one in the queue. */
static void enqueue(struct end *e)
{
	bool more;

	e->next = NULL;
	pthread_mutex_lock(&lock);
	*last = e;
	last = &e->next;
	more = ++queued > waiting;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	if (more)
		new_thread();
}

/* Connects first, if it is a client. */
void block_start(struct end *e)
{
	e->writer = false;
	enqueue(e);
}
