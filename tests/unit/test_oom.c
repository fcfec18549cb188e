/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Allocations fail: the first, the second, ... until one run needs no more of them. Nothing may
 * crash, and under LeakSanitizer nothing may stay behind. unit.mk links it with --wrap.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#define T_SECONDS 300
#include "filter.h"
#include "http_curl.h"
#include "http.h"
#include "http_server.h"
#include "lua_run.h"
#include "record.h"
#include "types.h"
#include "util.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);

static long left = -1; /* allocations that succeed; -1: all */
static bool failed;
static bool for_good; /* the ones after the first failure too: Lua tries again after a collection */

static bool fails(void)
{
	if (left < 0)
		return false;
	if (left > 0) {
		left--;
		return false;
	}
	failed = true;
	if (!for_good)
		left = -1;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	/* making a block smaller does not fail in practice, and Lua relies on that */
	return size && fails() ? NULL : __real_realloc(p, size);
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Runs fn with ever later failures; returns how many it took. */
static long each_failure(void (*fn)(void))
{
	int fds = descriptors();
	long n = 0;

	do {
		failed = false;
		left = n++;
		fn();
		left = -1;
		CHECK_INT(descriptors(), fds);
		CHECK(n < 100000);
	} while (failed);
	return n - 1;
}

static struct types types;
static int event_type;

static void make_event_type(void)
{
	static const char *const names[] = { "END_A", "END_B", NULL };
	static const int64_t values[] = { 0, 1 };
	int comm, end, id;

	types_new(&types);
	comm = types_array(&types, types.ch, 16);
	end = types_enum(&types, "end", 4, names, values);
	id = btf__add_struct(types.btf, "event", 40);
	btf__add_field(types.btf, "ts_ns", types.u64, 0, 0);
	btf__add_field(types.btf, "comm", comm, 64, 0);
	btf__add_field(types.btf, "end", end, 192, 0);
	btf__add_decl_tag(types.btf, "doc:how it ended", id, 2);
	event_type = id;
}

static void make_layout(void)
{
	struct layout *layout;
	struct err err;
	int rc = layout_new(&layout, types.btf, event_type, &err);

	if (rc) {
		CHECK_INT(rc, -ENOMEM);
		CHECK(!layout);
		return;
	}
	rc = layout_set_doc(layout, "what it is about");
	CHECK(rc == 0 || rc == -ENOMEM);
	layout_free(layout);
}

static void layouts(void)
{
	make_event_type();
	CHECK(each_failure(make_layout) > 5);
	types_free(&types);
}

static struct filter_kinds kinds;

static void make_filter(void)
{
	struct value value = { .type = VALUE_INT };
	struct filter *filter = filter_new(&kinds);
	const struct filter_entry *entries;
	struct err err;

	for (int i = 0; filter && i < 100; i++) {
		value.i = i;
		if (filter_add(filter, "pid", &value, &err) == 0)
			continue;
		CHECK_INT(err.code, -ENOMEM);
		CHECK_INT(filter_entries(filter, &entries), i);
		break;
	}
	filter_free(filter);
}

static void filters(void)
{
	kinds.n = 1;
	kinds.kind[0].name = "pid";
	CHECK(each_failure(make_filter) > 2);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void on_fd(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
}

static void make_loop(void)
{
	struct loop *loop;
	struct loop_watch *watch = NULL;
	struct loop_timer *timer = NULL;
	struct err err;
	int fd = eventfd(1, 0);

	if (loop_new(&loop, &err)) {
		CHECK_INT(err.code, -ENOMEM);
	} else {
		enum loop_end end;

		watch = loop_watch(loop, fd, EPOLLIN, on_fd, NULL);
		timer = loop_timer_new(loop, nothing, NULL);
		loop_catch_signals(loop, NULL, NULL, &err);
		loop_hold(loop);
		loop_run(loop, 0, &end);
	}
	loop_unwatch(watch);
	loop_timer_free(timer);
	loop_free(loop);
	close(fd);
}

static void loops(void)
{
	CHECK(each_failure(make_loop) > 3);
}

static const char program[] =
	"local n = 0\n"
	"local t = bpf.every(0.001, function() n = n + 1 if n == 2 then bpf.stop() end end)\n"
	"bpf.after(0, function() n = n + 1 end)\n"
	"bpf.run(1)\n"
	"t:close()\n"
	"local co = coroutine.wrap(function(...) coroutine.yield(bpf.json({...})) error('x') end)\n"
	"co(1, 'two', {three = {3.5, 2 ^ 60 | 0, '\\u{e4}\\xff'}})\n"
	"pcall(co)\n"
	"bpf.json({name = 'x', list = {1, 2}}, {'list', 'name'})\n"
	"pcall(bpf.json, {f = print}) pcall(bpf.every, 'x') pcall(bpf.attach, 'nonesuch')\n"
	"pcall(bpf.run, -1) bpf.log('debug', '%d', 1) tostring(t)\n"
	"error(setmetatable({}, {__tostring = function() return 'end' end}))\n";

static void make_script(void)
{
	char *args[] = { (char *)"one", (char *)"two", NULL };
	struct script_opts opts = { 0, 1, 4096 };
	struct err err;

	if (script_new(&script, &opts, &err)) {
		CHECK_INT(err.code, -ENOMEM);
		return;
	}
	script_set_args(script, "name", 2, args);
	script_run(program);
	if (!failed)
		CHECK_HAS(script_error(script), "end");
	script_end();
}

static void scripts(void)
{
	for_good = true;
	log_set_level(LOG_ERROR);
	CHECK(each_failure(make_script) > 100);
}

/* One failure each, so that what comes after it runs on. */
static void scripts_once(void)
{
	log_set_level(LOG_ERROR);
	CHECK(each_failure(make_script) > 100);
}

static void inject(void)
{
	script_run("p:inject{comm = 'curl', daddr = '10.0.0.' .. n, dport = 443} n = n + 1");
}

static void inject_low(void)
{
	script_run("q:inject{comm = 'curl', daddr = '10.0.0.' .. n, dport = 443} n = n + 1");
}

static void injections(void)
{
	need_bpf();
	script_start(0, 1);
	script_ok("n, got = 0, {}\n"
		  "p = bpf.load('tcpconnect', function(ev) got[#got + 1] = ev:json() end)\n"
		  "q = bpf.load('tcpconnect', {fields = {'comm', 'daddr'}}, function(comm, daddr)\n"
		  "  assert(comm == 'curl') got[#got + 1] = daddr end)\n");
	for_good = true;
	each_failure(inject);
	each_failure(inject_low);
	for_good = false;
	each_failure(inject);
	each_failure(inject_low);
	script_ok("got = {} n = 9 p:inject{comm = 'x'} assert(#got == 1) p:close() q:close()");
	script_end();
}

static void probe_use(void)
{
	script_run("local p <close> = bpf.load('tcpconnect', {filter = {pid = {1, 2}, "
		   "daddr = '10.0.0.0/8', comm = 'x'}, fields = {'pid'}, buffer = 4096}, print)\n"
		   "p:filter{dport = {80, 443}} p:stats() tostring(p)\n"
		   "for k in pairs(p.maps.filter_set) do k.kind = 1 end\n");
}

/* The table of sockets takes a quarter of a second to go with its last probe. */
static void keep_socks(void)
{
	script_ok("other = bpf.load('tcpaccept')");
}

/* Some thousand allocations are libbpf's, so only every so many fails here. */
static void probes(void)
{
	need_bpf();
	script_start(0, 1);
	keep_socks();
	for (long n = 0; n < 12000; n += n < 50 ? 1 : 131) {
		left = n;
		probe_use();
		left = -1;
	}
	probe_use();
	CHECK(!script_error(script));
	script_end();
}

/* Loading is libbpf's, with thousands of allocations, so again only some fail. */
static void stage_use(void)
{
	script_run(
		"local p <close> = bpf.load('tcpclose', {where = \"comm in {'a', 'b'} and (rx_bytes / 3 "
		"> 1KiB or daddr in {10.0.0.0/8, ::1})\", sample = 0.5, rate = {5, by = 'comm'}})\n"
		"local a <close> = p:aggregate{by = {'comm', 'ended'}, hist = 'duration_ns', max = "
		"{'rx_bytes', 'tx_bytes'}}\n"
		"pcall(p.where, p, 'dport == ') p:inject{comm = 'a', rx_bytes = 9999}\n"
		"p:where('dport in {1, 2, 5..9}') p:inject{dport = 5} a:take() tostring(a)\n");
}

static void stages(void)
{
	need_bpf();
	script_start(0, 1);
	keep_socks();
	for (long n = 0; n < 16000; n += n < 100 ? 1 : 173) {
		left = n;
		stage_use();
		left = -1;
	}
	stage_use();
	CHECK(!script_error(script));
	script_end();
}

static void aggregate(void)
{
	script_run(
		"local a <close> = bpf.aggregate{by = {'k', 'n'}, sum = 'v', hist = 'v', topk = 2}\n"
		"for i = 1, 70 do a:add('key' .. i % 40, i % 3, i * i) end\n"
		"local b = bpf.aggregate{by = {'k', 'n'}, sum = 'v', hist = 'v'} b:merge(a)\n"
		"a:rows() a:row('key1', 1) tostring(b) b:take{sort = 'count'} b:clear() b:close()\n"
		"pcall(a.add, a) pcall(bpf.aggregate, {by = {}, sum = 1})\n");
}

static void aggregates(void)
{
	script_start(0, 1);
	CHECK(each_failure(aggregate) > 50);
	for_good = true;
	CHECK(each_failure(aggregate) > 50);
	for_good = false;
	aggregate();
	CHECK(!script_error(script));
	script_end();
}

static void on_data(void *arg, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	CHECK(len > 0);
}

static void on_done(void *arg, const struct http_result *result)
{
	CHECK(result->error || result->status == 200);
	loop_stop(arg);
}

static void request_in(struct loop *loop, struct http *http)
{
	struct http_opts opts = { .stall_timeout_ns = 300 * NSEC_PER_MSEC,
				  .on_data = on_data,
				  .on_done = on_done,
				  .arg = loop };
	struct http_request *request;
	enum loop_end why;
	struct err err;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/chunks", server_port);
	opts.url = url;
	if (http_start(&request, http, &opts, &err)) {
		CHECK_INT(err.code, -ENOMEM);
		return;
	}
	loop_hold(loop);
	CHECK_INT(loop_run(loop, 5 * (int64_t)NSEC_PER_SEC, &why), 0);
	CHECK_INT(why, LOOP_STOPPED);
	http_cancel(request);
}

/* Once with a failure, and the client is as good as new after it. */
static void request(void)
{
	struct loop *loop;
	struct http *http;
	struct err err;

	if (loop_new(&loop, &err))
		return;
	if (http_new(&http, loop, &err) == 0) {
		request_in(loop, http);
		left = -1;
		request_in(loop, http);
		http_free(http);
	}
	loop_free(loop);
}

static void requests(void)
{
	struct err err;

	if (!http_curl(&err))
		SKIP("%s", err.msg);
	server_start();
	request(); /* what is opened once stays open */
	CHECK(each_failure(request) > 5);
}

static const struct t_case cases[] = {
	{ "HTTP requests", requests },
	{ "layouts", layouts },
	{ "filters", filters },
	{ "loops", loops },
	{ "a script whose memory ends for good", scripts },
	{ "a script with one failure", scripts_once },
	{ "injected events", injections },
	{ "a probe's life with one failure", probes },
	{ "a probe's stage with one failure", stages },
	{ "aggregations", aggregates },
};

T_MAIN(cases)
