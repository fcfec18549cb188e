/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* lua_run.h - runs Lua code as `bpfnet run -e` does, for tests of everything above C. */
#ifndef BPFNET_TEST_LUA_RUN_H
#define BPFNET_TEST_LUA_RUN_H

#include "caps.h"
#include "log.h"
#include "loop.h"
#include "script.h"
#include "t.h"

static struct script *script;

static inline void script_start(size_t max_memory, double max_seconds)
{
	struct script_opts opts = { max_memory, max_seconds, 64 * 1024 };
	struct err err;

	log_catch_libbpf();
	log_set_level(LOG_ERROR);
	if (script_new(&script, &opts, &err))
		FAIL("%s", err.msg);
}

static inline void script_end(void)
{
	script_free(script);
	script = NULL;
}

/* Runs a chunk with the name `chunk`; its error, or NULL. */
static inline const char *script_run(const char *code)
{
	script_clear_error(script);
	if (script_load_string(script, code, strlen(code), "=chunk"))
		script_run_chunk(script, 0);
	return script_error(script);
}

/* The code runs through; it checks by assert(). */
static inline void script_ok(const char *code)
{
	const char *error = script_run(code);

	if (error)
		FAIL("%s", error);
}

static inline void script_fails(const char *code, const char *message)
{
	CHECK_HAS(script_run(code), message);
}

static inline void need_bpf(void)
{
	struct err err;

	if (caps_check(&err))
		SKIP("%s", err.msg);
}

#endif
