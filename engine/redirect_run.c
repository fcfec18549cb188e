/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The manager: the programs notice what has to be done, and we do what only iterators or user space
 * may do with a sockmap. All state is in the kernel's maps.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "log.h"
#include "loop.h"
#include "redirect_owner.h"
#include "redirect_priv.h"
#include "redirect_wake.h"
#include "util.h"

#define WHY_SCOPE     10 /* of bpf/redirect.h */
#define ALIVE_NS      (2 * NSEC_PER_SEC)
#define TICK_NS       (100 * NSEC_PER_MSEC)
#define IDLE_SWEEP_NS NSEC_PER_SEC
#define BUSY_SWEEP_NS (1 * NSEC_PER_MSEC) /* at first, then seldomer */
#define LOOK_NS       (50 * NSEC_PER_MSEC)
#define RETRY_NS      (1 * NSEC_PER_MSEC)

/* Runs an iterator; what it prints goes into buf. Returns how much, or -errno. */
static ssize_t run_iterator(int link, void *buf, size_t size)
{
	int fd = bpf_iter_create(link);
	size_t got = 0;
	ssize_t n = fd < 0 ? -errno : 1;

	while (n > 0 && got < size) {
		n = read(fd, (char *)buf + got, size - got);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			n = 1;
		else if (n > 0)
			got += (size_t)n;
	}
	if (n < 0)
		n = -errno;
	close_fd(&fd);
	return n < 0 ? n : (ssize_t)got;
}

static void run_silently(struct bpf_link *link)
{
	char none[64];
	ssize_t n = run_iterator(bpf_link__fd(link), none, sizeof(none));

	if (n < 0)
		log_msg(LOG_WARN, "redirect: can't look at sockets: %s", strerror((int)-n));
}

static void take_wanted(struct redirect *r)
{
	char waiting[4096];
	ssize_t n = run_iterator(bpf_link__fd(r->taker), waiting, sizeof(waiting));

	if (n < 0)
		log_msg(LOG_WARN, "redirect: can't take connections: %s", strerror((int)-n));
	r->wanted = n > 0;
	if (n > 0)
		loop_timer_set(r->timer, RETRY_NS, TICK_NS);
}

static void wake(struct redirect *r, const struct redirect_chore *chore)
{
	uint32_t one = 1;
	int rc = bpf_map_update_elem(r->waking_fd, &chore->cookie, &one, BPF_ANY);

	if (!rc)
		rc = redirect_wake_in(chore->netns, bpf_link__fd(r->waker));
	if (rc)
		log_msg(LOG_DEBUG, "redirect: nobody told of data in namespace %u: %s",
			chore->netns, strerror(-rc));
	bpf_map_delete_elem(r->waking_fd, &chore->cookie);
}

static void do_chore(struct redirect *r, const struct redirect_chore *chore)
{
	if (!chore->netns)
		bpf_map_delete_elem(r->flows_fd, &chore->cookie);
	else if (r->waker)
		wake(r, chore);
}

int redirect_sweep(struct redirect *r)
{
	struct redirect_totals *now = (struct redirect_totals *)r->totals;
	struct redirect_chore chores[1024];
	ssize_t n;

	memset(&now->known, 0, sizeof(*now) - offsetof(struct redirect_totals, known));
	n = run_iterator(r->sweep_fd, chores, sizeof(chores));
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(*chores); i++)
		do_chore(r, &chores[i]);
	return n < 0 ? (int)n : 0;
}

static void tell(struct redirect *r, const struct redirect_notice *notice)
{
	struct redirect_flow flow;
	bool known = bpf_map_lookup_elem(r->flows_fd, &notice->cookie, &flow) == 0;

	if (r->fn)
		r->fn(r->arg, notice, known ? &flow : NULL);
}

/* The end that knows is refused; the candidates stay as they are, and are never ready. */
static void out_of_scope(struct redirect *r, struct redirect_notice notice)
{
	struct redirect_refusal refusal = { .tuple = notice.tuple, .peer = notice.peer };

	notice.kind = NOTICE_REFUSED;
	notice.why = refusal.why = WHY_SCOPE;
	bpf_map_update_elem(r->refused_fd, &notice.cookie, &refusal, BPF_ANY);
	tell(r, &notice);
}

