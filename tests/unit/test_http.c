/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The HTTP client, with a server that does what real ones don't (http_server.h). Real ones, TLS and
 * HTTP/2: spec/http_spec.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include "http.h"
#include "http_server.h"
#include "loop.h"
#include "util.h"

#define MS   NSEC_PER_MSEC
#define MOST 64

static struct loop *loop;
static struct http *http;

/* What became of a request. */
static struct got {
	struct http_request *request;
	char *data;
	size_t len;
	int pieces, dones;
	unsigned int status;
	char headers[2048], trailers[256], error[512];
	uint64_t done_ns;
	bool cancel_in_data, again;
} got[MOST];

static int open_requests;

static void join(char *text, size_t size, const struct http_headers *h)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < h->count && len < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s=%s;", h->list[i].name,
					h->list[i].value);
}

static void cancel(struct got *g)
{
	http_cancel(g->request);
	g->request = NULL;
	if (--open_requests == 0)
		loop_stop(loop);
}

static void on_data(void *arg, const void *data, size_t len)
{
	struct got *g = arg;

	g->data = realloc(g->data, g->len + len + 1);
	memcpy(g->data + g->len, data, len);
	g->len += len;
	g->data[g->len] = '\0';
	g->pieces++;
	if (g->cancel_in_data)
		cancel(g);
}

static void ask(struct got *g, const char *path, struct http_opts opts);

static void on_done(void *arg, const struct http_result *r)
{
	struct got *g = arg;

	g->dones++;
	g->status = r->status;
	g->done_ns = now_ns();
	join(g->headers, sizeof(g->headers), &r->headers);
	join(g->trailers, sizeof(g->trailers), &r->trailers);
	snprintf(g->error, sizeof(g->error), "%s", r->error ? r->error : "");
	if (g->again) {
		g->again = false;
		http_cancel(g->request);
		open_requests--;
		ask(g, "/again", (struct http_opts){ 0 });
		return;
	}
	cancel(g);
}

static void ask(struct got *g, const char *path, struct http_opts opts)
{
	char url[128];
	struct err err;

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", server_port, path);
	if (!opts.url)
		opts.url = url;
	opts.on_data = on_data;
	opts.on_done = on_done;
	opts.arg = g;
	if (http_start(&g->request, http, &opts, &err))
		FAIL("%s", err.msg);
	open_requests++;
}

static void start(void)
{
	struct err err;

	CHECK_INT(loop_new(&loop, &err), 0);
	loop_hold(loop);
	if (http_new(&http, loop, &err))
		SKIP("%s", err.msg);
	server_start();
}

static void end(void)
{
	for (int i = 0; i < MOST; i++) {
		http_cancel(got[i].request);
		free(got[i].data);
	}
	http_free(http);
	loop_free(loop);
}

/* Until all requests are over. */
static void run(void)
{
	enum loop_end why;

	CHECK_INT(loop_run(loop, 20 * (int64_t)NSEC_PER_SEC, &why), 0);
	CHECK_INT(why, LOOP_STOPPED);
}

static void run_for(int64_t ms)
{
	enum loop_end why;

	CHECK_INT(loop_run(loop, ms * (int64_t)MS, &why), 0);
}

static void get(void)
{
	start();
	ask(got, "/some?x=1", (struct http_opts){ 0 });
	run();
	CHECK_STR(got->error, "");
	CHECK_INT(got->status, 201);
	CHECK_HAS(got->data, "GET /some?x=1 HTTP/1.1\r\n");
	CHECK_HAS(got->headers, "content-length=");
	CHECK_INT(got->dones, 1);
	end();
}

static void post(void)
{
	static const char body[] = "a\0b\xff\r\n";
	struct http_header list[] = { { "X-One", "1" }, { "x-empty", "" } };

	start();
	ask(got, "/p",
	    (struct http_opts){ .body = { body, sizeof(body) }, .headers = { list, 2 } });
	ask(got + 1, "/q", (struct http_opts){ .body = { body, 3 }, .method = "PUT" });
	ask(got + 2, "/r", (struct http_opts){ .method = "POST" });
	ask(got + 3, "/s", (struct http_opts){ .method = "HEAD" });
	run();
	CHECK_HAS(got->data, "POST /p HTTP/1.1\r\n");
	CHECK_HAS(got->data, "X-One: 1\r\n");
	CHECK_HAS(got->data, "x-empty:\r\n");
	CHECK(!strstr(got->data, "form-urlencoded") && !strstr(got->data, "Expect"));
	CHECK(memcmp(got->data + got->len - sizeof(body), body, sizeof(body)) == 0);
	CHECK_HAS(got[1].data, "PUT /q HTTP/1.1\r\n");
	CHECK(memcmp(got[1].data + got[1].len - 3, body, 3) == 0);
	CHECK_HAS(got[2].data, "POST /r HTTP/1.1\r\n");
	CHECK_HAS(got[2].data, "Content-Length: 0\r\n");
	CHECK_INT(got[3].status, 201);
	CHECK_INT(got[3].len, 0);
	end();
}

