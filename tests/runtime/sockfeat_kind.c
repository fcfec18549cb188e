// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sockets that are more than plain TCP: TLS in the kernel, sockmaps of others, MPTCP, data in the SYN. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sockfeat.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int set_ulp(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
}

/* Keys of zeros for one direction; the same at both ends is all that it takes. */
static int set_keys(int fd, int direction)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { .version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};

	return setsockopt(fd, SOL_TLS, direction, &info, sizeof(info));
}

static void tls(const struct pair *p)
{
	int n = set_keys(p->client, TLS_TX);

	say_result("keys to send", n, errno);
	if (n < 0)
		return;
	n = set_keys(p->server, TLS_RX);
	say_result("keys to receive", n, errno);
	put(p->client, "secret");
	settle();
	say_recv_wait("recv", p->server, 100, 0);
	put(p->server, "plain");
	settle();
	say_recv_wait("the other way, without", p->client, 100, 0);
}

static void need_tls(void)
{
	struct pair p = pair_new();

	if (set_ulp(p.client) < 0)
		skip("no TLS in the kernel: %s", strerrorname_np(errno));
	close(p.client);
	close(p.server);
	close(p.listener);
}

void run_ktls(void)
{
	struct pair p;
	int n;

	need_tls();
	p = warm_pair();
	n = set_ulp(p.client);
	say_result("TCP_ULP of the client", n, errno);
	n = set_ulp(p.server);
	say_result("of the server", n, errno);
	tls(&p);
}

void run_ktls_before(void)
{
	struct pair p;

	need_tls();
	p = pair_new();
	if (set_ulp(p.client) < 0 || set_ulp(p.server) < 0)
		die("TCP_ULP: %s", strerror(errno));
	warm_up(&p);
	tls(&p);
}

static int sockmap_new(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 4
	};
	int fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	if (fd < 0)
		skip("no sockmap: %s", strerrorname_np(errno));
	return fd;
}

static int sockmap_put(int map, int key, int value)
{
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	return syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
}

static void in_sockmap(const struct pair *p, int map)
{
	union bpf_attr attr = { .map_fd = map };
	int key = 0, n;

	say_exchange("in the map", p);
	attr.key = (uintptr_t)&key;
	n = syscall(SYS_bpf, BPF_MAP_DELETE_ELEM, &attr, sizeof(attr));
	say_result("taken out", n, errno);
	say_exchange("out of it", p);
}

/* A map of someone else, without programs. */
void run_sockmap_after(void)
{
	int map = sockmap_new(), n;
	struct pair p = warm_pair();

	n = sockmap_put(map, 0, p.server);
	say_result("put into a map", n, errno);
	in_sockmap(&p, map);
}

void run_sockmap_before(void)
{
	int map = sockmap_new(), n;
	struct pair p = pair_new();

	n = sockmap_put(map, 0, p.server);
	say_result("put into a map", n, errno);
	warm_up(&p);
	in_sockmap(&p, map);
}

static int mptcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0)
		skip("no MPTCP: %s", strerrorname_np(errno));
	return fd;
}

/* Its options are not those of TCP everywhere; none are set. */
static void mptcp(int client, int server)
{
	struct pair p = { .client = client, .listener = server };
	struct sockaddr_in at;
	char data[9] = "";

	listen_on(server, &at);
	if (connect(client, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("connect: %s", strerror(errno));
	p.server = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	set_blocking(p.client, blocking);
	set_blocking(p.server, blocking);
	warm_up(&p);
	say_exchange("exchange", &p);
	put(p.client, "over two");
	get_bytes(p.server, data, 8);
	say("recv '%s'", data);
	close(p.client);
	settle();
	say_recv_wait("the end", p.server, 100, 0);
}

void run_mptcp_both(void)
{
	mptcp(mptcp_socket(), mptcp_socket());
}

void run_mptcp_client(void)
{
	mptcp(mptcp_socket(), tcp_socket());
}

void run_mptcp_server(void)
{
	mptcp(tcp_socket(), mptcp_socket());
}

/* Client and server, without cookies. */
void run_tfo(void)
{
	struct sockaddr_in at;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int lfd, fd;
	struct pair p;

	own_net();
	set_sysctl("/proc/sys/net/ipv4/tcp_fastopen", "519");
	lfd = listen_on(tcp_socket(), &at);
	option(lfd, IPPROTO_TCP, TCP_FASTOPEN, 16);
	fd = tcp_socket();
	if (sendto(fd, "early", 5, MSG_FASTOPEN, (struct sockaddr *)&at, sizeof(at)) != 5)
		die("MSG_FASTOPEN: %s", strerror(errno));
	p = pair_of(fd, lfd, NULL);
	settle();
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	say("data in the SYN=%d", !!(info.tcpi_options & TCPI_OPT_SYN_DATA));
	say_recv_wait("recv", p.server, 100, 0);
	warm_up(&p);
	say_exchange("then", &p);
}

void run_defer_accept(void)
{
	struct sockaddr_in at;
	int lfd = listen_on(tcp_socket(), &at), fd = tcp_socket();
	struct pair p;

	option(lfd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("connect: %s", strerror(errno));
	settle();
	say("to accept without data=%d", !!polled(lfd, POLLIN, 0));
	put(fd, "early");
	say("to accept with data=%d", !!polled(lfd, POLLIN, 3000));
	p = pair_of(fd, lfd, NULL);
	say_recv_wait("recv", p.server, 100, 0);
	warm_up(&p);
	say_exchange("then", &p);
}
