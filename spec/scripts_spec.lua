-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The scripts that are shipped, and `bpfnet probes`, run as a user runs them, on real connections; and
-- the modules that look at the machine.

local cjson = require("cjson")
local expect = require("expect")
local helper = require("helper")

local SCRIPTS = { -- and the probes that they attach
  tcplife = 1, connections = 2, pod_latency = 4, sidecar_delay = 1, service_map = 2,
}

-- Runs a script on what our cgroup does, and act() when it is attached. Gives its output.
-- A table without the column POD, which it has where the machine has containers. Ours are in none: "-".
local function without_pods(text)
  local at = (text:match("[^\n]*POD  +[^\n]*\n") or ""):find("POD", 1, true)
  if not at then return text end
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    local cell = line:sub(at, at + 24)
    local is_ours = cell == "POD" .. (" "):rep(22) or cell == "-" .. (" "):rep(24)
    lines[#lines + 1] = is_ours and line:sub(1, at - 1) .. line:sub(at + 25) or line
  end
  return table.concat(lines, "\n") .. "\n"
end

local function trace(script, args, act, signal)
  local child = helper.start(("%s run -v %s %s --cgroup %s"):format(helper.bpfnet, script, args,
    helper.cgroup()))
  helper.wait(10, function()
    return select(2, child.stderr():gsub("attached", "")) == SCRIPTS[script:match("[^ ]+$")]
  end)
  local result = act and act()
  os.execute("sleep 0.2")
  child.kill(signal or "TERM")
  local status = child.wait()
  assert.are.equal(0, status, child.stderr())
  return child.stdout(), result, child.stderr()
end

local function facts_of(args)
  return function()
    return helper.traffic_facts(args)
  end
end

local function decode(text)
  local rows = {}
  for line in text:gmatch("[^\n]+") do
    local row = cjson.decode(line)
    for k, v in pairs(row) do
      row[k] = math.type(v) == "float" and math.tointeger(v) or v ~= cjson.null and v or nil
    end
    rows[#rows + 1] = row
  end
  return rows
end

-- Sums of a member over the rows, by span and a key made of other members.
local function sums(rows, member, ...)
  local result = { interval = {}, total = {} }
  for _, row in ipairs(rows) do
    local key = {}
    for i, name in ipairs({ ... }) do
      key[i] = tostring(row[name])
    end
    key = table.concat(key, " ")
    local span = result[row.span]
    span[key] = (span[key] or 0) + (row[member] or 0)
  end
  return result
end

local function count_facts(facts, key_of)
  local counts = {}
  for _, fact in ipairs(facts) do
    local key = key_of(fact)
    if key then
      counts[key] = (counts[key] or 0) + 1
    end
  end
  return counts
end

describe("tcplife", function()
  it("tells of every connection end exactly what happened", function()
    local text, facts = trace("tcplife", "--json", facts_of("-c 2 echo4 echo6 mapped bulk halfclose"
      .. " serverclose linger_rst unread_rst forked never_accepted refused4"))
    local ends = {}
    for _, fact in ipairs(facts) do
      if fact.close then
        fact.connect, fact.accept = nil, nil
        ends[#ends + 1] = fact
      end
    end
    local rows = expect.parse(text)
    assert.are.equal(#ends, #rows)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", rows[1].time)
    local failures, count = expect.compare(ends, { connect = {}, accept = {}, close = rows })
    assert.are.equal("", table.concat(failures, "\n"))
    assert.is_true(count >= 40)
  end)

  it("shows both ends in a table, with totals at the end", function()
    local text, facts = trace("tcplife", "", facts_of("-c 1 bulk"), "INT")
    text = without_pods(text)
    assert.matches("^TIME +PID +COMM +LOCAL +REMOTE +RX +TX +LASTED +SRTT +RETR +END\n", text)
    for _, f in ipairs(facts) do
      local line = ("\n%%d%%d:%%d%%d:%%d%%d %d +%s +127.0.0.1:%d +%s 127.0.0.1:%d +%s +%s "):format(f.pid,
        f.comm:gsub("-", "%%-"), f.sport, f.side == "client" and "%->" or "<%-", f.dport,
        f.rx_bytes > 2000000 and "3.0M" or "977K", f.tx_bytes > 2000000 and "3.0M" or "977K")
      assert.is_truthy(text:find(line), line .. "\n" .. text)
    end
    assert.matches("\n\n2 connection ends, 4.0M received, 4.0M sent\nended by: fin 2\nduration: p50 ", text)
  end)

  it("marks connections that are older", function()
    local text = trace("tcplife", "--json", facts_of("-c 1 echo4"))
    assert.are.equal(2, #decode(text))
    local go = os.tmpname()
    os.remove(go)
    local old = helper.start(helper.traffic_command(("-c 1 -r %s.ready -w %s old"):format(go, go)))
    helper.wait(10, function() return helper.read(go .. ".ready") end)
    text = trace("tcplife", "", function()
      io.open(go, "w"):close()
      old.wait()
    end)
    os.remove(go)
    os.remove(go .. ".ready")
    text = without_pods(text)
    assert.matches("\n[%d:]+ %d+~ +tr%-client +127.0.0.1:%d+ +%-%- [^\n]+ %- +[^ ]+ +0 fin %a+, old", text)
    assert.matches("ended by: fin 2\n$", text)
  end)

  it("shows only one side, or only some endings", function()
    local traffic = facts_of("-c 3 echo4 linger_rst")
    local rows = decode((trace("tcplife", "--json --side accept", traffic)))
    assert.are.equal(6, #rows)
    for _, row in ipairs(rows) do
      assert.are.equal("accept", row.side)
    end
    local text = trace("tcplife", "--csv --end rst_sent,timeout", traffic)
    assert.are.equal(1 + 3, select(2, text:gsub("\n", "")))
    assert.matches("\n[^\n]+,rst_sent,local,", text)
  end)

  it("says how many events were lost", function()
    local text, _, stderr = trace("--buffer 4096 tcplife", "--json", facts_of("-c 5000 -p 2 churn"))
    local lost, all = stderr:match("probe 'tcpclose': (%d+) of (%d+) events were lost")
    if lost then -- a fast reader may have kept up
      assert.are.equal(20000, tonumber(all))
    end
    assert.are.equal(20000 - (lost or 0), select(2, text:gsub("\n", "")))
  end)
end)

describe("connections", function()
  local TRAFFIC = facts_of("-c 4 echo4 echo6 refused4 refused_nb noroute4 abandoned")

  it("counts attempts, failures and their reasons by destination", function()
    local text, facts = trace("connections", "--json --interval 0.3", TRAFFIC)
    local rows = decode(text)
    local function key_if(wanted)
      return function(f)
        return f.connect and wanted(f) and ("%s %s %d"):format(f.comm, f.daddr, f.dport) or nil
      end
    end
    local attempts = count_facts(facts, key_if(function() return true end))
    local by = sums(rows, "attempts", "comm", "daddr", "dport")
    assert.are.same(attempts, by.total)
    assert.are.same(by.total, by.interval)
    for key, n in pairs(sums(rows, "failed", "comm", "daddr", "dport").total) do
      assert.are.equal(count_facts(facts, key_if(function(f) return f.error end))[key] or 0, n)
    end
    local errors = {}
    for _, row in ipairs(rows) do
      assert.are.equal(row.attempts, row.ok + row.failed)
      assert.are.equal(row.ok > 0, row.p50_ns ~= nil)
      for name, n in pairs(row.span == "total" and row.errors or {}) do
        errors[name] = (errors[name] or 0) + n
      end
    end
    assert.are.same(count_facts(facts, function(f) return f.connect and f.error end), errors)
  end)

  it("shows failures first, limits its lines, and ends with the whole time", function()
    local text = without_pods(trace("connections", "--rows 1", TRAFFIC, "INT"))
    assert.matches("[%d:]+  all %d+%.%d s: 24 attempts, 16 failed\nCOMM +DESTINATION +TRIED +OK +FAILED +P50"
      .. " +P99 +REDIR +ERRORS\n[^\n]+ 4 +0 +4 +%- +%- +%- E%u+ 4\n%.%.%. and %d+ more\n$", text)
    text = trace("connections", "--failed --csv", TRAFFIC)
    assert.matches("^span,time,seconds,comm,daddr,dport,attempts,ok,failed,errors,p50_ns,p99_ns,max_ns,"
      .. "rx_redirected_bytes,tx_redirected_bytes,pod,namespace,container\n", text)
    assert.matches('\ntotal,[^,]+,[%d.]+,tr%-client,192.0.2.1,%d+,4,0,4,"{""ENETUNREACH"":4}",,,,0,0,,,\n', text)
    assert.is_nil(text:find(",4,4,0,"))
  end)

  it("clears the screen of a terminal only", function()
    if select(2, helper.sh("command -v script")) ~= 0 then
      pending("no script(1) here")
      return
    end
    local command = helper.bpfnet .. " run connections --interval 0.1 --duration 0.5 --pid 1"
    assert.is_nil(helper.sh("TERM=xterm %s", command):find("\27", 1, true))
    local text = helper.sh("TERM=xterm script -qec %s /dev/null </dev/null", helper.quote(command))
    assert.is_truthy(text:find("\27[H\27[2J", 1, true))
  end)
end)

describe("pod_latency", function()
  it("counts accepts and connects by port, also where there is no pod", function()
    local text, facts = trace("pod_latency", "--json --interval 0.3", facts_of("-c 5 echo4 refused4"))
    local by, expected = { interval = {}, total = {} }, {}
    for _, f in ipairs(facts) do
      local key = f.accept and "in accept " .. f.sport or f.connect and "out connect " .. f.dport
      if key then
        expected[key] = (expected[key] or 0) + 1
      end
    end
    for _, row in ipairs(decode(text)) do
      assert.are.equal("host", row.name)
      for _, port in ipairs(row.ports) do
        local key, span = ("%s %s %d"):format(row.direction, port.side, port.port), by[row.span]
        span[key] = (span[key] or 0) + port.count
        assert.are.equal(port.failed, port.errors.ECONNREFUSED or 0)
        assert.is_true(port.failed > 0 or port.p50_ns > 0 and port.p50_ns <= port.p99_ns and port.p99_ns <= port.max_ns)
        assert.is_true(port.side == "connect" or port.backlog >= 0 and port.backlog < port.backlog_max)
      end
    end
    assert.are.same(expected, by.total)
    assert.are.same(expected, by.interval)
  end)

  it("shows them in blocks", function()
    local text = trace("pod_latency", "", facts_of("-c 5 echo4 refused4"))
    assert.matches("\nhost in: 5 requests, [^\n]+\n  PART +N +P50 +P90 +P99 +MAX +SHARE KNOWN BY\n.-"
      .. "\n  total +5 [^\n]+\n  accept :%d+ +5 [^\n]+ queue %d+/%d+\n", text)
    assert.matches("\nhost out: 5 requests, .-\n  connect :%d+ +5 +%- +%- +%- +%- +failed 5: ECONNREFUSED 5\n", text)
    assert.matches("\n[%d:]+  all [%d.]+ s: nothing\n$", (trace("pod_latency", "")))
  end)
end)

describe("every script", function()
  for name in pairs(SCRIPTS) do
    it("explains itself and each of its options: " .. name, function()
      local help, status = helper.run(name .. " --help")
      assert.are.equal(0, status)
      assert.matches("^" .. name .. " %- ", help)
      assert.is_truthy(help:find("\nusage: bpfnet run " .. name .. " [options]\n", 1, true))
      local text
      text, status = helper.run(name .. " --json --help")
      assert.are.equal(0, status)
      for option in text:match("^options: ([^\n]+)\n"):gmatch("%S+") do
        assert.is_true(option == "--help" or help:find(option, 1, true) ~= nil, option)
      end
    end)

    it("ends with status 2 and a hint when called wrongly: " .. name, function()
      local text, status = helper.run(name .. " --jsno")
      assert.are.equal(2, status)
      assert.are.equal(('bpfnet: %s: unknown option "--jsno", did you mean "--json"?\n'
        .. "hint: bpfnet run %s --help\n")
        :format(name, name), text)
    end)

    it("ends with one line when the kernel side refuses: " .. name, function()
      local text, status = helper.run(name .. " --netns /nowhere")
      assert.are.equal(1, status)
      assert.matches("^bpfnet: " .. name .. ": probe 'tcp%a+': filter \"netns\": can't find \"/nowhere\" %(ENOENT%)\n$",
        text)
    end)

    it("stops after --duration: " .. name, function()
      local began = bpf.now()
      local text, status = helper.run(name .. " --csv --duration 0.3 --pid 1")
      assert.are.equal(0, status)
      assert.is_true(bpf.now() - began < 20e9)
      assert.are.equal(1, select(2, text:gsub("\n", "")), text)

    end)
  end
end)

describe("bpfnet.clock", function()
  local clock = require("bpfnet.clock")

  it("is within two seconds of the time of day, and never ahead", function()
    local ahead = clock.wall(bpf.now()) - os.time()
    assert.is_true(ahead <= 0 and ahead >= -2)
    assert.are.equal(clock.wall(bpf.now() - 3600 * 1000000000) // 10, (os.time() - 3600) // 10)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", clock.iso(bpf.now()))
    assert.matches("^%d%d:%d%d:%d%d$", clock.hms(bpf.now()))
  end)
end)

describe("bpfnet.cgroup", function()
  local cgroup = require("bpfnet.cgroup")
  local ID = ("0a1b2c3d"):rep(8)

  it("finds the path of an id", function()
    local path = helper.cgroup()
    local id = math.tointeger(tonumber((helper.sh("stat -c %%i %s", path))))
    assert.are.equal("cgroup:" .. id, cgroup.path(id))
    cgroup.scan()
    assert.are.equal(path:sub(#cgroup.mount() + 1), cgroup.path(id))
  end)

  it("says the id of what it can't find", function()
    assert.are.equal("cgroup:4611686018427387904", cgroup.path(1 << 62))
    cgroup.scan()
    assert.are.equal("cgroup:4611686018427387904", cgroup.path(1 << 62))
  end)

  it("shortens to what an engineer knows", function()
    local uid = "1f6b2c3d_1234_1234_1234_123456789abc"
    for path, short in pairs({
      ["/"] = "/",
      ["/demo"] = "/demo",
      ["cgroup:12"] = "cgroup:12",
      ["/system.slice/nginx.service"] = "nginx.service",
      ["/docker/" .. ID] = "docker/0a1b2c3d0a1b",
      ["/kubepods/burstable/pod" .. uid:gsub("_", "-") .. "/" .. ID] = "pod1f6b2c3d/0a1b2c3d0a1b",
      ["/kubepods.slice/kubepods-pod" .. uid .. ".slice/cri-containerd-" .. ID .. ".scope"] =
        "pod1f6b2c3d/0a1b2c3d0a1b",
    }) do
      assert.are.equal(short, cgroup.short(path))
    end
  end)
end)

describe("bpfnet probes", function()
  local function probes(args)
    return helper.sh("%s probes %s", helper.bpfnet, args)
  end

  it("lists all, and explains one", function()
    local text, status = probes("")
    assert.are.equal(0, status)
    for _, probe in ipairs(bpf.probes()) do
      assert.is_truthy(text:find(probe.name .. "%s+yes%s+%w"))
    end
    text, status = probes("tcpclose")
    assert.are.equal(0, status)
    assert.is_truthy(text:find("rx_bytes%s+integer%s+payload received, also what a redirect carried past TCP\n"))
    assert.is_truthy(text:find("\nfilters: pid tid uid netns ", 1, true))
    assert.is_truthy(text:find("* state       tp_btf/inet_sock_set_state\n", 1, true))
  end)

  it("writes JSON", function()
    local text, status = probes("--json")
    assert.are.equal(0, status)
    local n = 0
    for line in text:gmatch("[^\n]+") do
      local probe = cjson.decode(line)
      n = n + 1
      assert.is_true(probe.available and #probe.fields > 5 and #probe.ways > 0)
      assert.is_true(probe.name == "cgroups" or #probe.filters > 10, probe.name)
    end
    assert.are.equal(#bpf.probes(), n)
    assert.are.equal("tcpclose", cjson.decode((probes("tcpclose --json"))).name)
  end)

  it("says what is wrong, and how", function()
    local text, status = probes("tcpclos")
    assert.are.equal('bpfnet probes: no probe is called "tcpclos", did you mean "tcpclose"?\n'
      .. "hint: bpfnet probes\n", text)
    assert.are.equal(1, status)
    text, status = probes("--jsno")
    assert.are.equal('bpfnet probes: unknown option "--jsno", did you mean "--json"?\n'
      .. "hint: bpfnet help probes\n", text)
    assert.are.equal(2, status)
    assert.are.equal(2, select(2, probes("tcpclose tcpaccept")))
  end)
end)

describe("the annotations", function()
  it("name every function and method there is, and no other", function()
    local text = helper.sh("cat %s/lua/bpfnet/_meta*.lua", helper.root)
    local annotated = {}
    for name in text:gmatch("\nfunction bpf%.([%w_]+)%(") do
      annotated[name] = true
      assert.are.equal("function", type(bpf[name]), name)
    end
    for name, value in pairs(bpf) do
      assert.is_true(type(value) ~= "function" or annotated[name] == true, name)
    end
    local probe <close> = bpf.load("tcpclose")
    for name in text:gmatch("\nfunction Probe:([%w_]+)%(") do
      assert.are.equal("function", type(probe[name]), name)
    end
  end)
end)
