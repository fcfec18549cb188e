/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpfnet doctor: what works here; written in Lua (lua/bpfnet/doctor.lua). */
#include <stdio.h>
#include <lua.h>
#include "cmd.h"
#include "log.h"
#include "loop.h"
#include "script.h"
#include "util.h"

static const char code[] = "return os.exit(require('bpfnet.doctor').main(arg), true)";

int cmd_doctor(int argc, char **argv)
{
	struct script_opts opts = { .ring_bytes = 4096 };
	struct script *s;
	struct err err;

	if (script_new(&s, &opts, &err)) {
		log_msg(LOG_ERROR, "%s", err.msg);
		return EXIT_FAILED;
	}
	script_set_args(s, "doctor", argc - 1, argv + 1);
	if (script_load_string(s, code, strlen(code), "=doctor"))
		script_run_chunk(s, 0);
	if (script_error(s) && loop_signal(script_loop(s)))
		log_msg(LOG_ERROR, "doctor: interrupted");
	else if (script_error(s))
		log_msg(LOG_ERROR, "%s", script_error(s));
	script_free(s);
	return EXIT_FAILED;
}
