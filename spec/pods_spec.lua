-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The world that podnet is tested in: the pods of tests/runtime/pods.sh and the packets in it.

local helper = require "helper"
local pods = require "pods"

local ALL = pods.names
local WIDE = "neigh fw=nft vxlan mtu=9000"

-- In an emulated machine building one takes some seconds: there only what may differ. All of it was
-- seen to pass in each; VMRUN= runs it again.
local GUEST = (os.getenv("VMRUN") or "") ~= ""
local it_at_home = GUEST and function() end or it

-- Building one takes most of the time, so those with the same options are one; they go in the end.
local worlds = {}

local function up(options)
  if worlds[options] then return worlds[options] end
  local world, text, status = pods.up(options)
  if status == 3 then
    pending((text:gsub("%s+$", "")))
    return nil
  end
  assert.is_truthy(world, text)
  worlds[options] = world
  return world
end

local function down(options)
  local world = worlds[options]
  worlds[options] = nil
  world:down()
end

-- Every kind of traffic on every way, one after the other.
local function everything(fw)
  local runs, seen, sport = {}, { HOST = {}, A = {}, B = {}, PEER = {} }, 4000
  for _, way in ipairs { "A-B", "A-HOST", "A-PEER", "PEER-A" } do
    for _, kind in ipairs { "ping", "udp", "tcp" } do
      for _, six in ipairs { false, true } do
        sport = sport + 1
        local run = pods.exchange(kind, way, six, fw, sport)
        runs[#runs + 1] = run.args
        for name, lines in pairs(pods.expected(kind, way, run.inner, run.outer)) do
          table.move(lines, 1, #lines, #seen[name] + 1, seen[name])
        end
      end
    end
  end
  return runs, seen
end

local function check_all_seen(expected, seen)
  for _, name in ipairs(ALL) do
    assert.are.equal(table.concat(expected[name], "\n"), table.concat(seen[name], "\n"))
  end
end

-- What each port drops: in which namespace the server is, and the last place of the packet.
local DROPS = {
  [9999] = { at = "B", to = { "10.1.0.3", "fd01::3" }, last = "va in" },
  [9998] = { at = "B", to = { "10.1.0.3", "fd01::3" }, last = "va in" },
  [9997] = { at = "HOST", to = { "10.1.0.1", "fd01::1" }, last = "br0 in" },
}

local function check_drops(world)
  local runs, last = {}, {}
  for port, drop in pairs(DROPS) do
    for _, kind in ipairs { "udp", "tcp" } do
      for _, to in ipairs(drop.to) do
        runs[#runs + 1] = ("%s from=A at=%s to=%s port=%d wait=100"):format(kind, drop.at, to, port)
      end
    end
  end
  local all, seen = world:tap("show", { "HOST" }, runs)
  for i, run in ipairs(runs) do
    assert.are.same({ 0, 0 }, { all[i].answered, all[i].server_packets }, run)
  end
  for _, line in ipairs(seen.HOST) do
    local place, key = line:match("^HOST (%w+ %l+) (%l+ .*)$")
    last[key] = place
  end
  local count = 0
  for key, place in pairs(last) do
    assert.are.equal(DROPS[tonumber(key:match(" (%d+) %S+ %d+$"))].last, place, key)
    count = count + 1
  end
  assert.are.equal(#runs, count)
end

describe("the pods", function()
  teardown(function()
    for options in pairs(worlds) do down(options) end
  end)

  for _, fw in ipairs(GUEST and { "legacy" } or { "none", "nft", "iptables", "legacy" }) do
    it("let exactly the known packets pass, fw=" .. fw, function()
      local world = up("neigh fw=" .. fw)
      if not world then return end
      local runs, expected = everything(fw)
      local all, seen = world:tap("show", ALL, runs)
      assert.are.equal(#runs, #all)
      for i, facts in ipairs(all) do assert.are.equal(1, facts.answered, runs[i]) end
      check_all_seen(expected, seen)
      if fw ~= "none" then check_drops(world) end
    end)
  end

  it_at_home("are told as they are", function()
    local world = up("neigh fw=none")
    local facts = world.facts
    for _, name in ipairs(ALL) do
      local dev = name == "HOST" and "br0" or "eth0"
      assert.are.equal(world:ns(name), facts[name .. ".ns"])
      assert.are.equal(("net:[%d]\n"):format(facts[name .. ".netns"]),
        (world:exec(name, "readlink /proc/self/ns/net")))
      local index, mac = world:exec(name, "ip -o link show " .. dev):match("^(%d+):.*ether (%S+)")
      assert.are.same({ mac, math.tointeger(index) },
        { facts[name .. "." .. dev .. ".mac"], facts[name .. "." .. dev .. ".index"] })
    end
    assert.are.equal("10.1.0.2", facts["A.eth0.ip4"])
    assert.are.equal("fd02::2", facts["PEER.eth0.ip6"])
  end)

  it_at_home("are silent when nobody speaks", function()
    local world = up("neigh fw=none")
    local _, seen = world:tap("show quiet=3000", ALL, { "ping from=A to=10.1.0.1" })
    check_all_seen(pods.expected("ping", "A-HOST", { "10.1.0.2", 0, "10.1.0.1", 0 }), seen)
  end)

  it_at_home("ask for addresses that nobody told them", function()
    local world = up("fw=none")
    local all, seen = world:tap("show", { "B" }, { "ping from=A to=10.1.0.3 seq=9" })
    assert.are.equal(1, all[1].answered)
    assert.are.equal("B eth0 in ether 0x0806", seen.B[1])
    assert.are.equal("B eth0 out icmp 10.1.0.3 0 10.1.0.2 0 reply9 56", seen.B[#seen.B])
  end)

  it_at_home("exchange 50 times the same segments", function()
    local world = up("neigh fw=none")
    local all, seen = world:tap("show", ALL, { "tcp from=A at=PEER to=10.2.0.2 port=80 n=50" })
    assert.are.equal(50, all[1].server_packets)
    local kinds, n = {}, 0
    for i, line in ipairs(seen.PEER) do
      kinds[i] = line:gsub("%S+ 80 ", ""):match("eth0 (%l+ .*)$"):gsub("%d+ (%u+ %d+)$", "%1")
    end
    for i = 1, #kinds, 11 do
      assert.are.equal(table.concat(kinds, "\n", 1, 11), table.concat(kinds, "\n", i, i + 10))
      n = n + 1
    end
    assert.are.equal(50, n)
    assert.are.equal(550 * 3, #seen.HOST)
  end)

  it_at_home("carry fragments and extension headers", function()
    local world = up("neigh fw=none")
    local _, seen = world:tap("show", { "B" }, {
      "udp from=A at=B to=10.1.0.3 port=80 sport=4000 len=3000",
      "udp from=A at=B to=fd01::3 port=80 sport=4000 len=3000",
      "udp from=A at=B to=fd01::3 port=80 sport=4000 len=5 dstopts=16",
    })
    assert.are.same({
      "B eth0 in udp 10.1.0.2 4000 10.1.0.3 80 -,MF 1472",
      "B eth0 in fragment 10.1.0.2 0 10.1.0.3 0 +1480 1480",
      "B eth0 in fragment 10.1.0.2 0 10.1.0.3 0 +2960 48",
      "B eth0 out udp 10.1.0.3 80 10.1.0.2 4000 -,MF 1472",
      "B eth0 out fragment 10.1.0.3 0 10.1.0.2 0 +1480 1480",
      "B eth0 out fragment 10.1.0.3 0 10.1.0.2 0 +2960 48",
      "B eth0 in udp fd01::2 4000 fd01::3 80 -,MF 1440",
      "B eth0 in fragment fd01::2 0 fd01::3 0 +1448 1448",
      "B eth0 in fragment fd01::2 0 fd01::3 0 +2896 112",
      "B eth0 out udp fd01::3 80 fd01::2 4000 -,MF 1440",
      "B eth0 out fragment fd01::3 0 fd01::2 0 +1448 1448",
      "B eth0 out fragment fd01::3 0 fd01::2 0 +2896 112",
      "B eth0 in udp fd01::2 4000 fd01::3 80 - 5",
      "B eth0 out udp fd01::3 80 fd01::2 4000 - 5",
    }, seen.B)
  end)

  it_at_home("carry streams and floods, with a packet socket that counts them", function()
    local world = up("neigh fw=none")
    local facts = world:packets("flood from=A at=B to=10.1.0.3 port=80 n=5000 len=100")
    assert.are.equal(5000, facts.sent)
    assert.is_true(facts.server_packets > 0 and facts.server_packets <= 5000)
    assert.are.equal(facts.server_packets * 100, facts.server_bytes)
    facts = world:packets("bulk from=A at=PEER to=fd02::2 port=80 mib=8")
    assert.are.equal(8 << 20, facts.server_bytes)
    local run = { "udp from=A at=B to=10.1.0.3 port=80" }
    for _, options in ipairs { "dev=va", "dev=va ring" } do
      local _, _, tap = world:tap(options, { "HOST" }, run)
      assert.are.same({ 2, 0 }, { tap.tap_HOST_packets, tap.tap_HOST_lost })
    end
    local _, plain = world:tap("show", { "HOST" }, { "udp from=A at=B to=10.1.0.3 port=80 sport=4000" })
    local _, ring = world:tap("ring show", { "HOST" }, {
      "udp from=A at=B to=10.1.0.3 port=80 sport=4000" })
    assert.are.same(plain, ring)
  end)

  it_at_home("have a VXLAN to the other machine, and frames of 9,000 bytes", function()
    local world = up(WIDE)
    if not world then return end
    local all, seen = world:tap("show", { "HOST" }, {
      "udp from=A at=PEER to=10.3.0.2 port=80 sport=4000" })
    assert.are.equal("10.1.0.2", all[1].server_saw_addr)
    assert.are.equal("HOST vx0 out udp 10.1.0.2 4000 10.3.0.2 80 - 56", seen.HOST[3])
    assert.is_truthy(seen.HOST[4]:find("^HOST vp out udp 10.2.0.1 %d+ 10.2.0.2 4789 %- 106$"))
    assert.are.equal(8, #seen.HOST)
    local _, wide = world:tap("show", { "PEER" }, {
      "udp from=A at=PEER to=10.2.0.2 port=80 sport=4000 len=8972" })
    assert.are.equal("PEER eth0 in udp 10.2.0.1 4000 10.2.0.2 80 - 8972", wide.PEER[1])
  end)

  it("have a VLAN", function()
    local world = up("neigh fw=none vlan")
    if not world then return end
    local all, seen = world:tap("show", { "HOST" }, {
      "udp from=A at=HOST to=10.5.0.1 port=80 sport=4000",
      "tcp from=A at=B to=fd05::3 port=80 sport=4000" })
    assert.are.same({ 1, 1 }, { all[1].answered, all[2].answered })
    assert.are.equal("HOST va in udp 10.5.0.2 4000 10.5.0.1 80 - 56 vlan=5", seen.HOST[1])
    assert.are.equal("HOST br0.5 in udp 10.5.0.2 4000 10.5.0.1 80 - 56", seen.HOST[3])
    assert.are.equal(6 + 22, #seen.HOST)
  end)

  -- A sends segment by segment, va may put them together.
  it_at_home("have GRO on veths or not", function()
    for _, gro in ipairs { "on", "off" } do
      local world = up("neigh gro=" .. gro)
      if not world then return end
      for _, what in ipairs { "tso", "gso" } do
        local text, status = world:exec("A", ("%s/tests/packets %s off eth0"):format(helper.out, what))
        assert.are.equal(0, status, text)
      end
      local _, seen = world:tap("dev=va show", { "HOST" }, {
        "bulk from=A at=PEER to=10.2.0.2 port=80 mib=1" })
      local most = 0
      for _, line in ipairs(seen.HOST) do
        if line:find("^HOST va in") then most = math.max(most, tonumber(line:match("%d+$"))) end
      end
      assert.are.equal(gro == "on", most > 1448)
    end
  end)

  it_at_home("leave nothing behind", function()
    local world = up(WIDE)
    if not world then return end
    local inside = helper.start(("sh -c 'nsenter --net=%s sleep 1000; echo $?'"):format(world:ns("A")))
    helper.wait(5, function() return helper.sh("ip netns pids %s-A", world.name) ~= "" end)
    down(WIDE)
    inside.wait()
    assert.are.equal("137\n", inside.stdout())
    assert.are.equal("", (helper.sh("ip netns | grep %s; ls /run/netns | grep %s", world.name, world.name)))
    world:down()
  end)

  it_at_home("are taken down when they could not be built", function()
    local text, status = helper.sh("PODS=half%d PACKETS=/nowhere %s/tests/runtime/pods.sh up gro=on",
      bpf.now() // 1000, helper.root)
    if status == 3 then
      pending((text:gsub("%s+$", "")))
      return
    end
    assert.are.equal(1, status)
    assert.are.equal("pods.sh: could not build it: nsenter: failed to execute /nowhere: "
      .. "No such file or directory\n", text)
    assert.are.equal("", (helper.sh("ip netns | grep half")))
  end)

  it_at_home("say what was wrong", function()
    local sh = helper.root .. "/tests/runtime/pods.sh"
    local text, status = helper.sh("PODS=x %s up fw=pf", sh)
    assert.are.equal(2, status)
    assert.are.equal("pods.sh: no option 'fw=pf' (there are: fw=none|iptables|legacy|nft neigh "
      .. "mtu=BYTES gro=on|off vlan vxlan)\n", text)
    text, status = helper.sh("PODS=x %s exec C true", sh)
    assert.are.equal(2, status)
    assert.are.equal("pods.sh: no namespace 'C' (there are: HOST A B PEER)\n", text)
    text, status = helper.sh("%s/tests/packets udp too=1", helper.out)
    assert.are.equal(2, status)
    assert.are.equal("packets: no argument 'too' (there are: to= from= at= port= listen= sport= id= "
      .. "seq= len= req= res= n= mib= dstopts= wait=)\n", text)
  end)
end)
