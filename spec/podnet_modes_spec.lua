-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- podnet's modes, filters and options: events for points, for paths, for the time between two points;
-- which packets; what is refused, and that nothing is left behind.

local helper = require "helper"
local watch = require "podnet_watch"

local it_at_home = watch.guest and function() end or it

local UDP = "udp from=A at=B to=10.1.0.3 port=80 sport=4000"
local MASQUERADED = "udp from=A at=PEER to=10.2.0.2 port=80 sport=4001"
local TCP = "tcp from=A at=B to=10.1.0.3 port=80 sport=4002"
local CLOSED = "udp from=A to=10.1.0.3 port=81 sport=4003 wait=50"

-- The points that every kernel sees, of a datagram between pods and of a masqueraded one.
local SIMPLE = { points = { "net_dev_queue", "netif_rx", "netif_receive_skb" } }

local function options(more)
  local opts = { points = SIMPLE.points }
  for name, value in pairs(more) do opts[name] = value end
  return opts
end

local function world() return watch.world("neigh fw=nft") end

-- "udp A eth0 > B eth0": first and last place of each path.
local function summary(w, paths)
  local list = {}
  for i, ev in ipairs(paths) do
    local first, last = ev.hops[1], ev.hops[#ev.hops]
    list[i] = ("%s %s %s > %s %s"):format(ev.proto, w.names[first.netns], first.ifname,
      w.names[last.netns], last.ifname)
  end
  return list
end

describe("podnet's modes", function()
  teardown(watch.down)

  it("send an event for each point, numbered", function()
    if not world() then return end
    local w <close> = watch.attach(world(), options {})
    local facts = w:run { UDP, TCP }
    local traces, order = {}, {}
    local events = w:take(13 * 6)
    table.sort(events, function(a, b) return a.ts_ns < b.ts_ns end)
    for _, ev in ipairs(events) do
      if not traces[ev.trace] then
        order[#order + 1] = {}
        traces[ev.trace] = order[#order]
      end
      table.insert(traces[ev.trace], ev)
    end
    assert.are.equal(2 + 11, #order)
    for n, list in ipairs(order) do
      local places = {}
      for i, ev in ipairs(list) do
        assert.are.equal(i, ev.hop)
        assert.are.equal(i > 1 and list[i - 1].point or "unknown", ev.from)
        assert.are.equal(i > 1 and ev.ts_ns - list[i - 1].ts_ns or 0, ev.delta_ns)
        assert.are.equal(i > 1 and "same" or "first", ev.identity)
        assert.are.equal(list[1].skb, ev.skb)
        places[i] = ("%s@%s %s"):format(ev.point, w.names[ev.netns], ev.ifname)
      end
      local out, back, here, there = "va", "vb", "A", "B"
      if list[1].sport == 80 then out, back, here, there = back, out, there, here end
      assert.are.same({ "net_dev_queue@" .. here .. " eth0", "netif_rx@HOST " .. out,
        "netif_receive_skb@HOST " .. out, "net_dev_queue@HOST " .. back, "netif_rx@" .. there .. " eth0",
        "netif_receive_skb@" .. there .. " eth0" }, places, "packet " .. n)
    end
    -- the datagram's sender; the request's
    local function owner(ev) return { ev.pid, ev.comm } end
    if order[1][1].context ~= "unknown" then
      assert.are.same({ facts[1].client_pid, "packets" }, owner(order[1][1]))
      assert.are.same({ facts[1].server_pid, "packets" }, owner(order[2][1]))
    end
    assert.are.same({ facts[2].client_pid, "packets" }, owner(order[2 + 4][1]))
    assert.are.same({ facts[2].server_pid, "packets" }, owner(order[2 + 6][1]))
    w:check_losses()
  end)

  it("tell who sends and who gets a request", function()
    if not world() then return end
    local w <close> = watch.attach(world(), { points = { "net_dev_queue", "sock_read" },
      pcap = "tcp[13] & 8 != 0" })
    local facts = w:run { TCP }[1]
    local events, owners = w:take(6), {}
    table.sort(events, function(a, b) return a.ts_ns < b.ts_ns end)
    for i, ev in ipairs(events) do owners[i] = ("%s %d %s"):format(ev.point, ev.pid, ev.comm) end
    local function of(request, pid) return ("%s %d packets"):format(request, facts[pid]) end
    assert.are.same({
      of("net_dev_queue", "client_pid"), of("net_dev_queue", "client_pid"), of("sock_read", "server_pid"),
      of("net_dev_queue", "server_pid"), of("net_dev_queue", "server_pid"), of("sock_read", "client_pid"),
    }, owners)
  end)

  it("count the time between points in the kernel, without an event", function()
    if not world() then return end
    local w <close> = watch.attach(world(), { between = { { "net_dev_queue", "netif_rx" },
      { "netif_rx", "netif_receive_skb" } } })
    w.probe:on_event(nil)
    local agg = w.probe:aggregate({ by = { "from", "to" }, hist = "span_ns", min = "span_ns" })
    w:run { UDP, MASQUERADED, TCP }
    w:take(0)
    local rows = {}
    for _, row in ipairs(agg:rows()) do
      rows[row.from .. " " .. row.to] = { row.count, row.hist.count, row.min > 0 }
    end
    -- each of the 15 packets is sent by two devices and comes in by two
    assert.are.same({ ["net_dev_queue netif_rx"] = { 30, 30, true },
      ["netif_rx netif_receive_skb"] = { 30, 30, true } }, rows)
    assert.are.same({ 0, 60 }, { w.probe:stats().events, w.probe:stats().aggregated })
    w:check_losses()
  end)

  it("send an event for each time between two points", function()
    if not world() then return end
    local w <close> = watch.attach(world(), { between = { "net_dev_queue", "netif_receive_skb" } })
    w:run { UDP }
    local events, texts = w:take(4), {}
    table.sort(events, function(a, b) return a.ts_ns < b.ts_ns end)
    for i, ev in ipairs(events) do
      texts[i] = ("%s %s > %s %s"):format(w.names[ev.from_netns], ev.from_ifname, w.names[ev.netns],
        ev.ifname)
      assert.is_true(ev.span_ns > 0)
      assert.are.same({ "net_dev_queue", "netif_receive_skb" }, { ev.from, ev.to })
    end
    assert.are.same({ "A eth0 > HOST va", "HOST vb > B eth0", "B eth0 > HOST vb", "HOST va > A eth0" },
      texts)
  end)

  it("send one event for a path, if it is wanted", function()
    if not world() then return end
    local w <close> = watch.attach(world(), options { paths = true })
    local function seen_with(n, where, threshold)
      w.probe:where(where)
      w.probe:threshold(threshold)
      local before = w.probe:stats().events
      w:run { UDP, MASQUERADED, CLOSED }
      assert.are.equal(n, #w:take(n))
      assert.are.equal(n, w.probe:stats().events - before)
    end
    seen_with(6, "", "")
    seen_with(3, "first_sport == 4000 or first_dport == 4001 or ended == dropped", "")
    seen_with(2, "nr_hops == 7", "")
    seen_with(0, "", "duration_ns > 60s")
    seen_with(1, "", "ended == \"dropped\"")
  end)

  it_at_home("have words for slow and for dropped packets", function()
    for opts, n in pairs { [{ dropped = true }] = 1, [{ slower_than = 100 }] = 0,
        [{ slower_than = 1e-9 }] = 4, [{ dropped = true, slower_than = 100 }] = 1 } do
      local w <close> = watch.attach(world(), options(opts))
      w:run { UDP, CLOSED }
      assert.are.equal(n, #w:take(n))
    end
  end)

  it("keep a packet that a filter has chosen when it was first seen", function()
    if not world() then return end
    local w <close> = watch.attach(world(), options { paths = true })
    local function check(expected, filter, pcap)
      w.probe:filter(filter)
      w.probe:pcap(pcap or "")
      w:run { UDP, MASQUERADED }
      local paths = w:take(#expected)
      watch.check(paths)
      assert.are.same(expected, summary(w, paths))
    end
    local names = w.world.facts
    local all = { "udp A eth0 > B eth0", "udp B eth0 > A eth0", "udp A eth0 > PEER eth0",
      "udp PEER eth0 > A eth0" }
    local ours = { netns = w.probe:filter().netns }
    check(all, ours)
    -- from where it is first seen there, and through the translation
    check({ all[1], "udp A eth0 > A eth0", all[3], "udp A eth0 > A eth0" }, { netns = names["A.netns"] })
    check({ "udp HOST vp > PEER eth0", "udp HOST vp > A eth0" },
      { ifindex = names["HOST.vp.index"], netns = names["HOST.netns"] })
    check({ all[3] }, { netns = ours.netns, saddr = "10.1.0.2", sport = 4001 })
    check({ all[1], all[2] }, { netns = ours.netns, port = 4000, proto = "udp" })
    check({}, { netns = ours.netns, proto = "tcp" })
    check({ all[3] }, ours, "udp and src host 10.1.0.2 and dst net 10.2.0.0/16")
    check({ all[2], all[4] }, ours, "ether src 02:00:00:00:01:03 or src host 10.2.0.2")
  end)

  it_at_home("filter by mark, device and process", function()
    local text, status = world():exec("A", "nft add table ip m && nft add chain ip m o"
      .. " '{ type filter hook output priority 0; }' && nft add rule ip m o udp sport 4001 meta mark set 7")
    assert.are.equal(0, status, text)
    local w <close> = watch.attach(world(), options { paths = true, filter = { mark = 7 } })
    w:run { UDP, MASQUERADED }
    assert.are.same({ "udp A eth0 > PEER eth0" }, summary(w, w:take(1)))
    world():exec("A", "nft delete table ip m")
    w.probe:filter({ ifname = "vp", port = 4001 })
    w:run { UDP, MASQUERADED }
    assert.are.same({ "udp HOST vp > PEER eth0", "udp HOST vp > A eth0" }, summary(w, w:take(2)))
    local child = helper.start(("sh -c 'sleep 1; exec %s'"):format(world():command(UDP)))
    w.probe:filter({ pid = child.pid })
    assert.are.same({ "udp A eth0 > B eth0" }, summary(w, w:take(1)))
    child.wait()
  end)

  it_at_home("refuse what can't be, in a line", function()
    local function fails(message, opts)
      local p, why = bpf.try_attach("podnet", opts, print)
      assert.is_nil(p)
      assert.are.equal("bpf.attach: " .. message, why)
    end
    local groups = "\nhint: groups of points are: device packet bridge ip netfilter qdisc transport"
      .. " socket end all"
    fails("unknown point \"ip_rvc\", did you mean \"ip_rcv\"?" .. groups, { points = "ip_rvc" })
    fails("unknown point \"ip_rvc\", did you mean \"ip_rcv\"?" .. groups,
      { between = { "ip_rvc", "sock_read" } })
    fails("unknown point \"nowhere\"" .. groups, { between = { { "net_dev_queue", "nowhere" } } })
    fails("podnet: point \"ip_rcv\" can't be seen here: this kernel lets no function be hooked:"
      .. " no fentry, no kprobes", { points = "ip_rcv" })
    fails("probe 'podnet': pcap: \"tcp prot 443\": syntax error", { pcap = "tcp prot 443" })
    fails("probe 'podnet': filter \"ifname\": there is no interface \"nope0\""
      .. "\nhint: ip link, and ip -n NETNS link, list them; all namespaces were searched",
      { filter = { ifname = "nope0" } })
    fails("probe 'podnet': filter \"proto\": expected a protocol like \"tcp\", \"icmpv6\", or its number,"
      .. " got \"tpc\"", { filter = { proto = "tpc" } })
    fails("bad option \"between\": expected pairs of points like {{\"ip_rcv\", \"sock_read\"}}, got table",
      { between = { "ip_rcv" } })
    fails("the options \"between\" and \"paths\" are two modes",
      { between = { "ip_rcv", "sock_read" }, paths = true })
    fails("bad option \"slower_than\": expected seconds above 0, at most 3600, got integer",
      { slower_than = 0 })
    fails("\"slower_than\" and \"dropped\" are thresholds: write both in \"threshold\"",
      { dropped = true, threshold = "duration_ns > 1s" })
  end)

  it("leave nothing in the kernel", function()
    if not world() then return end
    local file = os.tmpname()
    local snapshot = assert(load(helper.snapshot_code(file)))
    local w = watch.attach(world(), { paths = true, points = "ip,device,netfilter,end" })
    snapshot()
    local ids, count = helper.held(file)
    assert.is_true(count > 5)
    w:close()
    snapshot()
    local shared = helper.held(file) -- what all probes of this process share stays
    for kind, list in pairs(shared) do
      for id in pairs(list) do ids[kind][id] = nil end
    end
    local left, which = helper.still_there(ids)
    os.remove(file)
    assert.are.equal(0, left, which)
  end)
end)
