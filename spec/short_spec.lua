-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The short forms of `bpfnet run -e`, as a user types them, on connections whose numbers are known.

local helper = require("helper")
local short = require("bpfnet.short")

-- Runs a one-liner on our cgroup's connections, and act() once `attached` probes are there. CODE says OURS where the
-- filter belongs. Ends it by a signal, unless it ends by itself.
local function line(code, act, opts)
  opts = opts or {}
  code = code:gsub("OURS", ("cgroup = %q"):format(helper.cgroup()))
  local child = helper.start(("%s run -v -e %s"):format(helper.bpfnet, helper.quote(code)))
  helper.wait(20, function()
    return select(2, child.stderr():gsub(": attached", "")) >= (opts.attached or 1) or child.status()
  end)
  local result = act and act()
  if not opts.by_itself then
    os.execute("sleep 0.1")
    child.kill(opts.signal or "INT")
  end
  assert.are.equal(0, child.wait(), child.stderr())
  return child.stdout(), result, child.stderr()
end

local function traffic(args)
  return function() return helper.traffic_facts(args) end
end

-- How many facts have a value of f, or what add() gives summed up.
local function by(facts, f, add)
  local sums = {}
  for _, fact in ipairs(facts) do
    local key = f(fact)
    if key then sums[key] = (sums[key] or 0) + (add and add(fact) or 1) end
  end
  return sums
end

