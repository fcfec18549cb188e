-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The prompt at the far end of an ssh connection, as on a node: by OpenSSH's ssh and sshd.

local helper = require "helper"
local terminal = require "terminal"

local PROMPT = "bpf>"
local HERE = helper.root .. "/tests/runtime/"

describe("the prompt by ssh", function()
  local missing = helper.sh("bash %sprograms.sh missing openssh-server openssh-client", HERE):match("%S.*%S")
  if missing then
    pending("(" .. missing .. " missing: tests/runtime/programs.sh fetch)")
    return
  end

  local t, home

  local function connect()
    t = terminal.open(("bash %sssh_here.sh exec env HOME=%s XDG_STATE_HOME= %s repl"):format(HERE, home, helper.bpfnet))
    t:wait_end("\n" .. PROMPT, 30)
  end

  before_each(function()
    home = os.tmpname()
    os.remove(home)
    assert(os.execute("mkdir " .. home))
    connect()
  end)

  after_each(function()
    t:close()
    os.execute("rm -r " .. home)
  end)

  local function enter(line, seconds)
    t:enter_seen(line)
    return t:wait_end("\n" .. PROMPT, seconds)
  end

  it("is as at the machine itself: Tab, Ctrl-C, events while one types, another size", function()
    enter("p = bpf.load('tcpconnect', print)")
    t:type("bpf.loa")
    t:key("Tab")
    t:wait_end("bpf> bpf.load")
    t:key("C-c")
    t:wait_end("^C\n" .. PROMPT)
    enter("n = 0 _ = bpf.every(0.05, function() n = n + 1 p:inject{dport = n} if n == 20 then _:close() end end)")
    t:type("'typed ' .. 'meanwhile, é'")
    t:wait(":20\n", 10)
    t:wait_end("bpf> 'typed ' .. 'meanwhile, é'")
    t:key("Enter")
    t:wait("\"typed meanwhile, é\"\n" .. PROMPT)
    t:resize(40, 12)
    enter("(require('bpfnet.terminal').size())")
    t:wait("\n40\n" .. PROMPT)
    t:enter("while true do end")
    helper.sh("sleep 0.3")
    t:key("C-c")
    t:wait_end("interrupted\n" .. PROMPT, 5)
    t:key("C-d")
    t:wait("EXIT 0")
  end)

  -- Cuts the connection while the prompt does something; the process has to go, and what it has attached.
  local function cut(doing, busy)
    local base = os.tmpname()
    enter("p = bpf.attach('tcpconnect') _ = bpf.every(0.01, function() print('tick') end):background() and 1", 20)
    enter("_ = " .. helper.snapshot_code(base) .. " and 1")
    local pid = helper.sh("pgrep -f '^%s repl$'", helper.bpfnet):match("%d+")
    assert.is_truthy(pid)
    t:type(doing)
    if busy then t:key("Enter") end
    helper.sh("sleep 0.3")
    helper.sh("pkill -KILL -f '^ssh -tt .* HOME=%s'", home)
    t:wait("EXIT 137")
    helper.wait(10, function() return not helper.read(("/proc/%s/comm"):format(pid)) end)
    local ids, count = helper.held(base)
    assert.is_true(count > 10, "held " .. count)
    local left, names = helper.still_there(ids)
    assert.are.equal(0, left, names)
    os.remove(base)
    t:close()
  end

  it("leaves nothing when the connection is cut, whatever it does", function()
    cut("half a line", false)
    connect()
    cut("while true do end", true)
    connect()
    cut("while true do print(('x'):rep(1000)) end", true)
  end)
end)
