/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* log.h - messages to standard error, by level, and libbpf's own messages one level lower. */
#ifndef BPFNET_LOG_H
#define BPFNET_LOG_H

#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vmsg(enum log_level level, const char *fmt, va_list ap);
/* Messages above this level are left out; LOG_WARN at first. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* Makes libbpf log through us; needed before its first call. */
void log_catch_libbpf(void);
/* Forgets what libbpf said; then its next failure can be asked for. */
void log_libbpf_reset(void);
/* The program that libbpf failed to load since the last reset, "" if none. */
const char *log_libbpf_program(void);
/* The end of the verifier's words, or libbpf's last warning, since the last reset; "" if none. */
const char *log_libbpf_reason(void);

#endif
