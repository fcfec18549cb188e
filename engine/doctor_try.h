/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* doctor_try.h - does a way to hook work here? Found out by using it. */
#ifndef BPFNET_DOCTOR_TRY_H
#define BPFNET_DOCTOR_TRY_H

/* The name of the i-th way that can be tried ("tp_btf", "kprobe.multi", ...); NULL after the last. */
const char *doctor_way(int i);
/*
 * Loads a program that does nothing, attaches it that way, and leaves it there until this process ends:
 * letting go takes the kernel some 30 ms each, which a process of its own may spend while others work.
 * 0 or -errno; -ENOENT too if the kernel has nothing of what it would be attached to.
 */
int doctor_try(int i);

#endif