/* Nothing that the caller gave is needed any more when the request is under way. */
static void copies(void)
{
	static char big[100 * 1024];
	char url[128], name[] = "x-name", value[] = "value", method[] = "PATCH";
	struct http_header list = { name, value };

	start();
	memset(big, 'b', sizeof(big));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/copy", server_port);
	ask(got, "",
	    (struct http_opts){ .url = url,
				.method = method,
				.headers = { &list, 1 },
				.body = { big, sizeof(big) } });
	memset(url, 'x', sizeof(url) - 1);
	memset(name, 'x', sizeof(name) - 1);
	memset(value, 'x', sizeof(value) - 1);
	memset(method, 'x', sizeof(method) - 1);
	memset(big, 'x', sizeof(big));
	run();
	CHECK_HAS(got->data, "PATCH /copy HTTP/1.1\r\n");
	CHECK_HAS(got->data, "x-name: value\r\n");
	CHECK(got->len > sizeof(big) && got->data[got->len - 1] == 'b');
	end();
}

static void chunks(void)
{
	start();
	ask(got, "/chunks", (struct http_opts){ 0 });
	run();
	CHECK_STR(got->data, "hello world");
	CHECK_INT(got->pieces, 2); /* as they came */
	CHECK_HAS(got->headers, "x-two=a;x-two=b;");
	CHECK(!strstr(got->headers, "x-sum"));
	CHECK_STR(got->trailers, "x-sum=11;");
	end();
}

static void interim(void)
{
	start();
	ask(got, "/continue", (struct http_opts){ 0 });
	run();
	CHECK_INT(got->status, 204);
	CHECK_STR(got->headers, "x-late=2;");
	CHECK_STR(got->trailers, "");
	end();
}

static void unix_socket(void)
{
	start();
	ask(got, "",
	    (struct http_opts){ .url = "http://any.host/u", .unix_socket = server_socket });
	ask(got + 1, "",
	    (struct http_opts){ .url = "http://any.host/u", .unix_socket = "/nosuch/socket" });
	run();
	CHECK_HAS(got->data, "GET /u HTTP/1.1\r\nHost: any.host\r\n");
	CHECK_INT(got[1].status, 0);
	CHECK_HAS(got[1].error, "connect");
	end();
}

static void kept(void)
{
	start();
	for (int i = 0; i < 5; i++) {
		ask(got + i, "/", (struct http_opts){ 0 });
		run();
	}
	CHECK_INT(server->connections, 1);
	end();
}

static void many(void)
{
	start();
	for (int i = 0; i < MOST; i++)
		ask(got + i, i % 2 ? "/many/300000" : "/x", (struct http_opts){ 0 });
	run();
	for (int i = 0; i < MOST; i++) {
		CHECK_STR(got[i].error, "");
		CHECK_INT(got[i].dones, 1);
		if (i % 2)
			CHECK_INT(got[i].len, 300000);
	}
	end();
}

static void broken(void)
{
	start();
	ask(got, "/short", (struct http_opts){ 0 });
	ask(got + 1, "/junk", (struct http_opts){ 0 });
	ask(got + 2, "/heads", (struct http_opts){ 0 });
	ask(got + 3, "", (struct http_opts){ .url = "http://127.0.0.1:1/" });
	run();
	CHECK_STR(got[0].data, "half");
	CHECK_INT(got[0].status, 200);
	CHECK_HAS(got[0].error, "96 bytes remaining");
	CHECK_HAS(got[1].error, "HTTP/0.9");
	CHECK(*got[2].error);
	CHECK_HAS(got[3].error, "connect");
	for (int i = 0; i < 4; i++)
		CHECK_INT(got[i].dones, 1);
	end();
}

/* One server hangs, the other sends a byte now and then. */
static void timeouts(void)
{
	uint64_t began;

	start();
	began = now_ns();
	ask(got, "/hang", (struct http_opts){ .stall_timeout_ns = 200 * MS });
	ask(got + 1, "/dribble",
	    (struct http_opts){ .stall_timeout_ns = 2000 * MS, .timeout_ns = 3000 * MS });
	ask(got + 2, "/hang", (struct http_opts){ .timeout_ns = 300 * MS });
	run();
	CHECK_STR(got[0].error, "the server does not answer");
	CHECK(got[0].done_ns - began >= 200 * MS && got[0].done_ns - began < 2500 * MS);
	CHECK_STR(got[1].error, "timed out");
	CHECK_INT(got[1].status, 200);
	CHECK(got[1].len > 5 && got[1].len < 200);
	CHECK(got[1].done_ns - began >= 3000 * MS);
	CHECK_STR(got[2].error, "timed out");
	for (int i = 0; i < 100 && server->closed_by_peer < 2; i++)
		usleep(10 * 1000); /* nothing is left open behind them */
	CHECK_INT(server->closed_by_peer, 2);
	end();
}

