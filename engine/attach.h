/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* attach.h - attaches one loaded program where its section name says. */
#ifndef BPFNET_ATTACH_H
#define BPFNET_ATTACH_H

#include <stdbool.h>

/* The kinds of hooks that attach_program() knows. */
bool attach_knows(const char *sec);
/* A descriptor that is closed to detach, or -errno. sec: "tp_btf/NAME", "kprobe/NAME", ... */
int attach_program(int prog_fd, const char *sec);

#endif
