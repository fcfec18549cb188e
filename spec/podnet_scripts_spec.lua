-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The scripts about packets, run as a user runs them on packets between pods.

local helper = require("helper")
local pods = require("pods")

local SCRIPTS = { "packet_path", "path_latency", "drops" }

-- Points that every kernel has, so that all of them give the same trees.
local POINTS = "--points net_dev_queue,net_dev_start_xmit,netif_rx,netif_receive_skb,sock_read,end"

local world

local function up()
  if not world then
    local text, status
    world, text, status = pods.up("neigh")
    if status == 3 then
      pending((text:gsub("%s+$", "")))
    end
    assert.is_truthy(world, text)
  end
  return world
end

teardown(function()
  if world then
    world:down()
  end
end)

-- Starts a script on namespaces of the world, all of them if none are named, and act() once it is
-- attached.
local function start(args, act, options, ...)
  local names = select("#", ...) > 0 and { ... } or table.move(pods.names, 1, #pods.names, 1, {})
  for i, name in ipairs(names) do
    names[i] = up().name .. "-" .. name
  end
  local child = helper.start(("%s run -v %s %s --netns %s --family ipv4"):format(helper.bpfnet, args,
    options or "", table.concat(names, ",")))
  helper.wait(60, function() return child.stderr():find("attached", 1, true) end)
  act()
  return child
end

-- Gives what it wrote, with the namespaces' short names.
local function output_of(child)
  assert.are.equal(0, child.wait(), child.stderr())
  return (child.stdout():gsub(world.name .. "%-", ""))
end

-- The same for one that runs until Ctrl-C.
local function trace(args, act, options, ...)
  local child = start(args, act, options, ...)
  os.execute("sleep 1.2")
  child.kill("INT")
  return output_of(child)
end

-- A datagram to a port that nobody listens on, n times.
local function to_closed_port(n)
  return function()
    for i = 1, n do
      local facts = world:packets(("udp from=A to=10.1.0.3 port=7777 sport=%d wait=30"):format(4000 + i))
      assert.are.equal(0, facts.answered)
    end
  end
end

local function ping()
  assert.are.equal(1, world:packets("ping from=A to=10.1.0.3 id=77 seq=5").answered)
end

-- Lines without what differs each time: times, processes, CPUs, places in functions.
local function tree_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    local rest = line:match("^ +[%d.]+[num]?s? +[%d.]+[num]s  (.*)$") or line:match("^ +0 +(.*)$")
    if not rest then
      rest = line:gsub("^%d%d:%d%d:%d%d ", ""):gsub("%[%d+%]", ""):gsub("after [%d.]+[num]s", "after T")
    else
      rest = "  " .. rest:gsub("%+0x%x+", ""):gsub("  +%l+ %d+%f[ \0]", "")
    end
    lines[#lines + 1] = rest:gsub("(%S) +", "%1 "):gsub(" +$", "")
  end
  return lines
end

local decode = helper.rows

local REQUEST_WAY = {
  "  net_dev_queue eth0 A", "  net_dev_start_xmit eth0 A",
  "    netif_rx va HOST", "    netif_receive_skb va HOST",
  "    net_dev_queue vb HOST", "    net_dev_start_xmit vb HOST",
  "      netif_rx eth0 B", "      netif_receive_skb eth0 B",
}
local REPLY_WAY = {
  "  net_dev_queue eth0 B", "  net_dev_start_xmit eth0 B",
  "    netif_rx vb HOST", "    netif_receive_skb vb HOST",
  "    net_dev_queue va HOST", "    net_dev_start_xmit va HOST",
  "      netif_rx eth0 A", "      netif_receive_skb eth0 A",
}

local function lines_of(first, way, ...)
  local lines = { first }
  table.move(way, 1, #way, 2, lines)
  return table.move({ ... }, 1, select("#", ...), #lines + 1, lines)
end

describe("packet_path", function()
  it("shows a datagram's way across a bridge to its drop, and that of the answer", function()
    local lines = tree_of(trace("packet_path", to_closed_port(1), POINTS))
    local expected = lines_of(
      "udp 10.1.0.2:4001 > 10.1.0.3:7777, 84 bytes, packets: dropped (no_socket) after T", REQUEST_WAY,
      "      dropped eth0 B no_socket in __udp4_lib_rcv")
    table.move(lines_of("icmp 10.1.0.3 > 10.1.0.2 unreachable code 3, 112 bytes: freed after T", REPLY_WAY,
      "      freed eth0 A"), 1, 10, #expected + 1, expected)
    assert.are.same(expected, table.move(lines, 1, #lines - 2, 1, {}))
    assert.are.equal("2 packets, paths ended: dropped 1, freed 1", lines[#lines - 1])
    assert.matches("^from first point to last: p50 [%d.]+us, p99 [%d.]+%l+, max [%d.]+%l+$", lines[#lines])
  end)

  it("shows an echo, and the clone that a raw socket gets as a branch", function()
    local lines = tree_of(trace("packet_path", ping, POINTS .. " --proto icmp"))
    local request = lines_of("icmp 10.1.0.2 > 10.1.0.3 echo request id 77 seq 5, 84 bytes, packets: freed after T",
      REQUEST_WAY, "      freed eth0 B")
    assert.are.same(request, table.move(lines, 1, #request, 1, {}))
    local reply = lines_of(
      "icmp 10.1.0.3 > 10.1.0.2 echo reply id 77 seq 5, 84 bytes, packets: delivered after T, 2 branches",
      REPLY_WAY, "  +- sock_read eth0 A clone", "  | delivered eth0 A",
      "      dropped eth0 A no_socket in ping_rcv")
    assert.are.same(reply, table.move(lines, #request + 1, #request + #reply, 1, {}))
    assert.are.equal("2 packets, paths ended: delivered 1, dropped 1, freed 1", lines[#request + #reply + 1])
  end)

  it("shows only what was dropped, as many as were asked for", function()
    local text = output_of(start("packet_path", to_closed_port(3), POINTS .. " --dropped --count 2"))
    assert.are.equal(2, select(2, text:gsub("dropped %(no_socket%)", "")))
    assert.matches("\n2 packets, paths ended: dropped 2\n", text)
    text = trace("packet_path", to_closed_port(1), POINTS .. " --slower-than 3000")
    assert.matches("^no packets with .*%-%-slower%-than 3000 .* %(%d+ times a packet was seen that was not wanted%)\n$",
      text)
  end)

  it("writes a line for each path, for programs", function()
    local rows = decode(trace("packet_path", ping, POINTS .. " --json --proto icmp"))
    assert.are.equal(3, #rows)
    local traces = {}
    for _, row in ipairs(rows) do
      traces[row.trace] = (traces[row.trace] or 0) + 1
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", row.time)
      assert.are.equal(row.nr_hops, #row.hops)
      assert.are.equal(row.first_ns, row.hops[1].ts_ns)
      assert.are.equal(row.duration_ns, row.hops[#row.hops].ts_ns - row.first_ns)
      assert.are.equal(row.icmp_type == 8 and "A" or "B", row.hops[1].netns_name)
    end
    local counts = {}
    for _, n in pairs(traces) do
      counts[#counts + 1] = n
    end
    table.sort(counts)
    assert.are.same({ 1, 2 }, counts)
  end)

  it("says that a path is no line of CSV, and what point is meant", function()
    local text, status = helper.run("packet_path --csv")
    assert.are.equal("bpfnet: packet_path: option \"--csv\": a path is a list, which CSV can't hold\nhint: --json\n",
      text)
    assert.are.equal(2, status)
    text, status = helper.run("packet_path --points net_dev_queu")
    assert.matches('^bpfnet: packet_path: unknown point "net_dev_queu", did you mean "net_dev_queue"%?\n', text)
    assert.are.equal(1, status)
  end)
end)

describe("path_latency", function()
  local function sums(text)
    local all = { interval = {}, total = {} }
    for _, row in ipairs(decode(text)) do
      assert.is_true(row.p50_ns <= row.p90_ns and row.p90_ns <= row.p99_ns and row.p99_ns <= row.max_ns)
      local key = ("%s > %s %s %s %s"):format(row.from, row.to, row.ifname, row.netns_name, row.direction)
      all[row.span][key] = (all[row.span][key] or 0) + math.tointeger(row.count)
    end
    assert.are.same(all.total, all.interval)
    return all.total
  end

  local function five_pings()
    for _ = 1, 5 do
      ping()
    end
  end

  local OPTIONS = POINTS .. " --proto icmp --json --interval 0.5"

  it("counts each hop once, with its device, and which way it goes for a pod", function()
    local seen = sums(trace("path_latency", five_pings, OPTIONS, "A"))
    assert.are.same({
      -- from it, all the way
      ["net_dev_queue > net_dev_start_xmit eth0 A from"] = 5,
      ["net_dev_start_xmit > netif_rx va HOST in"] = 5,
      ["netif_rx > netif_receive_skb va HOST in"] = 5,
      ["netif_receive_skb > net_dev_queue vb HOST out"] = 5,
      ["net_dev_queue > net_dev_start_xmit vb HOST out"] = 5,
      ["net_dev_start_xmit > netif_rx eth0 B in"] = 5,
      ["netif_rx > netif_receive_skb eth0 B in"] = 5,
      ["netif_receive_skb > freed eth0 B in"] = 5,
      -- to it, from where it is seen there
      ["netif_rx > netif_receive_skb eth0 A to"] = 5,
      ["netif_receive_skb > dropped eth0 A to"] = 5,
      ["netif_receive_skb > sock_read eth0 A to"] = 5,
      ["sock_read > delivered eth0 A to"] = 5,
    }, seen)
  end)

  it("says which way packets go at the device that leads to a pod", function()
    local seen = sums(trace("path_latency", five_pings, OPTIONS .. " --ifname va", "HOST"))
    assert.are.equal(5, seen["netif_rx > netif_receive_skb va HOST from"])
    assert.are.equal(5, seen["net_dev_queue > net_dev_start_xmit va HOST to"])
    assert.are.equal(5, seen["net_dev_queue > net_dev_start_xmit vb HOST out"])
    assert.are.equal(5, seen["net_dev_start_xmit > netif_rx eth0 A in"])
  end)

  it("measures between two points", function()
    local seen = sums(trace("path_latency", five_pings,
      "--proto icmp --json --interval 0.5 --between net_dev_queue,netif_receive_skb", "A", "B"))
    assert.are.same({
      ["net_dev_queue > netif_receive_skb va HOST in"] = 5,
      ["net_dev_queue > netif_receive_skb eth0 B to"] = 5,
      ["net_dev_queue > netif_receive_skb vb HOST in"] = 5,
      ["net_dev_queue > netif_receive_skb eth0 A to"] = 5,
    }, seen)
  end)

  it("shows a table, slowest first", function()
    local text = trace("path_latency", five_pings, POINTS .. " --proto icmp --rows 2", "A")
    assert.matches("^%d%d:%d%d:%d%d  all %d+%.%d s: 10 packets, 60 hops\nFROM +TO +DEVICE +NETNS +DIR +N +P50 +P90 "
      .. "+P99 +MAX\n[^\n]+\n[^\n]+\n%.%.%. and 10 more\n$", text)
    text = trace("path_latency", function() end, "--port 1")
    assert.matches("^no packets with %-%-port 1 [^\n]+\n$", text)
  end)

  it("wants pairs", function()
    local text, status = helper.run("path_latency --between ip_rcv")
    assert.matches('^bpfnet: path_latency: option "%-%-between": expected pairs of points with commas between, '
      .. 'got "ip_rcv"\n$', text)
    assert.are.equal(2, status)
  end)
end)

describe("drops", function()
  local function rows_of(text, kind)
    local rows = {}
    for _, row in ipairs(decode(text)) do
      if row.kind == kind and row.span == "total" then
        rows[#rows + 1] = row
      end
    end
    return rows
  end

  it("counts by reason, place and port", function()
    local rows = rows_of(trace("drops", to_closed_port(5), "--json --interval 0.5"), "drop")
    assert.are.equal(1, #rows)
    local row = rows[1]
    assert.are.same({ 5, "no_socket", "eth0", "B", "udp", 7777 }, { math.tointeger(row.count), row.reason,
      row.ifname, row.netns_name, row.proto, math.tointeger(row.dport) })
    assert.matches("^__udp4_lib_rcv%+0x%x+$", row.location)
  end)

  it("shows a table, and how much of it is no loss", function()
    local function act()
      to_closed_port(2)()
      ping()
    end
    local text = trace("drops", act, "")
    assert.matches("^%d%d:%d%d:%d%d  all %d+%.%d s: 2 drops, 1 that are no loss left out %(%-%-all%)\n"
      .. " +COUNT REASON +LOCATION +DEVICE +NETNS +PROTO +DPORT PROCESS\n"
      .. " +2 no_socket +__udp4_lib_rcv%+0x%x+ +eth0 +B +udp +7777 %-\n$", text)
    text = trace("drops", act, "--all")
    assert.matches(": 3 drops\n", text)
    assert.matches("\n +1 no_socket +ping_rcv%+0x%x+ +eth0 +A +icmp +0 %-\n", text)
  end)

  it("follows packets to know whose they are", function()
    local rows = rows_of(trace("drops", to_closed_port(2), "--json --follow"), "drop")
    assert.are.equal(1, #rows)
    assert.are.equal("packets", rows[1].comm)
    assert.are.equal(2, rows[1].count)
  end)

  it("shows each drop with its stack", function()
    local text = trace("drops", to_closed_port(2), "--events --stack")
    assert.matches("^TIME +REASON +LOCATION +DEVICE +NETNS +PROCESS +RULES +PACKET\n%d%d:%d%d:%d%d no_socket "
      .. "+__udp4_lib_rcv%+0x%x+ +eth0 +B +%- +%- +udp 10.1.0.2:4001 > 10.1.0.3:7777\n    ", text)
    assert.are.equal(2, select(2, text:gsub("\n    __udp4_lib_rcv%+0x%x+\n", "")))
    assert.matches("\n\n2 drops, 0 that are no loss left out\n$", text)
  end)

  it("shows only the reasons that are asked for", function()
    local text = trace("drops", to_closed_port(1), "--reason netfilter_drop")
    assert.matches("^no drops with %-%-reason netfilter_drop .* %(%d+ times", text)
    local status
    text, status = helper.run("drops --reason no_sockt")
    assert.matches('"no_sockt" is no value of "reason", did you mean "no_socket"%?', text)
    assert.are.equal(1, status)
  end)
end)

describe("every script about packets", function()
  for _, name in ipairs(SCRIPTS) do
    it("explains itself and each of its options: " .. name, function()
      local help, status = helper.run(name .. " --help")
      assert.are.equal(0, status)
      assert.matches("^" .. name .. " %- ", help)
      assert.is_truthy(help:find("\nusage: bpfnet run " .. name .. " [options]\n", 1, true))
      local text = helper.run(name .. " --json --help")
      for option in text:match("^options: ([^\n]+)\n"):gmatch("%S+") do
        assert.is_true(option == "--help" or option == "--csv" or help:find(option, 1, true) ~= nil, option)
      end
    end)

    it("ends with one line when called wrongly: " .. name, function()
      local text, status = helper.run(name .. " --cgroup 1")
      assert.are.equal(2, status)
      assert.matches("^bpfnet: " .. name .. ': unknown option "%-%-cgroup"[^\n]*\nhint: bpfnet run ' .. name
        .. " %-%-help\n$", text)
      text, status = helper.run(name .. " --netns nowhere")
      assert.are.equal(1, status)
      assert.matches("^bpfnet: " .. name .. ": probe 'podnet[_%l]*': filter \"netns\": can't find "
        .. '"/run/netns/nowhere" %(ENOENT%)\n$', text)
    end)

    it("stops after --duration: " .. name, function()
      local text, status = helper.run(name .. " --duration 0.3 --port 1")
      assert.are.equal(0, status)
      assert.matches("^no %l+ with %-%-duration 0.3 %-%-port 1", text)
    end)
  end
end)
