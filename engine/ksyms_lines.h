/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ksyms_lines.h - the lines of /proc/kallsyms, for ksyms.c and points_syms.c. */
#ifndef BPFNET_KSYMS_LINES_H
#define BPFNET_KSYMS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KSYMS_FILE "/proc/kallsyms"
#define KSYMS_NAME 512 /* KSYM_NAME_LEN */

/* What a line says: "ffffffffc0a01010 t br_forward\t[bridge]". Not ended by a NUL. */
struct ksyms_line {
	uint64_t addr;
	char type;
	const char *name;
	size_t name_len, len; /* without and with what stands behind the name */
};

/* Calls each() for every line until that returns false. 0 or -errno. */
int ksyms_each_line(bool (*each)(void *arg, const struct ksyms_line *line), void *arg);

#endif
