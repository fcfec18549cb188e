-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Packet filters in pcap syntax: which packets of known traffic a probe with packets sees.

local helper = require "helper"

-- spec/example/packets.bpf.c, compiled once
local object
local function packets_object()
  if not object then
    object = os.tmpname() .. ".bpf.o"
    local text, status = helper.sh("clang -g -O2 -mcpu=v2 -target bpf -D__TARGET_ARCH_%s -fms-extensions"
      .. " -Wno-microsoft-anon-tag -I%s/bpf -c %s/spec/example/packets.bpf.c -o %s",
      helper.sh("uname -m"):find("x86") and "x86" or "arm64", helper.root, helper.root, object)
    assert(status == 0, text)
  end
  return object
end

-- Nobody else on this machine sends from here.
local FROM, TO = "127.83.29.1", "127.83.29.2"
local OURS = "src host " .. FROM .. " and dst host " .. TO

-- Sends datagrams with payloads of these lengths to these ports: {{port, bytes}, ...}.
local function send(list)
  local words = {}
  for _, d in ipairs(list) do words[#words + 1] = d[1] .. " " .. d[2] end
  local text, status = helper.sh("perl -MIO::Socket::INET -e '"
    .. "for (@ARGV) { my ($port, $n) = split; IO::Socket::INET->new(Proto => udp, LocalAddr => \"%s\","
    .. " PeerAddr => \"%s:$port\")->send(\"x\" x $n) == $n or die $!; }' '%s'", FROM, TO,
    table.concat(words, "' '"))
  assert.are.equal(0, status, text)
end

local HEADERS = 14 + 20 + 8

-- The payloads' lengths of the events so far, in order, as "10 20"; a letter says what matched.
local function collector()
  local got = {}
  local function add(ev)
    local by = ev.by_ether and ev.by_ip and "" or ev.by_ether and "e" or "i"
    got[#got + 1] = math.tointeger(ev.len - HEADERS) .. by
  end
  local function take()
    bpf.run(0.1)
    local text = table.concat(got, " ")
    for i = #got, 1, -1 do got[i] = nil end
    return text
  end
  return add, take
end

local ALL = { { 5001, 10 }, { 5002, 20 }, { 5001, 30 }, { 5003, 400 } }

describe("pcap", function()
  it("lets those packets through that match, decided in the kernel", function()
    local cases = {
      { "", "10 20 30 400" },
      { " and udp", "10 20 30 400" },
      { " and udp dst port 5001", "10 30" },
      { " and portrange 5002-5003", "20 400" },
      { " and not port 5001 and less 100", "20" },
      { " and udp[8:2] = 0x7878 and udp[4:2] > 20", "20 30 400" },
      { " and ip[8] = 64 and ip proto 17 and udp[4:2] - 8 = 30", "30" },
      { " and tcp", "" },
      -- only frames have these
      { " and ether proto 0x800", "10 20 30 400" },
      { " and ether src 00:00:00:00:00:00", "10e 20e 30e 400e" },
      { " and ether[12:2] = 0x800 and port 5002", "20e" },
      { " and ether dst 02:00:00:00:00:01", "" },
    }
    for _, case in ipairs(cases) do
      local add, take = collector()
      local p = bpf.attach(packets_object(), { pcap = OURS .. case[1] }, add)
      assert.are.equal(OURS .. case[1], p:pcap())
      send(ALL)
      assert.are.equal(case[2], take(), case[1])
      p:close()
    end
  end)

  it("is changed while packets come, and stays when something else is", function()
    local add, take = collector()
    local p = bpf.load(packets_object(), add)
    assert.is_nil(p:pcap())
    assert.are.equal(OURS, p:pcap(OURS))
    p:attach()
    send(ALL)
    assert.are.equal("10 20 30 400", take())
    assert.are.equal(OURS .. " and port 5002", p:pcap(OURS .. " and port 5002"))
    send(ALL)
    assert.are.equal("20", take())
    p:pcap(OURS)
    p:where("len > 60")
    send(ALL)
    assert.are.equal("20 30 400", take())
    assert.are.equal(OURS, p:pcap())
    p:detach():attach()
    send(ALL)
    assert.are.equal("20 30 400", take())
    assert.is_nil(p:pcap(""))
    p:where("len == 442")
    send(ALL)
    assert.is_truthy((" " .. take() .. " "):find(" 400 ", 1, true))
    p:close()
  end)

  it("keeps the old filter when the new one is wrong, and says what is", function()
    local add, take = collector()
    local p = bpf.attach(packets_object(), { pcap = OURS .. " and port 5003" }, add)
    local function refused(text, message)
      local ok, err = pcall(p.pcap, p, text)
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find(message, 1, true), tostring(err))
    end
    refused("tcp prot 443", "probe:pcap: probe '" .. p.name .. "': pcap: \"tcp prot 443\": syntax error")
    refused("host node.example", "pcap: \"host node.example\": unknown host 'node.example'\n"
      .. "hint: names of hosts are not looked up; give the address")
    refused("tcp and udp", "pcap: \"tcp and udp\": no packet can match this")
    refused("inbound", "pcap: \"inbound\": a filter sees the bytes and the length of a packet")
    refused(443, "probe:pcap: bad option \"pcap\": expected text like \"tcp port 80\", got integer")
    refused("port 80\0", "probe:pcap: bad option \"pcap\": a NUL byte in the text")
    assert.are.equal(OURS .. " and port 5003", p:pcap())
    send(ALL)
    assert.are.equal("400", take())
    p:close()
  end)

  it("does not ask a name server", function()
    local before = bpf.now()
    local p = bpf.try_attach(packets_object(), { pcap = "host a-name.invalid or host b.invalid" })
    assert.is_nil(p)
    assert.is_true(bpf.now() - before < 4e9)
  end)

  it("is refused by a probe that has no packets", function()
    local p, message, code = bpf.try_attach("tcpclose", { pcap = "tcp" })
    assert.is_nil(p)
    assert.are.equal("bpf.attach: probe 'tcpclose' has no packets: the option \"pcap\" is for podnet",
      (message:gsub("try_attach", "attach")))
    assert.are.equal("EINVAL", code)
    p = bpf.load("tcpclose")
    local ok, err = pcall(p.pcap, p, "tcp")
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("probe 'tcpclose' has no packets", 1, true))
    p:close()
  end)
end)
