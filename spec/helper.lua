-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the specs share: other processes, real traffic, and a look at what is left in the kernel.

local cjson = require "cjson"

local helper = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
helper.root = io.popen("cd " .. here .. "/.. && pwd"):read("l")
helper.out = helper.root .. "/.output"
helper.bpfnet = helper.out .. "/bpfnet"
helper.traffic = helper.out .. "/tests/traffic"

-- A machine that is busy, or emulated, takes its time: by so much all waiting is longer than it has to be.
local PATIENCE = (os.getenv("VMRUN") or "") ~= "" and 5 or 3

---Runs a shell command.
---@return string output standard output and error together
---@return integer status exit status, or 128 and the signal's number
function helper.sh(fmt, ...)
  local p = assert(io.popen((select("#", ...) > 0 and fmt:format(...) or fmt) .. " 2>&1"))
  local text = p:read("a")
  local _, kind, code = p:close()
  return text, kind == "signal" and 128 + code or code
end

---Quotes a word for the shell.
function helper.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

---What a script writes with --json: a table for each line.
function helper.rows(text)
  local rows = {}
  for line in text:gmatch("[^\n]+") do rows[#rows + 1] = cjson.decode(line) end
  return rows
end

---Compares lists of texts one by one: what differs first is shown, not all of both.
function helper.same_list(expected, got)
  local assert = require "luassert"
  for i = 1, math.max(#expected, #got) do
    assert.are.equal(expected[i], got[i], ("number %d of %d, %d expected"):format(i, #got, #expected))
  end
end

---Runs `bpfnet run ARGS`, at most for minutes.
function helper.run(args)
  return helper.sh("timeout %d %s run %s", 30 * PATIENCE, helper.bpfnet, args)
end

---Runs code in a bpfnet of its own.
function helper.code(code, options)
  return helper.run((options or "") .. " -e " .. helper.quote(code))
end

---Waits until f() gives something true, at most `seconds`, longer where machines are slow; returns that.
function helper.wait(seconds, f)
  seconds = seconds * PATIENCE
  local deadline = bpf.now() + seconds * 1e9
  repeat
    local value = f()
    if value then return value end
    os.execute("sleep 0.02")
  until bpf.now() > deadline
  error("waited " .. seconds .. " s in vain", 2)
end

function helper.read(path)
  local f = io.open(path)
  if not f then return nil end
  local text = f:read("a")
  f:close()
  return text
end

---Compiles an object of one's own as bpf/README.md says; the source's path is from the root.
function helper.compile(source, object)
  local text, status = helper.sh("clang -g -O2 -mcpu=v2 -target bpf -D__TARGET_ARCH_%s"
    .. " -fms-extensions -Wno-microsoft-anon-tag -I %s/bpf -c %s/%s -o %s",
    helper.sh("uname -m"):match("x86") or "arm64", helper.root, helper.root, source, object)
  assert(status == 0, text)
end

---Starts a shell command in the background; its output goes to files.
---@return table child {pid=, kill=, wait=, stdout=, stderr=}
function helper.start(command)
  local base = os.tmpname()
  -- Without job control a shell starts background children with SIGINT ignored; env undoes that.
  local p = assert(io.popen(("env --default-signal=INT %s >%s.out 2>%s.err </dev/null & echo $!;"
    .. " wait $!; echo $? >%s.status"):format(command, base, base, base)))
  local child = { pid = math.tointeger(p:read("n")) }
  function child.kill(signal) os.execute(("kill -%s %d"):format(signal, child.pid)) end
  function child.stdout() return helper.read(base .. ".out") or "" end
  function child.stderr() return helper.read(base .. ".err") or "" end
  -- Exit status, nil as long as it runs.
  function child.status()
    return tonumber((helper.read(base .. ".status") or ""):match("%d+"))
  end
  -- Exit status, after at most some minutes.
  function child.wait()
    local status = helper.wait(30, child.status)
    p:close()
    return status
  end
  -- A test that failed has left it: closing the pipe would wait for it, for ever if it waits for a word of ours. What
  -- was made last is finalized first, so the pipe is closed after this.
  return setmetatable(child, { __gc = function()
    if not child.status() then child.kill("KILL") end
  end })
end

-- What the kernel has: kind and id, as "map 42", to true.
local function present()
  local all = {}
  for line in helper.sh(helper.out .. "/tests/ids"):gmatch("[^\n]+") do all[line] = true end
  return all
end

---Code for a script that writes down, once it is attached, what it holds in the kernel.
function helper.snapshot_code(file)
  return ("os.execute([[cat /proc/$PPID/fdinfo/* >%s]])"):format(file)
end

---Ids of the programs, links and maps in such a file.
---@return table ids by kind, integer count
function helper.held(file)
  local ids, count = { prog = {}, link = {}, map = {} }, 0
  for kind, id in helper.read(file):gmatch("(%a+)_id:%s*(%d+)") do
    if ids[kind] and not ids[kind][tonumber(id)] then
      ids[kind][tonumber(id)] = true
      count = count + 1
    end
  end
  return ids, count
end

---How many of those ids are still there, and which; the kernel frees a thing a moment after its last
---user, on a busy machine later.
function helper.still_there(ids)
  local left
  for _ = 1, 40 do
    local all = present()
    left = {}
    for kind, set in pairs(ids) do
      for id in pairs(set) do
        local name = kind .. " " .. id
        if all[name] then left[#left + 1] = name end
      end
    end
    if #left == 0 then return 0, "" end
    os.execute("sleep 0.2")
  end
  return #left, table.concat(left, ", ")
end

---Path of a cgroup of our own, made when first asked for: by it our connections are told from
---those of other programs on the machine. Gone with the process.
function helper.cgroup()
  if not helper.own_cgroup then
    local mount = helper.sh("awk '$3 == \"cgroup2\" {print $2; exit}' /proc/mounts"):match("%S+")
    local path = ("%s/bpfnet-spec-%d"):format(mount, bpf.now())
    local text, status = helper.sh("mkdir %s", path)
    assert(status == 0, text)
    helper.own_cgroup = path
    -- removed when the state is closed, after all the processes in it have ended
    helper.remover = setmetatable({}, { __gc = function() os.remove(path) end })
  end
  return helper.own_cgroup
end

---Options of a probe that sees the connections of that cgroup only.
function helper.ours(opts)
  opts = opts or {}
  opts.filter = { cgroup = helper.cgroup() }
  return opts
end

---A command that runs traffic with these arguments in that cgroup.
function helper.traffic_command(args)
  return ("sh -c 'echo $$ > %s/cgroup.procs; exec %s %s'"):format(helper.cgroup(), helper.traffic,
    args)
end

---Runs traffic in our cgroup and gives its facts.
function helper.traffic_facts(args)
  local text, status = helper.sh("%s", helper.traffic_command(args))
  assert(status == 0, text)
  return require("expect").parse(text)
end

return helper
