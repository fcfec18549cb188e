/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* stdio_safe.h - standard output that is closed or full is told, whoever writes to it and however the program ends. */
#ifndef BPFNET_STDIO_SAFE_H
#define BPFNET_STDIO_SAFE_H

/*
 * To be called first. Closed standard descriptors are filled, so that nothing we open gets their numbers and is
 * written to; at exit, also by os.exit(), a failed output ends the process with a message and status 1.
 */
void stdio_begin(void);

/* Writes out what is buffered. 0, or the errno of the first failure, -1 if that is not known any more. */
int stdio_flush(void);

#endif
