/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include "cmd.h"
#include "log.h"
#include "stdio_safe.h"
#include "util.h"
#include "version.h"

const struct command commands[] = {
	{ "run", "[options] FILE [args] | -e CODE [args] | - [args]",
	  "run a script: a file, one that is shipped (by name), CODE, or standard input",
	  "options:\n"
	  "  -e CODE           run CODE\n"
	  "  --limit-time S    stop a callback that runs longer than S seconds (default 1, 0: never)\n"
	  "  --limit-mem MIB   memory that the script may use (default 256, 0: no limit)\n"
	  "  --buffer SIZE     size of the event ring: bytes, or with K or M (default 8M)\n"
	  "  -v, --verbose     tell more; twice: libbpf's messages too\n"
	  "  -q, --quiet       errors only\n"
	  "\n"
	  "The script runs until it ends, or while something is attached until Ctrl-C or SIGTERM.\n"
	  "`bpfnet run FILE --help` shows the comment that a script starts with.\n",
	  cmd_run },
	{ "repl", "[options] [-e CODE] [FILE [args]] | --attach PID",
	  "a Lua prompt against live probes",
	  "options:\n"
	  "  -e CODE           run CODE before the first prompt, after FILE\n"
	  "  --attach PID      a prompt inside of a running `bpfnet run` or `bpfnet repl`\n"
	  "  --limit-time S    stop a handler that runs longer than S seconds (default 1, 0: never)\n"
	  "  --limit-mem MIB   memory that Lua may use (default 256, 0: no limit)\n"
	  "  --buffer SIZE     size of the event ring: bytes, or with K or M (default 8M)\n"
	  "  -v, --verbose     tell more; twice: libbpf's messages too\n"
	  "  -q, --quiet       errors only\n"
	  "\n"
	  "FILE, a script as for `run`, runs first; its globals are there at the prompt. help() tells\n"
	  "what can be done. Tab completes, Ctrl-C stops what runs, Ctrl-D ends and detaches all.\n"
	  "Lines from a pipe run one by one. With --attach a line that runs longer than the script's\n"
	  "--limit-time is stopped: it holds up the script's events.\n",
	  cmd_repl },
	{ "probes", "[NAME] [--json]",
	  "list the probes and what of them works here; with NAME its fields, filters and hooks",
	  "options:\n"
	  "  --json    a line of JSON for each probe, with all that is known of it\n",
	  cmd_probes },
	{ "doctor", "[options]", "what works on this node, what does not, and what to do about it",
	  "options:\n"
	  "  --json            one JSON object: verdict, checks, probes, runtimes\n"
	  "  -v, --verbose     each point that can't be seen, and what is all right in full\n"
	  "\n"
	  "Each way to hook and each probe is tried: loaded, attached for a moment, let go. Nothing on the node\n"
	  "is changed. Exit status: 0 if the TCP probes can run here, 1 if not, 2 for wrong usage.\n",
	  cmd_doctor },
	{ "redirect", "--cgroup PATH | --pods UID [options] | status | stop | clean | bench",
	  "carry local TCP past the TCP/IP stack while it runs",
	  "which connections, both ends of which must be on this host:\n"
	  "  --cgroup PATH[,PATH]    of processes in these cgroups (\"/\": all of this host)\n"
	  "  --pods UID[,UID]        of processes in these pods\n"
	  "  --ports LIST            only with one of these ports at either end: 8080,9000-9100\n"
	  "  --pids LIST             only between these processes\n"
	  "  --exclude-ports LIST    none with such a port\n"
	  "  --exclude-pids LIST     none of such a process\n"
	  "options:\n"
	  "  --policy turns|all      take only what takes turns, and let streams go (default), or\n"
	  "                          take everything and keep it\n"
	  "  --blocking              take blocking sockets too: some receive calls behave otherwise\n"
	  "  --any-kernel            also on a kernel that is known to be unfit\n"
	  "  --duration S            end after S seconds\n"
	  "  --detach[=NAME]         go to the background; NAME is \"default\" if not given\n"
	  "  --json                  a line of JSON for each event\n"
	  "  -v, --verbose           a line for each connection that is taken, let go, refused, closed\n"
	  "  -q, --quiet             only that it is on, and errors\n"
	  "\n"
	  "It runs until Ctrl-C or SIGTERM, then lets all connections go: they go on through TCP. If it\n"
	  "is killed, they go on too; one in the background is then to be ended by stop or clean.\n"
	  "\n"
	  "  redirect status [NAME] [-v] [--json]   what redirects of this host do; -v: each connection\n"
	  "  redirect stop [NAME]                   end one in the background, also one whose process died\n"
	  "  redirect clean                         remove what redirects that died left behind\n"
	  "  redirect bench [--rounds N] [--json]   measure here what it gains\n",
	  cmd_redirect },
	{ "help", "[COMMAND] | --man | --completion bash|zsh | --luarc", "explain a command",
	  "options, each of which writes a file to standard output:\n"
	  "  --man                  the manual page bpfnet(8)\n"
	  "  --completion bash|zsh  completion for a shell\n"
	  "  --luarc                .luarc.json for a folder of scripts: lua-language-server then knows\n"
	  "                         the API, and each probe's events and filters\n"
	  "\n"
	  "`make install` puts the first two where they belong.\n",
	  cmd_help },
	{ NULL, NULL, NULL, NULL, NULL },
};

int common_option(int opt)
{
	if (opt == 'v')
		log_set_level(log_get_level() < LOG_INFO ? LOG_INFO : LOG_DEBUG);
	else if (opt == 'q')
		log_set_level(LOG_ERROR);
	return opt == 'v' || opt == 'q';
}

int main(int argc, char **argv)
{
	const struct command *c;

	stdio_begin();
	log_catch_libbpf();
	if (argc < 2) {
		command_overview(stderr);
		return EXIT_USAGE;
	}
	if (str_eq(argv[1], "--version")) {
		puts("bpfnet " BPFNET_VERSION);
		return EXIT_OK;
	}
	if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))
		return cmd_help(1, argv);
	c = command_find(argv[1]);
	if (!c)
		return command_unknown(argv[1]);
	if (argc > 2 && str_eq(argv[2], "--help"))
		return command_help(c);
	return c->run(argc - 1, argv + 1);
}