/* The loop was away for longer than the time limit, and the answer has come meanwhile. */
static void away(void)
{
	start();
	ask(got, "/x", (struct http_opts){ .stall_timeout_ns = 200 * MS });
	ask(got + 1, "/hang", (struct http_opts){ .stall_timeout_ns = 200 * MS });
	run_for(0);
	for (int i = 0; i < 3; i++)
		run_for(1); /* connects and sends */
	usleep(600 * 1000);
	run();
	CHECK_STR(got[0].error, "");
	CHECK_INT(got[0].status, 201);
	CHECK_STR(got[1].error, "the server does not answer");
	end();
}

/* No descriptor of it is left to a program that is started meanwhile. */
static void close_on_exec(void)
{
	int connections = 0;

	start();
	ask(got, "/hang", (struct http_opts){ 0 });
	ask(got + 1, "",
	    (struct http_opts){ .url = "http://u/hang", .unix_socket = server_socket });
	for (int i = 0; i < 50 && server->connections < 2; i++)
		run_for(20);
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) || len <= 2)
			continue; /* no socket, or libcurl's own pair, without a name */
		connections++;
		CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	CHECK_INT(connections, 2);
	end();
}

/* A backlog that is full: connecting neither works nor fails. */
static void unanswered(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0), clients[4];
	uint64_t began;
	char url[64];

	start();
	CHECK(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 0) == 0);
	getsockname(listener, (void *)&in, &len);
	for (int i = 0; i < 4; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(clients[i], (void *)&in, sizeof(in));
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(in.sin_port));
	began = now_ns();
	ask(got, "", (struct http_opts){ .url = url, .connect_timeout_ns = 300 * MS });
	run();
	CHECK_HAS(got->error, "imeout"); /* libcurl has several words for it */
	CHECK(now_ns() - began >= 300 * MS && now_ns() - began < 10000 * MS);
	for (int i = 0; i < 4; i++)
		close(clients[i]);
	close(listener);
	end();
}

static void cancelling(void)
{
	start();
	got[0].cancel_in_data = true;
	ask(got, "/many/5000000", (struct http_opts){ 0 });
	ask(got + 1, "/x", (struct http_opts){ 0 });
	ask(got + 2, "/x", (struct http_opts){ 0 });
	cancel(got + 2); /* before anything happened */
	ask(got + 3, "/hang", (struct http_opts){ 0 });
	run_for(100);
	cancel(got + 3); /* while it waits */
	if (open_requests)
		run();
	run_for(50);
	CHECK_INT(got[0].pieces, 1);
	CHECK_INT(got[0].dones, 0);
	CHECK_INT(got[1].dones, 1);
	CHECK_INT(got[2].dones, 0);
	CHECK_INT(got[3].dones, 0);
	for (int i = 0; i < 100 && !server->closed_by_peer; i++)
		usleep(10 * 1000);
	CHECK_INT(server->closed_by_peer, 1);
	end();
}

static void again(void)
{
	start();
	got->again = true;
	ask(got, "/first", (struct http_opts){ 0 });
	run();
	CHECK_INT(got->dones, 2);
	CHECK_HAS(got->data, "GET /first");
	CHECK_HAS(got->data, "GET /again");
	end();
}

/* The client may go while requests of it are under way, and with answers not told yet. */
static void early_end(void)
{
	start();
	ask(got, "/many/5000000", (struct http_opts){ 0 });
	ask(got + 1, "/hang", (struct http_opts){ 0 });
	ask(got + 2, "/x", (struct http_opts){ 0 });
	run_for(5);
	end();
}

static void no_hold(void)
{
	enum loop_end why;

	start();
	ask(got, "/hang", (struct http_opts){ 0 });
	loop_release(loop);
	CHECK_INT(loop_run(loop, -1, &why), 0);
	CHECK_INT(why, LOOP_IDLE);
	end();
}

static void refuse(struct http_opts opts, const char *message)
{
	struct http_request *r;
	struct err err;

	if (!opts.url)
		opts.url = "http://127.0.0.1/";
	opts.on_done = on_done;
	CHECK_INT(http_start(&r, http, &opts, &err), -EINVAL);
	CHECK(!r);
	CHECK_STR(err.msg, message);
}

