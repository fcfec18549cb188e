// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Uses one feature of TCP sockets after the other and prints what the application sees.
 *
 *   sockfeat [-t TURNS] [-i] FEATURE...    or "all"
 *   sockfeat list
 *
 * Each line of output is a JSON object: {"feature":..., "outcome":...} with numbers beside
 * it that differ from run to run; "skip" with the reason if this kernel has no such thing;
 * "failed" if the test itself could not go on, and then the exit status is 1. The same
 * outcome in two runs means that the application saw the same.
 *
 * Before it uses the feature it takes -t TURNS turns of request and response. With -i it
 * then prints {"ready":..., "sport":..., "dport":...}, the ports of client and server, and
 * waits for a line on standard input; features that have no single connection do not.
 *
 * Sockets are non-blocking, but those of features marked with "blocking".
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockfeat.h"

struct feature {
	const char *name, *what;
	void (*run)(void);
	bool blocking;
};

static const struct feature features[] = {
	{ "peek", "MSG_PEEK, over message boundaries", run_peek, false },
	{ "peek_b", "the same", run_peek, true },
	{ "waitall", "MSG_WAITALL", run_waitall, false },
	{ "waitall_b", "the same", run_waitall, true },
	{ "waitall_eof_b", "MSG_WAITALL and the end of the stream", run_waitall_eof, true },
	{ "rcvlowat", "SO_RCVLOWAT, set later", run_rcvlowat, false },
	{ "rcvlowat_b", "the same", run_rcvlowat, true },
	{ "rcvlowat_before", "SO_RCVLOWAT, set at first", run_rcvlowat_before, false },
	{ "dontwait_b", "MSG_DONTWAIT", run_dontwait, true },
	{ "signal_restart_b", "recv() and a signal with SA_RESTART", run_signal_restart, true },
	{ "signal_eintr_b", "recv() and a signal without", run_signal_eintr, true },
	{ "rst_blocked_b", "recv() and a reset", run_rst_blocked, true },
	{ "rcvtimeo_b", "SO_RCVTIMEO", run_rcvtimeo, true },
	{ "zero_length", "send and recv of nothing", run_zero_length, false },
	{ "zero_length_b", "the same", run_zero_length, true },
	{ "trunc", "recv(NULL, MSG_TRUNC)", run_trunc, false },
	{ "fionread", "FIONREAD", run_fionread, false },
	{ "peek_off", "SO_PEEK_OFF", run_peek_off, false },
	{ "tcp_inq", "TCP_INQ", run_tcp_inq, false },
	{ "timestamp", "SO_TIMESTAMP", run_timestamp, false },
	{ "timestampns", "SO_TIMESTAMPNS", run_timestampns, false },
	{ "rx_timestamping", "SO_TIMESTAMPING of received data", run_rx_timestamping, false },
	{ "tx_timestamping", "SO_TIMESTAMPING of sent data", run_tx_timestamping, false },
	{ "oob", "MSG_OOB, SIOCATMARK", run_oob, false },
	{ "oob_b", "the same", run_oob, true },
	{ "oob_inline", "SO_OOBINLINE", run_oob_inline, false },
	{ "oob_poll", "POLLPRI", run_oob_poll, false },
	{ "splice_from", "splice() from the socket", run_splice_from, false },
	{ "splice_from_b", "the same", run_splice_from, true },
	{ "splice_to", "splice() to the socket", run_splice_to, false },
	{ "sendfile", "sendfile()", run_sendfile, false },
	{ "vmsplice", "vmsplice()", run_vmsplice, false },
	{ "zerocopy", "MSG_ZEROCOPY and its completion", run_zerocopy, false },
	{ "mmsg", "sendmmsg(), recvmmsg()", run_mmsg, false },
	{ "iovec", "writev(), readv() of 512 pieces", run_iovec, false },
	{ "uring", "io_uring", run_uring, false },
	{ "uring_b", "the same", run_uring, true },
	{ "uring_wait", "io_uring, received before it is sent", run_uring_wait, false },
	{ "uring_wait_b", "the same", run_uring_wait, true },
	{ "uring_waitall_b", "the same with MSG_WAITALL", run_uring_waitall, true },
	{ "outq", "SIOCOUTQ", run_outq, false },
	{ "tcp_info", "TCP_INFO", run_tcp_info, false },
	{ "cork", "TCP_CORK", run_cork, false },
	{ "more", "MSG_MORE", run_more, false },
	{ "nagle", "two small messages without TCP_NODELAY", run_nagle, false },
	{ "nodelay", "TCP_NODELAY", run_nodelay, false },
	{ "mark", "SO_MARK, SO_PRIORITY", run_mark, false },
	{ "busy_poll", "SO_BUSY_POLL", run_busy_poll, false },
	{ "names", "getsockname(), getpeername()", run_names, false },
	{ "repair", "TCP_REPAIR, as a checkpoint reads it", run_repair, false },
	{ "full_1", "the reader stops, messages of 1 byte", run_full_1, false },
	{ "full_64", "of 64 bytes", run_full_64, false },
	{ "full_1k", "of 1 KiB", run_full_1k, false },
	{ "full_64k", "of 64 KiB", run_full_64k, false },
	{ "full_b", "the reader stops, the writer blocks", run_full_blocking, true },
	{ "sndtimeo_b", "SO_SNDTIMEO", run_sndtimeo, true },
	{ "small_rcvbuf", "SO_RCVBUF 4096", run_small_rcvbuf, false },
	{ "small_sndbuf", "SO_SNDBUF 4096", run_small_sndbuf, false },
	{ "epoll_lt", "epoll, level-triggered", run_epoll_lt, false },
	{ "epoll_et", "epoll, edge-triggered", run_epoll_et, false },
	{ "epoll_et_part", "the same, reading a part", run_epoll_et_part, false },
	{ "epoll_oneshot", "EPOLLONESHOT", run_epoll_oneshot, false },
	{ "epoll_exclusive", "EPOLLEXCLUSIVE", run_epoll_exclusive, false },
	{ "epoll_out", "EPOLLOUT of a full socket", run_epoll_out, false },
	{ "epoll_rdhup", "EPOLLRDHUP", run_epoll_rdhup, false },
	{ "sigio", "O_ASYNC", run_sigio, false },
	{ "keepalive", "SO_KEEPALIVE, the path below idle", run_keepalive, false },
	{ "user_timeout", "TCP_USER_TIMEOUT, the same", run_user_timeout, false },
	{ "shut_wr", "SHUT_WR with data queued", run_shut_wr, false },
	{ "shut_wr_b", "the same", run_shut_wr, true },
	{ "shut_rd", "SHUT_RD with data queued", run_shut_rd, false },
	{ "shut_rdwr", "SHUT_RDWR with data queued both ways", run_shut_rdwr, false },
	{ "close_unread", "close() with unread data", run_close_unread, false },
	{ "close_written", "close() right after write(), five times", run_close_written, false },
	{ "close_full", "close() of a full socket", run_close_full, false },
	{ "linger_rst", "a reset with data queued", run_linger_rst, false },
	{ "linger_rst_b", "the same", run_linger_rst, true },
	{ "so_error", "SO_ERROR after a reset", run_so_error, false },
	{ "sigpipe", "SIGPIPE", run_sigpipe, false },
	{ "reconnect", "connect(AF_UNSPEC), connect()", run_reconnect, false },
	{ "tuple_reuse", "the same ports 200 times", run_tuple_reuse, false },
	{ "unaccepted", "the listener is closed before accept()", run_unaccepted, false },
	{ "fork", "parent and child read", run_fork, false },
	{ "fork_b", "the same", run_fork, true },
	{ "dup", "dup(), one of both closed", run_dup, false },
	{ "scm_rights", "SCM_RIGHTS to another process", run_scm_rights, false },
	{ "scm_outside", "SCM_RIGHTS to one outside of the cgroup", run_scm_outside, false },
	{ "two_writers", "two threads write at once", run_two_writers, false },
	{ "two_writers_b", "the same", run_two_writers, true },
	{ "duplex", "threads read and write at both ends", run_duplex, false },
	{ "duplex_b", "the same", run_duplex, true },
	{ "start_recv_b", "taken while a thread is in recv()", run_start_recv, true },
	{ "start_waitall_b", "in MSG_WAITALL with a part", run_start_waitall, true },
	{ "start_poll", "in poll()", run_start_poll, false },
	{ "start_epoll", "in epoll_wait()", run_start_epoll, false },
	{ "set_blocking", "O_NONBLOCK switched off later", run_set_blocking, false },
	{ "ktls", "TLS in the kernel, later", run_ktls, false },
	{ "ktls_before", "TLS in the kernel, at first", run_ktls_before, false },
	{ "sockmap_after", "another's sockmap, later", run_sockmap_after, false },
	{ "sockmap_before", "another's sockmap, at first", run_sockmap_before, false },
	{ "mptcp_both", "MPTCP", run_mptcp_both, false },
	{ "mptcp_client", "MPTCP to plain TCP", run_mptcp_client, false },
	{ "mptcp_server", "plain TCP to MPTCP", run_mptcp_server, false },
	{ "tfo", "TCP fast open", run_tfo, false },
	{ "defer_accept", "TCP_DEFER_ACCEPT", run_defer_accept, false },
};

