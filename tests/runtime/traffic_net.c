// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The network namespace: lo, and a veth pair whose far end has no address.  Frames to
 * the permanent neighbours carry a link address that nobody has, so the far end drops
 * them: what is sent there vanishes without a word.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic.h"

static const char links[] = "link set lo up\n"
			    "link add tr0 type veth peer name tr1\n";

static const char addresses[] = "addr add " OWN4 "/24 dev tr0\n"
				"link set tr0 up\n"
				"link set tr1 up\n"
				"neigh add " SILENT4
				" lladdr 02:00:00:00:77:02 dev tr0 nud permanent\n";

static const char addresses6[] = "addr add " OWN6 "/64 dev tr0 nodad\n"
				 "neigh add " SILENT6
				 " lladdr 02:00:00:00:77:02 dev tr0 nud permanent\n";

static bool ipv6_here;

static void exec_ip(int in)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(in, 0);
	dup2(null, 1);
	dup2(null, 2);
	execlp("ip", "ip", "-batch", "-", NULL);
	execl("/usr/sbin/ip", "ip", "-batch", "-", NULL);
	execl("/sbin/ip", "ip", "-batch", "-", NULL);
	_exit(127);
}

/* Has iproute2 do the commands, one on each line; it stops at the first that fails. */
void ip_batch(const char *commands)
{
	size_t len = strlen(commands);
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die("starting ip: %s", strerror(errno));
	if (!pid)
		exec_ip(fds[0]);
	close(fds[0]);
	/* the commands fit into the pipe, whoever reads them */
	if (write(fds[1], commands, len) != (ssize_t)len)
		die("writing to ip: %s", strerror(errno));
	close(fds[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		die("ip (iproute2) is missing");
	if (status)
		die("ip failed, status %#x, with %.*s ...", status, (int)strcspn(commands, "\n"),
		    commands);
}

/* For timers only: where one is missing, things take longer, but happen all the same. */
void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		value = NULL;
	close(fd);
}

static bool try_ipv6(void)
{
	union addr a;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	addr_set(&a, "::1", 0);
	ok = fd >= 0 && bind(fd, &a.sa, sizeof(a.v6)) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

bool have_ipv6(void)
{
	return ipv6_here || (ipv6_here = try_ipv6());
}

/* One question each 200 ms, and one only, for the address that nobody has. */
static void fast_timers(void)
{
	static const char *const settings[][2] = {
		{ "/proc/sys/net/ipv4/neigh/tr0/mcast_solicit", "1" },
		{ "/proc/sys/net/ipv4/neigh/tr0/retrans_time_ms", "200" },
		{ "/proc/sys/net/ipv6/neigh/tr0/mcast_solicit", "1" },
		{ "/proc/sys/net/ipv6/neigh/tr0/retrans_time_ms", "200" },
		{ "/proc/sys/net/ipv6/conf/tr0/accept_dad", "0" },
		{ "/proc/sys/net/ipv6/conf/tr1/disable_ipv6", "1" },
		{ "/proc/sys/net/ipv4/tcp_fastopen", "3" },
		{ "/proc/sys/net/ipv4/ip_local_port_range", "10000 65535" },
		{ "/proc/sys/net/ipv4/tcp_tw_reuse", "1" },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		set_sysctl(settings[i][0], settings[i][1]);
}

void net_setup(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		die("cannot make a network namespace: %s", strerror(errno));
	ip_batch(links);
	fast_timers();
	ip_batch(addresses);
	if (have_ipv6())
		ip_batch(addresses6);
}