static void refusals(void)
{
	struct http_header bad = { "a b", "x" }, split = { "x-a", "1\r\nx-b: 2" },
			   none = { "", "" };
	static char path[200];

	start();
	refuse((struct http_opts){ .url = "file:///etc/passwd" },
	       "URL 'file:///etc/passwd': expected http://... or https://...");
	refuse((struct http_opts){ .url = "127.0.0.1:80" },
	       "URL '127.0.0.1:80': expected http://... or https://...");
	refuse((struct http_opts){ .url = "http://a/ HTTP/1.1" },
	       "URL 'http://a/ HTTP/1.1': has a blank or control character");
	refuse((struct http_opts){ .method = "GET /" }, "method 'GET /': not a method's name");
	refuse((struct http_opts){ .headers = { &bad, 1 } }, "header 'a b': not a header's name");
	refuse((struct http_opts){ .headers = { &none, 1 } }, "header '': not a header's name");
	refuse((struct http_opts){ .headers = { &split, 1 } },
	       "header 'x-a': its value has a line's end in it");
	memset(path, 'p', 108);
	refuse((struct http_opts){ .unix_socket = path },
	       "unix socket 'pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
	       "pppppppppppppppppppppppppppppppppppppp': the path is too long (107 at most)");
	end();
}

/* A namespace whose name server takes questions and never answers. */
static void mute_name_server(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(53),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		SKIP("namespaces need root");
	CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	CHECK_INT(mount("none", "/etc", "tmpfs", 0, NULL), 0);
	fd = open("/etc/resolv.conf", O_CREAT | O_WRONLY, 0644);
	CHECK_INT(dprintf(fd, "nameserver 127.0.0.1\n"), 21);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_INT(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	CHECK_INT(bind(fd, (void *)&in, sizeof(in)), 0); /* open until the case ends */
}

static int ticks;

static void on_tick(void *arg)
{
	(void)arg;
	ticks++;
}

static void names(void)
{
	struct loop_timer *tick;
	uint64_t began;

	mute_name_server();
	start();
	tick = loop_timer_new(loop, on_tick, NULL);
	loop_timer_set(tick, 0, 10 * MS);
	ask(got, "", (struct http_opts){ .url = "http://no.where/", .timeout_ns = 500 * MS });
	ask(got + 1, "",
	    (struct http_opts){ .url = "http://no.where/", .connect_timeout_ns = 200 * MS });
	ask(got + 2, "", (struct http_opts){ .url = "http://no.where/" });
	ask(got + 3, "/by-address", (struct http_opts){ 0 });
	run_for(100);
	began = now_ns();
	cancel(got + 2);
	CHECK(now_ns() - began < 100 * MS);
	run();
	CHECK(now_ns() - began < 1500 * MS);
	CHECK(ticks > 20); /* the loop ran on meanwhile */
	CHECK_STR(got[0].error, "timed out");
	CHECK_HAS(got[1].error, "timed out");
	CHECK_INT(got[3].status, 201);
	loop_timer_free(tick);
	began = now_ns();
	end();
	CHECK(now_ns() - began < 200 * MS);
}

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
	(void)number;
	signals_seen++;
}

/* Each is for this thread, not for one of libcurl's. */
static void signals(void)
{
	sigset_t set, old;

	mute_name_server();
	start();
	signal(SIGUSR1, on_signal);
	ask(got, "", (struct http_opts){ .url = "http://no.where/", .timeout_ns = 400 * MS });
	run_for(50);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	kill(getpid(), SIGUSR1); /* to whichever thread takes it */
	usleep(50 * 1000);
	CHECK_INT(signals_seen, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	CHECK_INT(signals_seen, 1);
	run();
	end();
}

static const struct t_case cases[] = {
	{ "a GET has its status, headers and body", get },
	{ "bodies are binary, methods and headers as given", post },
	{ "all that is given is copied", copies },
	{ "a body in chunks comes in pieces, with trailers behind it", chunks },
	{ "of several responses the last one counts", interim },
	{ "a unix socket is spoken to, whatever the host", unix_socket },
	{ "connections are used again", kept },
	{ "many requests at once each get their own", many },
	{ "what breaks off or is no HTTP is an error", broken },
	{ "a server that hangs or dribbles is left in time", timeouts },
	{ "what came while the loop was away is not too late", away },
	{ "connections are not handed to other programs", close_on_exec },
	{ "connecting has a time limit", unanswered },
	{ "requests can be cancelled at any time", cancelling },
	{ "a request can be started when another is done", again },
	{ "a client can end before its answers", early_end },
	{ "a request does not hold the loop", no_hold },
	{ "options that can't be meant are refused", refusals },
	{ "looking up a name blocks nothing, not even its end", names },
	{ "signals stay with this thread", signals },
};

T_MAIN(cases)