#define FEATURES (sizeof(features) / sizeof(*features))

bool blocking, in_guest;

static bool failed;

static void run(const struct feature *f)
{
	int status;
	pid_t pid;

	say_open(f->name);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(FEATURE_SECONDS);
		blocking = f->blocking;
		f->run();
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	}
	if (say_close(status))
		failed = true;
}

static const struct feature *find(const char *name)
{
	for (size_t i = 0; i < FEATURES; i++) {
		if (!strcmp(features[i].name, name))
			return &features[i];
	}
	die("no feature %s; try: sockfeat list", name);
}

static void list(void)
{
	for (size_t i = 0; i < FEATURES; i++)
		printf("%-17s %s%s\n", features[i].name, features[i].what,
		       features[i].blocking ? " (blocking)" : "");
}

static int number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (!*text || *end || n < 0 || n > 10000)
		die("-t %s is not a number from 0 to 10000", text);
	return n;
}

static void options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "t:i")) != -1) {
		if (opt == 't')
			turns = number(optarg);
		else if (opt == 'i')
			interactive = true;
		else
			die("usage: sockfeat [-t TURNS] [-i] FEATURE... | all | list");
	}
	if (optind == argc)
		die("usage: sockfeat [-t TURNS] [-i] FEATURE... | all | list");
}

int main(int argc, char **argv)
{
	options(argc, argv);
	in_guest = getenv("VMRUN");
	if (!strcmp(argv[optind], "list")) {
		list();
		return 0;
	}
	for (int i = optind; i < argc; i++) {
		if (strcmp(argv[i], "all")) {
			run(find(argv[i]));
			continue;
		}
		for (size_t f = 0; f < FEATURES; f++)
			run(&features[f]);
	}
	return failed;
}