static bool in_scope(const struct redirect *r, const struct redirect_notice *n)
{
	if (r->nr_pids && !(socket_is_of(n->ino, r->pids, r->nr_pids) &&
			    socket_is_of(n->peer_ino, r->pids, r->nr_pids)))
		return false;
	return !socket_is_of(n->ino, r->excluded, r->nr_excluded) &&
	       !socket_is_of(n->peer_ino, r->excluded, r->nr_excluded);
}

static void on_wanted(struct redirect *r, const struct redirect_notice *n)
{
	uint32_t one = 1;

	if (r->config->some_pids && !in_scope(r, n)) {
		out_of_scope(r, *n);
		return;
	}
	if (r->config->some_pids) {
		bpf_map_update_elem(r->ready_fd, &n->cookie, &one, BPF_ANY);
		bpf_map_update_elem(r->ready_fd, &n->peer, &one, BPF_ANY);
	}
	r->wanted = true;
}

static int on_notice(void *arg, void *data, size_t size)
{
	const struct redirect_notice *notice = data;
	struct redirect *r = arg;

	if (size < sizeof(*notice))
		return 0;
	switch (notice->kind) {
	case NOTICE_WANTED:
		on_wanted(r, notice);
		return 0;
	case NOTICE_PASSING:
		r->busy_ns = r->busy_ns ? r->busy_ns : LOOK_NS;
		return 0;
	case NOTICE_LEAVING:
		r->busy_ns = BUSY_SWEEP_NS;
		break;
	}
	tell(r, notice);
	return 0;
}

static void on_readable(void *arg, uint32_t events)
{
	struct redirect *r = arg;

	(void)events;
	ring_buffer__consume(r->notices);
	if (r->wanted)
		take_wanted(r);
	if (r->busy_ns == BUSY_SWEEP_NS)
		loop_timer_set(r->timer, r->busy_ns, TICK_NS);
}

/* We are alive: without this the programs let everything go by TCP. */
static void beat(struct redirect *r)
{
	r->config->until_ns = now_ns() + ALIVE_NS;
}

/* Until the last connection that was there before is gone. */
static void sample(struct redirect *r)
{
	if (!r->sampling)
		return;
	r->totals->sampled = 0;
	run_silently(r->sampler);
	r->sampling = r->totals->sampled > 0;
}

/* What was in notices that found no room: only a look at everything tells. */
static void make_good(struct redirect *r)
{
	if (r->totals->lost_notices == r->lost_notices)
		return;
	r->lost_notices = r->totals->lost_notices;
	r->wanted = true;
	r->busy_ns = BUSY_SWEEP_NS;
}

static void on_tick(void *arg)
{
	struct redirect *r = arg;
	uint64_t now = now_ns();

	beat(r);
	sample(r);
	make_good(r);
	if (now >= r->sweep_ns || r->busy_ns) {
		r->sweep_ns = now + IDLE_SWEEP_NS;
		redirect_sweep(r);
		r->busy_ns = r->totals->leaving || r->totals->unread ? r->busy_ns * 2 : 0;
		if (r->busy_ns > TICK_NS)
			r->busy_ns = TICK_NS;
		if (r->busy_ns)
			loop_timer_set(r->timer, r->busy_ns, TICK_NS);
	}
	on_readable(r, 0);
}

int redirect_run(struct redirect *r, struct err *err)
{
	r->timer = loop_timer_new(r->loop, on_tick, r);
	if (!r->timer)
		return err_set(err, -ENOMEM, "out of memory");
	r->sweep_ns = now_ns() + IDLE_SWEEP_NS;
	r->notices = ring_buffer__new(r->notices_fd, on_notice, r, NULL);
	if (!r->notices)
		return err_sys(err, -errno, "redirect: can't read its notices");
	r->watch = loop_watch(r->loop, ring_buffer__epoll_fd(r->notices), EPOLLIN, on_readable, r);
	if (!r->watch)
		return err_set(err, -ENOMEM, "redirect: can't wait for its notices");
	beat(r);
	r->sampling = true;
	run_silently(r->adopter);
	loop_timer_set(r->timer, TICK_NS, TICK_NS);
	return 0;
}

void redirect_halt(struct redirect *r)
{
	loop_unwatch(r->watch);
	loop_timer_free(r->timer);
	ring_buffer__free(r->notices);
	r->watch = NULL;
	r->timer = NULL;
	r->notices = NULL;
}
