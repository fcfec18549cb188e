/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probe_sweep.h - for a probe that keeps what has begun in a map: tells what nobody else will tell.
 *
 * Its iterator `sweep_<map>` is run over <map> a few times in a second. It tells what has not moved
 * for `sweep_after_ns`, a variable of the object, and with 0 all that is left, and forgets it.
 */
#ifndef BPFNET_PROBE_SWEEP_H
#define BPFNET_PROBE_SWEEP_H

#include <stdint.h>
#include "err.h"

struct bpf_object;
struct probe;

/* timeout_ns: how long to wait, 0: the usual time. -EINVAL if the probe has no use for it. */
int probe_sweep_open(struct probe *probe, uint64_t timeout_ns, struct err *err);
/* Constants of an object that is about to be loaded. */
void probe_sweep_setup(const struct probe *probe, struct bpf_object *obj);
/* Sweeps from now on. 0 (also if it has nothing to sweep); -ENOMEM. */
int probe_sweep_start(struct probe *probe, struct err *err);
/* Ends that; tells all that is left. Nothing may be attached any more. */
void probe_sweep_stop(struct probe *probe);

#endif
