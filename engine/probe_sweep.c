/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <bpf/libbpf.h>
#include "globals.h"
#include "log.h"
#include "loop.h"
#include "object.h"
#include "probe_priv.h"
#include "probe_sweep.h"
#include "tracer.h"
#include "util.h"

#define SWEEP_MOST_NS  (NSEC_PER_SEC / 4)
#define SWEEP_LEAST_NS (NSEC_PER_SEC / 100)

static const char prefix[] = "sweep_";

/* The name of the iterator; what follows the prefix is that of the map. NULL: there is none. */
static const char *sweeper(const struct probe *p)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, object_bpf(p->obj))
		if (str_starts(bpf_program__name(prog), prefix))
			return bpf_program__name(prog);
	return NULL;
}

static uint64_t *after(const struct bpf_object *obj)
{
	return globals_find(obj, ".data", "sweep_after_ns", sizeof(uint64_t));
}

int probe_sweep_open(struct probe *p, uint64_t timeout_ns, struct err *err)
{
	if (timeout_ns && !sweeper(p)) {
		err_set(err, -EINVAL, "probe '%s' has no use for the option \"timeout\"", p->name);
		err_hint(err, "it is for podnet and tcprequest");
		return -EINVAL;
	}
	p->sweep.timeout_ns = timeout_ns;
	return 0;
}

void probe_sweep_setup(const struct probe *p, struct bpf_object *obj)
{
	uint64_t *ns = after(obj);

	if (ns && p->sweep.timeout_ns)
		*ns = p->sweep.timeout_ns;
}

static void sweep(void *arg)
{
	struct probe *p = arg;
	const char *name = sweeper(p);
	struct err err;

	if (object_iterate(p->obj, name, name + sizeof(prefix) - 1, &err) && !p->sweep.told) {
		p->sweep.told = true;
		log_msg(LOG_WARN, "%s", err.msg);
	}
}

/* Often enough that a timeout ends at most half as late again. */
static uint64_t interval_ns(const struct probe *p)
{
	const uint64_t *ns = after(object_bpf(p->obj));
	uint64_t half = ns ? *ns / 2 : SWEEP_MOST_NS;

	if (half > SWEEP_MOST_NS)
		return SWEEP_MOST_NS;
	return half < SWEEP_LEAST_NS ? SWEEP_LEAST_NS : half;
}

int probe_sweep_start(struct probe *p, struct err *err)
{
	uint64_t ns;

	if (!sweeper(p))
		return 0;
	if (!p->sweep.timer)
		p->sweep.timer = loop_timer_new(tracer_loop(p->tracer), sweep, p);
	if (!p->sweep.timer)
		return err_set(err, -ENOMEM, "out of memory");
	ns = interval_ns(p);
	loop_timer_set(p->sweep.timer, ns, ns);
	return 0;
}

void probe_sweep_stop(struct probe *p)
{
	uint64_t *ns, usual;

	if (!p->sweep.timer)
		return;
	loop_timer_free(p->sweep.timer);
	p->sweep.timer = NULL;
	ns = after(object_bpf(p->obj));
	if (!ns)
		return;
	usual = *ns;
	*ns = 0;
	sweep(p);
	*ns = usual;
}
