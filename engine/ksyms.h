/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ksyms.h - the kernel's symbols, from /proc/kallsyms: addresses as text, and addresses of names.
 *
 * What is kept is the functions, read when first asked for, and again when an address is in none of
 * them: a module was loaded since. Readers without CAP_SYSLOG see no addresses
 * (kernel.kptr_restrict); then all addresses are numbers, and a warning says so once.
 */
#ifndef BPFNET_KSYMS_H
#define BPFNET_KSYMS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "nf_hook_slow+0x4c", "br_forward+0x10 [bridge]", a function's own address without "+0x0", and
 * "0xffffffffc0a01000" for what is in no known function; *known (may be NULL) tells that from the
 * others. Good until the next call.
 */
const char *ksyms_text(uint64_t addr, bool *known);
/* The other way round. False if it is no such text, or names a function that is not there. */
bool ksyms_parse(const char *text, uint64_t *addr);
/*
 * Addresses of symbols of any kind, also of data and per-CPU data, 0 for those that are not there or
 * hidden. Reads the whole list, some 60 ms. Returns how many were found, or -errno.
 */
int ksyms_scan(const char *const *names, uint64_t *addrs, int n);
/* The same for one; 0 if there is none or addresses are hidden. */
uint64_t ksyms_find(const char *name);

#endif
