-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The Lua modules in lua/bpfnet, without the kernel.

local cjson = require("cjson")
local helper = require("helper")

-- What f() writes to standard output, by an io.write that keeps it.
local function written(f)
  local parts, write = {}, io.write
  io.write = function(...) -- luacheck: ignore
    parts[#parts + 1] = table.concat({ ... })
  end
  local ok, message = pcall(f)
  io.write = write -- luacheck: ignore
  assert(ok, message)
  return table.concat(parts)
end

it("guesses what name was meant", function()
  local nearest = require("bpfnet.nearest")
  assert.are.equal("--duration", nearest("--duratoin", { "--csv", "--duration" }))
  assert.are.equal("pid", nearest("pdi", { "port", "pid" }))
  assert.is_nil(nearest("xyz", { "port", "pid" }))
  assert.is_nil(nearest(("x"):rep(100), { ("x"):rep(99) }))
end)

describe("bpfnet.args", function()
  local args = require("bpfnet.args")

  local OPTIONS = {
    rows = { type = "integer", min = 1, default = 20 },
    interval = { type = "number", min = 0.1, max = 60, default = 2 },
    side = { type = "word", words = { "connect", "accept" } },
    min_bytes = { type = "integer" },
    failed = { type = "flag" },
    file = { type = "string", list = true },
  }

  local function parse(...)
    return args.try_parse({ ... }, OPTIONS)
  end

  local function wrong(...)
    local result, message = parse(...)
    assert.is_nil(result)
    return message
  end

  it("gives defaults", function()
    assert.are.same({ format = "table", rows = 20, interval = 2 }, parse())
  end)

  it("reads every type, with the value after = or as the next word", function()
    local opt = parse("--rows", "7", "--interval=0.5", "--side=accept", "--min-bytes", "-3", "--failed", "--csv",
      "--duration", "1.5", "--file=a=b", "--file", "c,d")
    assert.are.same({
      format = "csv", csv = true, rows = 7, interval = 0.5, side = "accept", min_bytes = -3, failed = true,
      duration = 1.5, file = { "a=b", "c", "d" },
    }, opt)
    assert.are.equal("integer", math.type(opt.rows))
  end)

  it("puts the common filters into the table for bpf.attach", function()
    local opt = parse("--pid", "1,2", "--pid=3", "--comm", "nginx,curl", "--dport=443", "--addr", "10.0.0.0/8,fd00::1",
      "--netns", "4026531840", "--netns", "/proc/1/ns/net", "--cgroup", "/sys/fs/cgroup/a", "--uid", "0",
      "--family", "ipv6", "--port", "0,65535", "--sport", "1")
    assert.are.same({
      pid = { 1, 2, 3 }, comm = { "nginx", "curl" }, dport = { 443 }, addr = { "10.0.0.0/8", "fd00::1" },
      netns = { 4026531840, "/proc/1/ns/net" }, cgroup = { "/sys/fs/cgroup/a" }, uid = { 0 },
      family = { "ipv6" }, port = { 0, 65535 }, sport = { 1 },
    }, opt.filter)
    assert.is_nil(opt.pid)
    assert.is_nil(parse("--rows=1").filter)
  end)

  it("takes a probe's own filters in place of the common ones", function()
    local filters = { proto = { type = "id", list = true } }
    local opt = args.try_parse({ "--proto", "tcp,6", "--rows=1" }, OPTIONS, filters)
    assert.are.same({ proto = { "tcp", 6 } }, opt.filter)
    assert.are.equal('unknown option "--prot", did you mean "--proto"?',
      select(2, args.try_parse({ "--prot" }, OPTIONS, filters)))
    local message = select(2, args.try_parse({ "--cgroup=1" }, OPTIONS, filters))
    assert.matches('^unknown option "%-%-cgroup" %(known: ', message)
  end)

  it("says what is wrong", function()
    assert.are.equal('unknown option "--jsn", did you mean "--json"?', wrong("--jsn"))
    assert.are.equal('unknown option "--min-byte", did you mean "--min-bytes"?', wrong("--min-byte=3"))
    assert.matches('^unknown option "%-x" %(known: %-%-addr, .*%-%-uid%)$', wrong("-x"))
    assert.are.equal('unexpected argument "x"', wrong("--json", "x"))
    assert.are.equal('option "--rows" needs a value', wrong("--rows"))
    assert.are.equal('option "--json" takes no value', wrong("--json=1"))
    assert.are.equal('option "--rows": expected an integer from 1, got "0"', wrong("--rows", "0"))
    assert.are.equal('option "--rows": expected an integer from 1, got "1.5"', wrong("--rows", "1.5"))
    assert.are.equal('option "--rows": expected an integer from 1, got "99999999999999999999"',
      wrong("--rows", "99999999999999999999"))
    assert.are.equal('option "--interval": expected a number from 0.1 to 60, got "0"', wrong("--interval", "0"))
    assert.are.equal('option "--interval": expected a number from 0.1 to 60, got "nan"', wrong("--interval", "nan"))
    assert.are.equal('option "--interval": expected a number from 0.1 to 60, got "1.2.3"', wrong("--interval", "1.2.3"))
    assert.are.equal('option "--side": expected connect or accept, got "both"', wrong("--side", "both"))
    assert.are.equal('option "--port": expected an integer from 0 to 65535, got "65536"', wrong("--port", "65536"))
    assert.are.equal('option "--pid": expected an integer from 0 to 2147483647, got "-1"', wrong("--pid", "-1"))
    assert.are.equal('option "--pid": expected values with commas between, got "1,,2"', wrong("--pid", "1,,2"))
    assert.are.equal('option "--comm": expected values with commas between, got ""', wrong("--comm="))
    assert.are.equal("--json and --csv exclude each other", wrong("--json", "--csv"))
    assert.matches('^unknown option "%-%-" ', wrong("--"))
    assert.are.equal('unexpected argument ""', wrong(""))
    assert.are.equal('unknown option "--namesp", did you mean "--namespace"?', wrong("--namesp", "x"))
    assert.matches('^unknown option "%-%-slow" %(known: ', wrong("--slow"))
    assert.are.equal('unknown option "-n", did you mean "--namespace" or "--netns"?', wrong("-n", "1"))
  end)

  it("ends a program that was called wrongly with one line, a hint and status 2", function()
    local text, status = helper.code("require('bpfnet.args').parse({'--durtion'})")
    assert.are.equal(2, status)
    assert.are.equal('bpfnet: (command line): unknown option "--durtion", did you mean "--duration"?\n'
      .. "hint: bpfnet run (command line) --help\n", text)
  end)
end)

describe("bpfnet.out", function()
  local out = require("bpfnet.out")

  local COLUMNS = {
    { title = "COMM", width = 6, value = "comm" },
    { title = "N", width = 5, right = true, value = "n" },
    { title = "PEER", width = 4, value = function(r) return r.peer and "<" .. r.peer .. ">" end },
  }
  local FIELDS = { "comm", "n", "peer", "old" }

  local function lines_of(format, ...)
    local rows = { ... }
    return written(function()
      local w = out.new({ format = format, columns = COLUMNS, fields = FIELDS })
      for _, row in ipairs(rows) do
        w:row(row)
      end
    end)
  end

  it("aligns a table, and recovers after a value that is too long", function()
    assert.are.equal("COMM       N PEER\ncurl      12 <x>\nmuch-too-long 12 <y>\na    1234567 <z>\n-          - -\n",
      lines_of("table", { comm = "curl", n = 12, peer = "x" }, { comm = "much-too-long", n = 12, peer = "y" },
        { comm = "a", n = 1234567, peer = "z" }, {}))
  end)

  it("keeps control characters away from the terminal", function()
    assert.are.equal("COMM       N PEER\na?[2Jb     - -\na??b       - -\nä          - -\n?c??d      - -\n",
      lines_of("table", { comm = "a\27[2Jb" }, { comm = "a\n\rb" }, { comm = "ä" }, { comm = "\xffc\xc2\x9bd" }))
  end)

  it("writes JSON in the order of the fields, with exact integers", function()
    assert.are.equal('{"comm":"a\\"b","n":9007199254740993,"peer":null,"old":false}\n',
      lines_of("json", { comm = 'a"b', n = 9007199254740993, old = false }))
    local text = lines_of("json", { n = math.maxinteger })
    assert.is_truthy(text:find('"n":9223372036854775807', 1, true))
  end)

  it("writes JSON that others can read, whatever a process is called", function()
    for _, comm in ipairs({ "a\nb", "\0\1\2", "\xff\xfe", "ü", '","n":1', "\\" }) do
      local text = lines_of("json", { comm = comm })
      assert.are.equal("string", type(cjson.decode(text).comm))
      assert.are.equal(1, select(2, text:gsub("\n", "")))
    end
  end)

  it("quotes CSV as RFC 4180 wants it, under one header", function()
    assert.are.equal('comm,n,peer,old\n"a,b",1,"say ""x""",true\n"a\nb",9007199254740993,"\r",\n',
      lines_of("csv", { comm = "a,b", n = 1, peer = 'say "x"', old = true },
        { comm = "a\nb", n = 9007199254740993, peer = "\r" }))
  end)

  it("repeats a table's titles only where asked, CSV's never", function()
    for format, titles in pairs({ table = 2, csv = 1, json = 0 }) do
      local w = out.new({ format = format, columns = COLUMNS, fields = FIELDS })
      local text = written(function()
        w:header()
        w:row({})
        w:header()
      end)
      assert.are.equal(titles, select(2, text:lower():gsub("comm[ ,]", "")))
    end
  end)

  it("limits a block of a table and says so; JSON and CSV are whole", function()
    local rows = { { n = 1 }, { n = 2 }, { n = 3 } }
    local function block(format, list)
      local w = out.new({ format = format, columns = COLUMNS, fields = FIELDS })
      return written(function() w:block(list, 2) end)
    end
    assert.are.equal("COMM       N PEER\n-          1 -\n-          2 -\n... and 1 more\n", block("table", rows))
    assert.are.equal("", block("table", {}))
    assert.are.equal("comm,n,peer,old\n", block("csv", {}))
    assert.are.equal(3, select(2, block("json", rows):gsub("\n", "")))
  end)

  it("shows bytes for the eye", function()
    local texts = { [0] = "0B", [999] = "999B", [1000] = "1.0K", [1024] = "1.0K", [10188] = "9.9K",
      [10240] = "10K", [1022976] = "999K", [1048576] = "1.0M", [math.maxinteger] = "8.0E" }
    for n, text in pairs(texts) do
      assert.are.equal(text, out.bytes(n))
    end
    assert.is_nil(out.bytes(nil))
  end)

  it("shows durations for the eye", function()
    local texts = { [0] = "0ns", [999] = "999ns", [1000] = "1.0us", [9949] = "9.9us", [9951] = "10us",
      [999499] = "999us", [999500] = "1.0ms", [1500000] = "1.5ms", [999500000] = "1.0s",
      [99400000000] = "99s", [99500000000] = "1m40s", [3599600000000] = "1h00m", [11220000000000] = "3h07m" }
    for ns, text in pairs(texts) do
      assert.are.equal(text, out.duration(ns))
    end
    assert.is_nil(out.duration(nil))
  end)

  it("writes endpoints and counts", function()
    assert.are.equal("10.0.0.1:443", out.endpoint("10.0.0.1", 443))
    assert.are.equal("[fd00::1]:443", out.endpoint("fd00::1", 443))
    assert.are.equal("B 3, A 1, C 1", out.counts({ A = 1, B = 3, C = 1 }))
    assert.is_nil(out.counts({}))
  end)

  it("knows a terminal from a file", function()
    local code = helper.quote("print(require('bpfnet.out').is_terminal())")
    local command = ("TERM=xterm %s run -e %s"):format(helper.bpfnet, code)
    assert.are.equal("false\n", (helper.sh("%s", command)))
    if select(2, helper.sh("command -v script")) == 0 then
      assert.are.equal("true\r\n", (helper.sh("script -qec %s /dev/null </dev/null", helper.quote(command))))
      assert.are.equal("false\r\n", (helper.sh("script -qec %s /dev/null </dev/null",
        helper.quote(command:gsub("xterm", "dumb")))))
    end
  end)
end)

describe("bpfnet.hist", function()
  local hist = require("bpfnet.hist")

  local function filled(values)
    local h = hist.new()
    for _, v in ipairs(values) do
      h:add(v)
    end
    return h
  end

  -- Random values over many orders of magnitude, some of them equal.
  local function random_values(n, seed)
    math.randomseed(seed)
    local values = {}
    for i = 1, n do
      values[i] = math.floor(math.exp(math.random() * 30))
    end
    return values
  end

  it("is empty at first and after clear()", function()
    local h = filled({ 1, 2 }):clear()
    assert.are.same({ 0, 0 }, { h.count, h.sum })
    assert.are.same({}, { h.min, h.max, h:quantile(0.5), h:whole_quantile(0.5) })
    assert.are.same({}, h:rows())
  end)

  it("keeps count, sum and extremes exactly", function()
    local h = filled({ 5, 0, 9007199254740993, 7 })
    assert.are.equal(4, h.count)
    assert.are.equal(9007199254741005, h.sum)
    assert.are.equal("integer", math.type(h.sum))
    assert.are.equal(0, h.min)
    assert.are.equal(9007199254740993, h.max)
    assert.are.same({ 0, 9007199254740993 }, { h:quantile(0), h:quantile(1) })
  end)

  it("gives quantiles within 2.2 percent of the true value", function()
    for seed = 1, 20 do
      local values = random_values(5000, seed)
      local h = filled(values)
      table.sort(values)
      for _, q in ipairs({ 0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1 }) do
        local exact = values[math.max(1, math.ceil(q * #values))]
        local error = math.abs(h:quantile(q) - exact) / math.max(exact, 1e-300)
        assert.is_true(error <= 0.022, ("seed %d, q %g: %g, should be %d"):format(seed, q, h:quantile(q), exact))
      end
    end
  end)

  it("has powers of two at edges, as the last value below them", function()
    for e = -1070, 1023 do
      assert.are.equal(2.0 ^ e, filled({ 2.0 ^ e }):rows(1)[1].to)
    end
    for e = 0, 62 do
      assert.are.equal(2.0 ^ e, filled({ 1 << e }):rows(1)[1].to)
      if e > 4 and e < 53 then
        assert.are.equal(2.0 ^ e, filled({ (1 << e) + 1 }):rows(1)[1].from)
        assert.is_true(filled({ (1 << e) - 1 }):rows(1)[1].to <= 2.0 ^ e)
      end
    end
  end)

  it("puts every value between its bucket's edges", function()
    for _, v in ipairs(random_values(20000, 99)) do
      if v > 0 then
        local row = filled({ v }):rows(1)[1]
        assert.is_true(row.from < v and v <= row.to)
        assert.is_true(math.abs(row.to / row.from - 2 ^ (1 / 16)) < 1e-12)
      end
    end
  end)

  it("merges to what adding everything to one gives", function()
    local a, b = random_values(1000, 5), random_values(1500, 6)
    local both = filled(a):merge(filled(b)):merge(hist.new())
    local all = filled(table.move(b, 1, #b, #a + 1, a))
    assert.are.same(all:rows(1), both:rows(1))
    for _, name in ipairs({ "count", "sum", "min", "max", "zeros" }) do
      assert.are.equal(all[name], both[name])
    end
    assert.are.equal(all:quantile(0.99), both:quantile(0.99))
    assert.are.same(all:rows(1), filled({}):merge(all):rows(1))
  end)

  it("counts on after a quantile was asked for", function()
    local h = filled({ 10 })
    assert.are.equal(10, h:quantile(0.5))
    h:add(1000)
    h:add(100000)
    assert.is_true(math.abs(h:quantile(0.5) / 1000 - 1) < 0.022)
  end)

  it("counts zeros as zeros", function()
    local h = filled({ 0, 0, 0, 8 })
    assert.are.equal(0, h:quantile(0.75))
    assert.are.equal(8, h:quantile(0.76))
    assert.are.same({ { from = 0, to = 0, count = 3 }, { from = 4.0, to = 8.0, count = 1 } }, h:rows())
  end)

  it("refuses what is no number to count", function()
    for _, bad in ipairs({ -1, -0.5, 0 / 0, 1 / 0, "1", true }) do
      assert.has_error(function() hist.new():add(bad) end,
        ("hist:add: expected a number >= 0, got %s"):format(tostring(bad)))
    end
    assert.has_error(function() hist.new():add(nil) end, "hist:add: expected a number >= 0, got nil")
    assert.has_error(function() hist.new():quantile(1.5) end, "hist:quantile: expected 0 to 1, got 1.5")
  end)

  it("prints a line per doubling", function()
    local text = written(function() filled({ 3, 4, 4, 1000 }):print() end)
    assert.are.equal([[
         2 .. 4                 3  ########################################
       ...
       512 .. 1024              1  ##############
]], text)
  end)
end)

describe("bpfnet.top", function()
  local top = require("bpfnet.top")

  local function counter(max)
    return top.new({ max = max, make = function() return { n = 0 } end })
  end

  local function add(t, n, ...)
    local r = t:get(...)
    r.n = r.n + n
  end

  local function more(a, b)
    return a.value.n > b.value.n
  end

  local function listed(t)
    local list = {}
    for i, e in ipairs(t:list(more)) do
      list[i] = table.concat(e.keys, " ") .. "=" .. e.value.n
    end
    return table.concat(list, ", ")
  end

  it("keeps a record per key", function()
    local t = counter()
    add(t, 1, "curl", 80)
    add(t, 5, "curl", 443)
    add(t, 2, "curl", 80)
    add(t, 4, "wget", 80)
    assert.are.equal("curl 443=5, wget 80=4, curl 80=3", listed(t))
    assert.are.equal(3, t.count)
  end)

  it("keeps what does not fit together, and counts it all", function()
    local t = counter(2)
    for i = 1, 10 do
      add(t, i, "k" .. i)
    end
    add(t, 10, "k1")
    assert.are.equal("k1=11, k2=2, =52", listed(t))
  end)

  it("merges, others into others", function()
    local total, part = counter(3), counter(2)
    local function merge(into, from)
      into.n = into.n + from.n
    end
    for i = 1, 4 do
      add(part, i, i)
    end
    total:merge(part, merge)
    total:merge(part, merge)
    assert.are.equal("2=4, 1=2, =14", listed(total))
    part:clear()
    assert.are.equal("", listed(part))
  end)
end)
