-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What help() says that no function's comment does: the first page, and a page for each subject.

local topics = {}

---The first page.
topics.MAIN = [[
  p = bpf.attach("tcpconnect")   attach a probe, and keep it in p
  p:last()   p:last(10)          its latest events
  p:watch()                      a live table; p:watch(false) ends it
  p:on_event(print)              a line for each event; p:on_event(nil): none
  p:filter{dport = 443}          from now on only these; p:filter{}: all
  p:stats()   p:close()          counts, and what was lost; detach
  attached()                     all that is attached

  help("probes")  help("tcpclose")     what there is to attach, what it tells
  help("filter")  help("where")        which events
  help("bpf")     help(bpf.attach)     functions of the engine; one of them
  help("probe")   help(p)              methods of probes; a probe
  help("pods")    help("redirect")     containers; local TCP past the stack
  help("short")   help("prompt")       short forms; what can be typed here
  help("tcplife") help("bpfnet.hist")  a script that comes along; a module

Events come while you type. `_` is the last value. Tab completes, Ctrl-C stops
what runs, Ctrl-D ends the session and detaches all.]]

---Pages by name: text, and which class of the annotations is listed below it.
topics.PAGES = {
  filter = { class = "bpf.Filter", text = [[
What does not pass a filter never leaves the kernel. A member takes a value or a
list of values; all members have to pass. They are compared with the socket's
owner, not with the task that happens to run.

  p = bpf.attach("tcpconnect", { filter = { dport = {80, 443} } })
  p:filter{ comm = "curl" }    another one from now on
  p:filter{}                   all pass
  p:filter()                   which is in force

Which of these a probe has: help("tcpconnect").]] },
  where = { text = [[
What a filter can't say, an expression over the event's fields can. It is
decided in the kernel.

  p = bpf.attach("tcpclose", { where = "duration_ns > 2ms and dport == 443" })
  p:where("rx_bytes > 1MiB")   another one from now on
  p:where("")                  all pass

  and  or  not   == != < <= > >=   + - * / %   & | ~ << >>
  dport in {80, 443, 8000..8999}   daddr in 10.0.0.0/8   comm starts "kube"
  times for *_ns *_us *_ms: 500us 2ms 1.5s    sizes for *_bytes: 64KiB 1.5MB
  names: error == ECONNREFUSED, ended in {fin, timeout}
  what may be unknown: latency_ns == nil]] },
  pods = { text = [[
Whose container an event is about is found when it is asked for:

  ev.pod  ev.namespace  ev.container  ev.image  ev.pod_uid  ev.runtime
  ev.sidecar

  p = bpf.attach("tcpconnect", { filter = { pod = "shop/cart-*" } })
        also by namespace, container, image, runtime, sidecar, label;
        "!kube-system/*" is all others
  p = bpf.attach("tcpconnect", { where = 'pod != nil and not sidecar' })
  p = bpf.attach("tcpconnect", { pods = true })
        pod, namespace and container stand in each event
  require("bpfnet.pod").list()                 containers that are there
  require("bpfnet.pod").of_event(p:last())     all that is known of one]] },
  redirect = { class = "bpf.RedirectOpts", text = [[
Local TCP connections past the TCP/IP stack, from one socket to the other.

  r = bpf.redirect{ cgroup = "/", ports = {8080} }
  r:stats()         what it has carried
  r:connections()   which connections, and why others not
  r:stop()          lets them go and waits for that]] },
  aggregate = { class = "bpf.AggregateOpts", text = [[
Count, sum, min, max, avg and histograms by any fields. Those of a probe are
added up in the kernel, and no event is sent while it has no handler.

  a = p:aggregate{ by = {"comm", "daddr"}, hist = "latency_ns", topk = 10 }
  a            the rows as they are now
  a:rows()     the same as a table; a:take() also forgets them]] },
  options = { class = "bpf.Opts", text = [[
Options of bpf.attach(name, options), bpf.try_attach and bpf.load:]] },
  stats = { class = "bpf.Stats", text = [[
What became of each event: p:stats().]] },
  event = { class = "bpf.Event", text = [[
An event is an ordinary table, which you may keep; what is unknown is nil.
ev:json() is its JSON. Each probe has fields of its own: help("tcpclose").]] },
  watch = { text = [[
p:watch([options]) shows a live table above the prompt: how many events, which
values most, the latest. What is counted comes beside the probe's handler, which
does not notice. One watch at a time; p:watch(false) ends it.

  by = {"comm", "daddr"}    fields to count by
  every = 1                 seconds between two tables
  rows = 8                  at most

p:last([n]) gives the latest events, of at most 1000 that are kept while there
is a prompt.]] },
  short = { text = [[
Short forms: the name of each probe can be called.

  tcpconnect{dport = 443}           with a filter: a line for each event
  tcpconnect:count("comm daddr")    counted by these fields]] },
  prompt = { text = [[
An expression's values are shown, a statement is run; a chunk that is unfinished
goes on with the next line.
  `_`      the last value
  local    lives for one entry only: leave it out for what you need again
  print    shows tables and events as the prompt does
  Ctrl-C   stops what runs, or forgets an unfinished chunk
  Ctrl-D   ends the session
  Tab      completes names, fields, methods, options, probes, points
  ?tcpclose, help tcpclose    the same as help("tcpclose")

Events come and timers run while you type; bpf.run() is not needed.

In a script that runs (--attach) its locals have their names here, too. What you
change stays changed; what you attached, and watches, end with the session.]] },
}

---Other names of pages.
topics.ALSO = { filters = "filter", pod = "pods", labels = "pods", aggregation = "aggregate", opts = "options",
  repl = "prompt", last = "watch", events = "event", losses = "stats", threshold = "where",
  keys = "prompt", ["local"] = "prompt" }

---Examples of functions.
topics.EXAMPLES = {
  ["bpf.attach"] = 'p = bpf.attach("tcpconnect", { filter = { dport = 443 } }, print)',
  ["bpf.try_attach"] = 'p, message, code = bpf.try_attach("tcpclose")',
  ["bpf.load"] = 'p = bpf.load("tcpconnect", print); p:inject{ comm = "curl", dport = 80 }',
  ["bpf.probes"] = 'for _, p in ipairs(bpf.probes()) do print(p.name, p.available) end',
  ["bpf.every"] = 't = bpf.every(1, function() print(p) end)',
  ["bpf.after"] = 'bpf.after(5, function() p:filter{ dport = 443 } end)',
  ["bpf.aggregate"] = 'a = bpf.aggregate{ by = "comm", sum = "rx_bytes" }; a:add("curl", 100)',
  ["bpf.json"] = 'bpf.json({ dport = 443 })',
  ["bpf.log"] = 'bpf.log("warn", "%d lost", p:stats().dropped)',
  ["Probe:on_event"] = 'p:on_event(function(comm, dport) print(comm, dport) end)',
  ["Probe:filter"] = 'p:filter{ dport = {80, 443} }',
  ["Probe:where"] = 'p:where("dport == 443 and latency_ns > 1ms")',
  ["Probe:aggregate"] = 'a = p:aggregate{ by = {"comm", "daddr"} }',
  ["Probe:rate"] = 'p:rate(100)',
  ["Probe:tap"] = 'p:tap(print)',
  ["Probe:keep"] = 'p:keep(100)',
  ["Probe:last"] = 'p:last(10)',
}

return topics