-- The table that comes last: rows of cells under titles, and the line above.
local function last_table(text)
  local heading, body = text:match("(%d%d:%d%d:%d%d  [^\n]+ all [^\n]+)\n([^\n]*COUNT.*)$")
  assert(heading, text)
  local titles, rows = nil, {}
  for row in body:gmatch("[^\n]+") do
    local cells, named = {}, {}
    for cell in row:gmatch("%S+") do cells[#cells + 1] = cell end
    if titles then
      for i, title in ipairs(titles) do named[title] = cells[i] end
      rows[#rows + 1] = named
    else
      titles = cells
    end
  end
  return rows, heading
end

local function is_close(fact) return fact.close and fact.comm or nil end

describe("a short form", function()
  it("prints a line for each event, and nothing of others", function()
    local text, facts = line("tcpconnect{ OURS }", traffic("-c 2 echo4 refused4"))
    local n = 0
    assert.matches("^TIME +PID +COMM +.*TO +LATENCY ERROR\n", text)
    for _, f in ipairs(facts) do
      if f.connect then
        n = n + 1
        local found = ("\n%%d%%d:%%d%%d:%%d%%d %d +%s +[^\n]*127.0.0.1:%d +[%%d.]+[mun]s %s"):format(f.pid,
          f.comm:gsub("-", "%%-"), f.dport, f.error or "%-")
        assert.is_truthy(text:find(found), found .. "\n" .. text)
      end
    end
    assert.are.equal(4, n)
    assert.are.equal(1 + n, select(2, text:gsub("\n", "")))
  end)

  it("counts in the kernel, by what is asked for", function()
    local text, facts = line('tcpconnect{ OURS }:count("comm dport error")', traffic("-c 7 echo4 refused4"))
    local rows, heading = last_table(text)
    local expected = by(facts, function(f)
      return f.connect and ("%s %d %s"):format(f.comm, f.dport, f.error or "-") or nil
    end)
    local got = {}
    for _, row in ipairs(rows) do
      got[("%s %s %s"):format(row.COMM, row.DPORT, row.ERROR)] = tonumber(row.COUNT)
    end
    assert.are.same(expected, got)
    assert.matches("tcpconnect, all [%d.]+ s: 14 events$", heading)
  end)

  it("adds up, for programs with exact numbers and to the end", function()
    local text, facts = line('tcpclose{ OURS, json = true, every = 0.2 }:sum("tx_bytes rx_bytes", "comm")',
      traffic("-c 5 echo4 bulk"))
    local total, interval = {}, {}
    for _, row in ipairs(helper.rows(text)) do
      local into = row.span == "total" and total or interval
      into[row.comm] = (into[row.comm] or 0) + row.tx_bytes + row.rx_bytes
    end
    local expected = by(facts, is_close, function(f) return f.rx_bytes + f.tx_bytes end)
    assert.are.same(expected, total)
    assert.are.same(expected, interval)
  end)

  it("shows distributions as bars, and quantiles as a table", function()
    local text = line('tcpclose{ OURS }:hist("tx_bytes", "comm") tcpclose{ OURS }:top("rx_bytes", "comm")',
      traffic("-c 3 bulk"), { attached = 2 })
    -- the client sends 3 MiB of zeros and a bit, the server 1,000,000 bytes
    assert.matches("comm tr%-client: 3 events, p50 3.0M, p99 3.0M, max 3.0M\n +2.0M .. 4.0M +3  #+\n", text)
    assert.are.same({
      { COMM = "tr-server", COUNT = "3", P50 = "3.0M", P90 = "3.0M", P99 = "3.0M", MAX = "3.0M" },
      { COMM = "tr-client", COUNT = "3", P50 = "977K", P90 = "977K", P99 = "977K", MAX = "977K" },
    }, (last_table(text)))
  end)

  it("is refined word by word", function()
    local text = line('tcpconnect{ OURS }:failed():where("dport != 1 or error == nil"):count("error")',
      traffic("-c 4 echo4 refused4"))
    local rows = last_table(text)
    assert.are.equal(1, #rows)
    assert.are.same({ ERROR = "ECONNREFUSED", COUNT = "4" }, rows[1])
  end)

  it("is only for what is slow", function()
    local code = 'tcprequest{ OURS, "side == connect" }:slow("ttfb_ns", "%s"):count("comm", { json = true })'
    local rows = helper.rows((line(code:format("1h"), traffic("-c 3 echo4"))))
    assert.are.same({}, rows)
    rows = helper.rows((line(code:format("1ns"), traffic("-c 3 echo4"))))
    assert.are.equal(3, rows[1].count)
  end)

  it("ends by itself after its duration, with the table of the whole time", function()
    local began = bpf.now()
    local text = line('tcpconnect{ OURS, duration = 1.2, every = 0.5 }:count("comm")', traffic("-c 2 echo4"),
      { by_itself = true })
    assert.is_true(bpf.now() - began < 10e9)
    assert.matches("tcpconnect, last 0.5 s: %d events\n", text)
    assert.matches("tcpconnect, all 1.[23] s: 2 events\n", text) -- without letting go
    assert.are.equal("2", last_table(text)[1].COUNT)
  end)

  it("runs beside others, and stops them all at SIGTERM", function()
    local text = line('tcpaccept{ OURS } tcpconnect{ OURS }:count() tcpclose{ OURS }:count("side")',
      traffic("-c 2 echo4"), { attached = 3, signal = "TERM" })
    assert.matches("^TIME +PID +COMM .*LOCAL +FROM +QUEUE +WAITING\n", text)
    assert.are.equal(2, select(2, text:gsub("\n[%d:]+ %d+ +tr%-server ", "")))
    assert.matches("tcpconnect, all [%d.]+ s: 2 events\n  COUNT\n      2\n", text)
    assert.are.equal(2, #last_table(text:match("tcpclose.*") and text:match("[^\n]*tcpclose, all.*")))
  end)

  it("tells of lost events", function()
    local text, _, told = line('tcpclose{ OURS, buffer = 4096, json = true }', traffic("-c 5000 -p 2 churn"))
    local lost, all = told:match("probe 'tcpclose': (%d+) of (%d+) events were lost")
    if lost then -- a fast reader may have kept up
      assert.are.equal(20000, tonumber(all))
    end
    assert.are.equal(20000 - (lost or 0), select(2, text:gsub("\n", "")))
  end)

  it("tells how many a rate left out", function()
    local text, _, said = line("tcpconnect{ OURS, rate = 3 }", traffic("-c 40 echo4"))
    local shown = select(2, text:gsub("tr%-client", ""))
    local left_out = said:match("warning: probe 'tcpconnect': (%d+) events above the rate were left out\n")
    assert.are.equal(40, shown + tonumber(left_out), said)
    assert.is_true(shown < 40)
  end)

  it("knows containers, where names are put in for cgroups", function()
    local text = line('tcpconnect{ OURS }:count("pod runtime comm", { json = true })', traffic("-c 3 echo4"))
    local rows = helper.rows(text)
    assert.are.equal(1, #rows)
    assert.are.same({ "tr-client", 3 }, { rows[1].comm, rows[1].count })
    assert.is_string(rows[1].runtime) -- the host's, or the unit's or container's that we run in
  end)

  it("takes conditions about pods, also one after the other", function()
    local code = 'tcpconnect{ OURS, "pod != \'kube-system/*\'" }:where("dport != 1 and %s")'
      .. ':count("comm", { json = true })'
    local rows = helper.rows((line(code:format("(namespace != shop or container == x)"), traffic("-c 3 echo4"))))
    assert.are.same({ { "tr-client", 3 } }, { { rows[1].comm, rows[1].count } })
    local text = line(code:format("namespace == shop"), traffic("-c 3 echo4"))
    assert.are.same({}, helper.rows(text))
  end)

  it("stands in -e code, not in scripts", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write("print(tcpconnect)")
    file:close()
    assert.are.equal("nil\n", (helper.run(path)))
    os.remove(path)
    assert.matches("^tcpconnect: tcpconnect%(%) prints each event", (helper.code("print(tcpconnect)")))
    local names = {}
    for _, probe in ipairs(bpf.probe_names()) do names[#names + 1] = probe end
    assert.are.same(names, short.names())
    local env = { tcpclose = "mine" }
    short.install(env)
    assert.are.equal("mine", env.tcpclose)
    assert.are.equal("tcpconnect", env.tcpconnect.name)
  end)
end)

describe("podnet:drops()", function()
  it("tells of dropped packets, and counts them", function()
    -- nobody listens on UDP port 47113
    local function send()
      helper.sh("bash -c 'for i in 1 2 3; do echo x >/dev/udp/127.0.0.1/47113; done'")
    end
    local text = line('podnet:drops{ dport = 47113, proto = "udp" }:count("reason proto dport")', send)
    assert.are.same({ REASON = "no_socket", PROTO = "udp", DPORT = "47113", COUNT = "3" }, last_table(text)[1])
    text = line('podnet:drops{ dport = 47113, proto = "udp" }', send)
    assert.are.equal(3, select(2, text:gsub("\n[%d:]+ no_socket +%S+ +lo +[^\n]+udp 127.0.0.1:%d+ > "
      .. "127.0.0.1:47113", "")))
  end)
end)

describe("braces behind failed and drops", function()
  it("narrow, and hold options", function()
    local function send()
      helper.sh("bash -c 'for i in 1 2 3; do echo x >/dev/udp/127.0.0.1/47113; done; echo x >/dev/udp/127.0.0.1/47114'")
    end
    local text = line('podnet:drops{ dport = 47113 }:count("dport")', send)
    assert.are.same({ { DPORT = "47113", COUNT = "3" } }, (last_table(text)))
    local function refused()
      helper.sh("bash -c 'for p in 47113 47114; do echo >/dev/tcp/127.0.0.1/$p; done'")
    end
    text = line('tcpconnect:failed{ dport = 47114 }:count("dport error")', refused)
    assert.are.same({ { DPORT = "47114", ERROR = "ECONNREFUSED", COUNT = "1" } }, (last_table(text)))
    text = line('tcpconnect:failed{ dport = 47114, duration = 1 }', refused, { by_itself = true })
    assert.are.equal(1, select(2, text:gsub("127.0.0.1:4711%d ", "")))
  end)
end)

describe("a mistake in a short form", function()
  local function fails(code, message)
    local text, status = helper.code(code)
    assert.are.equal(1, status, text)
    assert.is_truthy(text:find("bpfnet: (command line):1: " .. message, 1, true), text)
  end

  it("is told with the probe's name, its like, and where", function()
    local unknown = "probe 'tcpconnect': unknown filter or option "
    fails("tcpconnect{ dprot = 443 }", unknown .. '"dprot", did you mean "dport"?')
    fails("tcpconnect{ evry = 1 }", unknown .. '"evry", did you mean "every"?')
    fails('tcpconnect:count("com")', "probe 'tcpconnect': unknown field \"com\", did you mean \"comm\"?")
    fails('tcpclose:sum("tx_byte")', "probe 'tcpclose': unknown field \"tx_byte\", did you mean \"tx_bytes\"?")
    fails('tcpclose:hist("comm")', "probe 'tcpclose': field \"comm\" is string, not an integer")
    fails('tcpconnect:cuont("comm")', 'no word of a probe is "cuont", did you mean "count"?')
    fails('tcpconnect{ "erorr != nil" }', "probe 'tcpconnect': where \"erorr != nil\": column 1: unknown field")
    fails("tcpclose{ every = 0 }", "tcpclose: every: expected seconds, 0.1 or more, got 0")
    fails('tcpclose{ rows = "many" }', 'tcpclose: rows: expected a number of rows, 1 or more, got "many"')
    fails("tcpconnect:drops()", "tcpconnect: only podnet sees drops: podnet:drops()")
    fails("tcpaccept:failed()", "tcpaccept: nothing of it fails")
    fails("tcpaccept:slow()", 'tcpaccept: slow: expected a field and how long, like "queue_ns", "10ms"')
    fails('tcpconnect.count("comm")', 'expected a probe with ":", as in tcpconnect:count("comm")')
    fails("tcpconnect(5)", "tcpconnect: expected options like { dport = 443")
  end)

  it("of a name without quotes, and of a comparison that Lua makes, is none that shows everything", function()
    local function unquoted(code, name)
      fails(code, ('tcpconnect: there is no variable "%s"\nhint: text stands in quotes: "%s"\n'):format(name, name))
    end
    unquoted("tcpconnect{ comm = curl }", "curl")
    unquoted("tcpconnect{ dport = 443, pid = self, rows = 3 }", "self")
    unquoted("tcpconnect{ duration = 1, failed }", "failed")
    unquoted("tcpconnect:count(comm)", "comm")
    unquoted('tcpconnect:failed():top("latency_ns", daddr)', "daddr")
    fails("local comm tcpconnect:count(comm)", "tcpconnect: the last argument is nil\nhint: text stands in quotes")
    local hint = '\nhint: a filter has one "=", as in { pid = 1 }; a condition stands in quotes, as in { "pid == 1" }\n'
    fails("tcpconnect{ pid == 1 }", "tcpconnect: where: expected a text, got false" .. hint)
    fails("tcpconnect(pid == 1)",
      'tcpconnect: expected options like { dport = 443, "error != nil" }, got boolean' .. hint)
    fails('tcpconnect:count("comm"){ duration = 1 }', "tcpconnect is asked already\nhint: options go inside")
    fails("tcpconnect:where{ dport = 1 }", "tcpconnect: where: expected a text, got a table\n")
    fails("tcpconnect",
      "syntax error near <eof>\nhint: CODE is Lua, as in: tcpconnect{ dport = 443 }:count(\"comm\")\n")
  end)

  it("is none where a variable without a value was meant", function()
    local text, status = helper.code([[n = (n or 0) + 1
      tcpconnect{ dport = port or 47119, duration = 0.01 }
      tcpclose:slow("10 ms"):count(nil, { duration = 0.01 })]])
    assert.are.equal(0, status, text)
  end)

  it("that is a pod that is not there is told, and a word that comes too late", function()
    local text, status = helper.code('tcpconnect{ pod = "no-such-pod-7", duration = 0.01 }:where("pid == 1")')
    assert.are.equal(0, status, text)
    assert.are.equal(1, select(2, text:gsub('bpfnet: warning: no such pod: "no%-such%-pod%-7"', "")), text)
    text = helper.code('tcpconnect{ pod = "no-such-pod-*", duration = 0.01 }')
    assert.is_nil(text:find("warning", 1, true), text)
    text = helper.code('tcpconnect{ namespace = "no-such-ns", container = "!no-such", duration = 0.01 }')
    assert.is_truthy(text:find('bpfnet: warning: nothing of the namespace "no-such-ns" is here now; what comes is '
      .. "shown\nhint: ", 1, true), text)
    assert.is_nil(text:find("no-such\"", 1, true), text)
    fails('tcpconnect:count("comm"):slow("1ms")', "what is counted already can't be narrowed\nhint: slow stands before")
    assert.are.equal("nil\n", (helper.code('print(tcpconnect:count({ duration = 0.01 }).nosuch)'):match("^nil\n")))
  end)

  it("of an argument that nobody takes is none that is ignored", function()
    fails('tcpconnect:where("pid == 1", { duration = 1 })', "tcpconnect: expected at most 1 argument, got 2\n"
      .. "hint: options stand in the braces, as in tcpconnect{ duration = 60 }\n")
    fails('tcpconnect({ dport = 1 }, "pid == 1")', "tcpconnect: expected at most 1 argument, got 2\n")
    fails('tcpconnect:count("comm", "daddr")', 'tcpconnect: expected options like { every = 5 } at the end, got "daddr"'
      .. '\nhint: names of fields are one text, as in "comm daddr"\n')
    fails("podnet:drops{ dprot = 443 }", "probe 'podnet': unknown filter or option \"dprot\"")
    fails("tcpconnect:failed(5)", "tcpconnect: expected options like { dport = 443")
  end)

  it("leaves what was asked before as it is", function()
    local text = line('local q = tcpconnect{ OURS }; print(pcall(q.where, q, "x")); q:count("comm")',
      traffic("-c 2 echo4"))
    assert.matches("^false\tprobe 'tcpconnect': where \"x\": column 1: unknown field", text)
    assert.are.equal("2", last_table(text)[1].COUNT)
  end)
end)

describe("what a short form gives", function()
  it("can be asked and stopped by the program that has it", function()
    local text, facts = line([[
      local c = tcpclose{ OURS }:sum("rx_bytes", "comm")
      local q = tcpaccept{ OURS }
      local deadline = bpf.now() + 10e9
      while #c:rows() < 2 and bpf.now() < deadline do bpf.run(0.05) end
      for _, row in ipairs(c:rows()) do print("row", row.comm, row.count, row.rx_bytes) end
      print(tostring(c):match("[^\n]*\n([^\n]*)"))
      print(#c:clear():rows())
      q:stop()
      print(tostring(q):match("^tcpaccept: stopped, %d events"))
      c:stop()]], traffic("-c 1 bulk"), { attached = 2, by_itself = true })
    for _, f in ipairs(facts) do
      if f.close then assert.is_truthy(text:find(("row\t%s\t1\t%d\n"):format(f.comm, f.rx_bytes), 1, true), text) end
    end
    assert.matches("\nCOMM +COUNT RX_BYTES\n0\n", text)
    assert.matches("\ntcpaccept: stopped, 1 events\n", text)
  end)

  it("tells its last table when the prompt's session ends", function()
    local lines = ("c = tcpconnect{ cgroup = %q }:count(\"comm\")\nos.execute([[%s >/dev/null]])\n"):format(
      helper.cgroup(), helper.traffic_command("-c 3 echo4"))
    local text, status = helper.sh("printf %%s %s | %s repl", helper.quote(lines), helper.bpfnet)
    assert.are.equal(0, status)
    assert.are.same({ { COMM = "tr-client", COUNT = "3" } }, last_table(text))
  end)
end)
