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

enum { BLOCKING = 1, BEFORE = 2 };

struct feature {
	const char *name, *what;
	void (*run)(void);
	int flags;
};

static const struct feature features[] = {
	{ "peek", "MSG_PEEK, over message boundaries", run_peek, 0 },
	{ "peek_b", "the same", run_peek, BLOCKING },
	{ "waitall", "MSG_WAITALL", run_waitall, 0 },
	{ "waitall_b", "the same", run_waitall, BLOCKING },
	{ "waitall_eof_b", "MSG_WAITALL and the end of the stream", run_waitall_eof, BLOCKING },
	{ "rcvlowat", "SO_RCVLOWAT, set later", run_rcvlowat, 0 },
	{ "rcvlowat_b", "the same", run_rcvlowat, BLOCKING },
	{ "rcvlowat_before", "SO_RCVLOWAT, set at first", run_rcvlowat, BEFORE },
	{ "dontwait_b", "MSG_DONTWAIT", run_dontwait, BLOCKING },
	{ "signal_restart_b", "recv() and a signal with SA_RESTART", run_signal_restart, BLOCKING },
	{ "signal_eintr_b", "recv() and a signal without", run_signal_eintr, BLOCKING },
	{ "rst_blocked_b", "recv() and a reset", run_rst_blocked, BLOCKING },
	{ "rcvtimeo_b", "SO_RCVTIMEO", run_rcvtimeo, BLOCKING },
	{ "zero_length", "send and recv of nothing", run_zero_length, 0 },
	{ "zero_length_b", "the same", run_zero_length, BLOCKING },
	{ "trunc", "recv(NULL, MSG_TRUNC)", run_trunc, 0 },
	{ "fionread", "FIONREAD", run_fionread, 0 },
	{ "fionread_full", "FIONREAD of a full socket", run_fionread_full, 0 },
	{ "peek_off", "SO_PEEK_OFF", run_peek_off, 0 },
	{ "peek_off_before", "the same, set at first", run_peek_off, BEFORE },
	{ "tcp_inq", "TCP_INQ", run_tcp_inq, 0 },
	{ "tcp_inq_before", "the same, set at first", run_tcp_inq, BEFORE },
	{ "timestamp", "SO_TIMESTAMP", run_timestamp, 0 },
	{ "timestamp_before", "the same, set at first", run_timestamp, BEFORE },
	{ "timestampns", "SO_TIMESTAMPNS", run_timestampns, 0 },
	{ "timestampns_before", "the same, set at first", run_timestampns, BEFORE },
	{ "rx_timestamping", "SO_TIMESTAMPING of received data", run_rx_timestamping, 0 },
	{ "rx_timestamping_before", "the same, set at first", run_rx_timestamping, BEFORE },
	{ "tx_timestamping", "SO_TIMESTAMPING of sent data", run_tx_timestamping, 0 },
	{ "tx_timestamping_before", "the same, set at first", run_tx_timestamping, BEFORE },
	{ "oob", "MSG_OOB, SIOCATMARK", run_oob, 0 },
	{ "oob_b", "the same", run_oob, BLOCKING },
	{ "oob_inline", "SO_OOBINLINE", run_oob_inline, 0 },
	{ "oob_inline_before", "the same, set at first", run_oob_inline, BEFORE },
	{ "oob_poll", "POLLPRI", run_oob_poll, 0 },
	{ "splice_from", "splice() from the socket", run_splice_from, 0 },
	{ "splice_from_b", "the same", run_splice_from, BLOCKING },
	{ "splice_to", "splice() to the socket", run_splice_to, 0 },
	{ "sendfile", "sendfile()", run_sendfile, 0 },
	{ "vmsplice", "vmsplice()", run_vmsplice, 0 },
	{ "zerocopy", "MSG_ZEROCOPY and its completion", run_zerocopy, 0 },
	{ "zerocopy_before", "the same, set at first", run_zerocopy, BEFORE },
	{ "mmsg", "sendmmsg(), recvmmsg()", run_mmsg, 0 },
	{ "iovec", "writev(), readv() of 512 pieces", run_iovec, 0 },
	{ "uring", "io_uring", run_uring, 0 },
	{ "uring_b", "the same", run_uring, BLOCKING },
	{ "uring_wait", "io_uring, received before it is sent", run_uring_wait, 0 },
	{ "uring_wait_b", "the same", run_uring_wait, BLOCKING },
	{ "uring_waitall_b", "the same with MSG_WAITALL", run_uring_waitall, BLOCKING },
	{ "outq", "SIOCOUTQ", run_outq, 0 },
	{ "tcp_info", "TCP_INFO", run_tcp_info, 0 },
	{ "cork", "TCP_CORK", run_cork, 0 },
	{ "more", "MSG_MORE", run_more, 0 },
	{ "nagle", "two small messages without TCP_NODELAY", run_nagle, 0 },
	{ "nodelay", "TCP_NODELAY", run_nodelay, 0 },
	{ "mark", "SO_MARK, SO_PRIORITY", run_mark, 0 },
	{ "busy_poll", "SO_BUSY_POLL", run_busy_poll, 0 },
	{ "names", "getsockname(), getpeername()", run_names, 0 },
	{ "repair", "TCP_REPAIR, as a checkpoint reads it", run_repair, 0 },
	{ "full_1", "the reader stops, messages of 1 byte", run_full_1, 0 },
	{ "full_64", "of 64 bytes", run_full_64, 0 },
	{ "full_1k", "of 1 KiB", run_full_1k, 0 },
	{ "full_64k", "of 64 KiB", run_full_64k, 0 },
	{ "full_b", "the reader stops, the writer blocks", run_full_blocking, BLOCKING },
	{ "sndtimeo_b", "SO_SNDTIMEO", run_sndtimeo, BLOCKING },
	{ "small_rcvbuf", "SO_RCVBUF 4096", run_small_rcvbuf, 0 },
	{ "small_sndbuf", "SO_SNDBUF 4096", run_small_sndbuf, 0 },
	{ "epoll_lt", "epoll, level-triggered", run_epoll_lt, 0 },
	{ "epoll_et", "epoll, edge-triggered", run_epoll_et, 0 },
	{ "epoll_et_part", "the same, reading a part", run_epoll_et_part, 0 },
	{ "epoll_oneshot", "EPOLLONESHOT", run_epoll_oneshot, 0 },
	{ "epoll_exclusive", "EPOLLEXCLUSIVE", run_epoll_exclusive, 0 },
	{ "epoll_out", "EPOLLOUT of a full socket", run_epoll_out, 0 },
	{ "epoll_rdhup", "EPOLLRDHUP", run_epoll_rdhup, 0 },
	{ "sigio", "O_ASYNC", run_sigio, 0 },
	{ "keepalive", "SO_KEEPALIVE, the path below idle", run_keepalive, 0 },
	{ "user_timeout", "TCP_USER_TIMEOUT, the same", run_user_timeout, 0 },
	{ "shut_wr", "SHUT_WR with data queued", run_shut_wr, 0 },
	{ "shut_wr_b", "the same", run_shut_wr, BLOCKING },
	{ "shut_rd", "SHUT_RD with data queued", run_shut_rd, 0 },
	{ "shut_rdwr", "SHUT_RDWR with data queued both ways", run_shut_rdwr, 0 },
	{ "close_unread", "close() with unread data", run_close_unread, 0 },
	{ "close_written", "close() right after write(), five times", run_close_written, 0 },
	{ "close_full", "close() of a full socket", run_close_full, 0 },
	{ "linger_rst", "a reset with data queued", run_linger_rst, 0 },
	{ "linger_rst_b", "the same", run_linger_rst, BLOCKING },
	{ "so_error", "SO_ERROR after a reset", run_so_error, 0 },
	{ "sigpipe", "SIGPIPE", run_sigpipe, 0 },
	{ "reconnect", "connect(AF_UNSPEC), connect()", run_reconnect, 0 },
	{ "tuple_reuse", "the same ports 200 times", run_tuple_reuse, 0 },
	{ "unaccepted", "the listener is closed before accept()", run_unaccepted, 0 },
	{ "fork", "parent and child read", run_fork, 0 },
	{ "fork_b", "the same", run_fork, BLOCKING },
	{ "dup", "dup(), one of both closed", run_dup, 0 },
	{ "scm_rights", "SCM_RIGHTS to another process", run_scm_rights, 0 },
	{ "scm_outside", "SCM_RIGHTS to one outside of the cgroup", run_scm_outside, 0 },
	{ "two_writers", "two threads write at once", run_two_writers, 0 },
	{ "two_writers_b", "the same", run_two_writers, BLOCKING },
	{ "duplex", "threads read and write at both ends", run_duplex, 0 },
	{ "duplex_b", "the same", run_duplex, BLOCKING },
	{ "start_recv_b", "taken while a thread is in recv()", run_start_recv, BLOCKING },
	{ "start_waitall_b", "in MSG_WAITALL with a part", run_start_waitall, BLOCKING },
	{ "start_poll", "in poll()", run_start_poll, 0 },
	{ "start_epoll", "in epoll_wait()", run_start_epoll, 0 },
	{ "set_blocking", "O_NONBLOCK switched off later", run_set_blocking, 0 },
	{ "ktls", "TLS in the kernel, later", run_ktls, 0 },
	{ "ktls_before", "TLS in the kernel, at first", run_ktls_before, 0 },
	{ "sockmap_after", "another's sockmap, later", run_sockmap_after, 0 },
	{ "sockmap_before", "another's sockmap, at first", run_sockmap_before, 0 },
	{ "mptcp_both", "MPTCP", run_mptcp_both, 0 },
	{ "mptcp_client", "MPTCP to plain TCP", run_mptcp_client, 0 },
	{ "mptcp_server", "plain TCP to MPTCP", run_mptcp_server, 0 },
	{ "tfo", "TCP fast open", run_tfo, 0 },
	{ "defer_accept", "TCP_DEFER_ACCEPT", run_defer_accept, 0 },
};

#define FEATURES (sizeof(features) / sizeof(*features))

bool blocking, before, in_guest;

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
		blocking = f->flags & BLOCKING;
		before = f->flags & BEFORE;
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
		       features[i].flags & BLOCKING ? " (blocking)" : "");
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
