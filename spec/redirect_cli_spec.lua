-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- `bpfnet redirect`: in the foreground and the background, with connections that take turns and
-- compare every byte. However it ends they go on, and nothing of it is left.

local cjson = require "cjson"
local helper = require "helper"

local N = 20 -- connections
local started = {} -- processes of this test, ended after it even if it fails
local world -- a process in a mount namespace with a BPF file system of its own

local function inside(command)
  return ("nsenter --mount=/proc/%d/ns/mnt -- %s"):format(world.pid, command)
end

-- A `bpfnet redirect` that ends by itself: what it says, and its status.
local function redirect(args)
  return helper.sh("timeout -s KILL 40 %s", inside(helper.bpfnet .. " redirect " .. args))
end

local function scope()
  return "--cgroup " .. helper.cgroup()
end

local function keep(command)
  started[#started + 1] = helper.start(command)
  return started[#started]
end

-- One that goes on; returns when it says that it is on.
local function start(args)
  local child = keep(inside(("%s redirect %s %s"):format(helper.bpfnet, scope(), args or "")))
  helper.wait(15, function() return child.stdout():find("\"?on\"?[ ,]") end)
  return child
end

-- Connections in our cgroup.
local function traffic(n, bytes)
  local child = keep(("sh -c 'echo $$ > %s/cgroup.procs; exec %s/tests/turns %d %d'"):format(
    helper.cgroup(), helper.out, n or N, bytes or 1000))
  helper.wait(10, function() return child.stdout():find("port %d+\n") end)
  return child
end

-- How many turns there have been until now.
local function turns(child)
  local _, before = child.stdout():gsub("\n", "")
  child.kill("USR1")
  return helper.wait(10, function()
    local _, lines = child.stdout():gsub("\n", "")
    return lines > before and math.tointeger(tonumber(child.stdout():match("(%d+) turns\n$")))
  end)
end

local function goes_on(child)
  local before = turns(child)
  helper.wait(10, function() return turns(child) > before + 20 * N end)
end

-- Ends the traffic: all bytes of all turns were right.
local function finish(child, n)
  child.kill("TERM")
  assert.are.equal(0, child.wait(), child.stdout() .. child.stderr())
  assert.is_truthy(child.stdout():find(("\n%d connections, %%d+ turns, 0 wrong\n$"):format(n or N)),
    child.stdout())
end

-- Redirects by status --json; of one with that name only that.
local function status(name)
  local list = {}
  for line in redirect(("status --json -v %s"):format(name or "")):gmatch("[^\n]+") do
    list[#list + 1] = cjson.decode(line)
  end
  return name and list[1] or list
end

local function wait_until_taken(name, n)
  return helper.wait(30, function()
    local one = status(name)
    return one and one.live >= (n or N) and one
  end)
end

local function foreground()
  for _, one in ipairs(status()) do
    if not one.pinned and one.scope:find(helper.cgroup(), 1, true) then return one end
  end
end

-- What a process holds in the kernel.
local function held_by(pid)
  local file = os.tmpname()
  helper.sh("cat /proc/%d/fdinfo/* >%s", pid, file)
  local ids, count = helper.held(file)
  assert.is_true(count > 10, "held " .. count)
  return ids
end

local function nothing_left(ids)
  local left, names = helper.still_there(ids)
  assert.are.equal(0, left, names)
  assert.are.equal("", helper.sh(inside("find /sys/fs/bpf/bpfnet/redirect -mindepth 1")))
  assert.are.equal("", helper.sh("bpftool cgroup show %s", helper.cgroup()))
end

describe("bpfnet redirect", function()
  setup(function()
    world = helper.start("unshare -m sh -c 'mount -t bpf bpf /sys/fs/bpf && mkdir -p"
      .. " /sys/fs/bpf/bpfnet/redirect && echo ready && exec sleep 900'")
    helper.wait(10, function() return world.stdout():find("ready") end)
  end)

  after_each(function()
    for _, child in ipairs(started) do
      os.execute(("kill -KILL %d 2>/dev/null"):format(child.pid))
    end
    started = {}
    for _, one in ipairs(status()) do
      if one.pinned then redirect("stop " .. one.name) end
    end
  end)

  teardown(function() world.kill("KILL") end)

  describe("in the foreground", function()
    it("says what it does, and at Ctrl-C what it was good for", function()
      local t = traffic()
      local child = start("-v")
      helper.wait(10, function()
        return select(2, child.stdout():gsub("\ntaken    [%d.:]+ <%-> [%d.:]+", "")) == N
      end)
      local ids = held_by(child.pid)
      goes_on(t)
      child.kill("INT")
      assert.are.equal(0, child.wait(), child.stderr())
      assert.are.equal("", child.stderr())
      assert.are.equal(("redirect: on (cgroup %s)\n"):format(helper.cgroup()),
        child.stdout():match("^[^\n]*\n"))
      local msgs = child.stdout():match(("\nredirect: off; %d connections taken, (%%d+) messages"
        .. " with [%%d.]+[KMG] redirected, %%d+ messages with [%%d.]+[BKMG] by TCP\n$"):format(N))
      assert.is_true(msgs and tonumber(msgs) > N, child.stdout())
      goes_on(t)
      finish(t)
      nothing_left(ids)
    end)

    it("tells of closed connections what each end sent", function()
      local child = start("-v")
      local t = traffic(1, 500)
      helper.wait(10, function() return child.stdout():find("\ntaken") end)
      finish(t, 1)
      helper.wait(10, function() return select(2, child.stdout():gsub("\nclosed", "")) == 2 end)
      child.kill("TERM")
      assert.are.equal(0, child.wait())
      assert.is_truthy(child.stdout():find("\nclosed   [%d.:]+ %-> [%d.:]+  %d+ messages with"
        .. " [%d.]+[BKMG] redirected, %d+ messages? with [%d.]+[BKMG] by TCP\n"), child.stdout())
    end)

    it("writes JSON", function()
      local t = traffic()
      local child = start("--json --ports 1-65535 --exclude-ports 1,7-9")
      helper.wait(10, function() return foreground().live == N end)
      child.kill("INT")
      assert.are.equal(0, child.wait(), child.stderr())
      local seen, last = {}, nil
      for line in child.stdout():gmatch("[^\n]+") do
        last = cjson.decode(line)
        seen[last.event] = (seen[last.event] or 0) + 1
      end
      assert.are.same({ on = 1, taken = N, off = 1 }, seen)
      assert.are.equal(N, last.taken)
      assert.are.equal(0, last.left)
      assert.is_true(last.redirected_bytes == last.redirected_msgs * 1000)
      finish(t)
    end)

    it("is quiet, but says that it is on", function()
      local child = start("-q")
      child.kill("INT")
      assert.are.equal(0, child.wait())
      assert.are.equal(("redirect: on (cgroup %s)\n"):format(helper.cgroup()), child.stdout())
      assert.are.equal("", child.stderr())
    end)

    it("leaves out ports that it is told to", function()
      local t = traffic()
      local port = t.stdout():match("port (%d+)")
      local child = start("--exclude-ports " .. port)
      goes_on(t)
      local one = foreground()
      assert.are.same({ 0, 0, 0 }, { one.taken, one.live, one.refused })
      assert.are.equal(("cgroup %s, not ports %s"):format(helper.cgroup(), port), one.scope)
      child.kill("INT")
      child.wait()
      finish(t)
    end)

    it("ends when nobody reads what it says", function()
      local text, code = helper.sh("timeout -s KILL 20 bash -c %s", helper.quote(
        inside(helper.bpfnet .. " redirect " .. scope()) .. " | head -n 1; exit ${PIPESTATUS[0]}"))
      assert.are.equal(("redirect: on (cgroup %s)\n"):format(helper.cgroup()), text)
      assert.are.equal(0, code)
      assert.is_nil(foreground())
    end)

    it("says which connections could not be let go, and they go on", function()
      local t = traffic()
      local child = start()
      helper.wait(10, function() return foreground().live == N end)
      t.kill("STOP") -- with something in every queue
      child.kill("INT")
      assert.are.equal(0, child.wait())
      local left = child.stdout():match("; (%d+) connections could not be let go yet, and go on"
        .. " through TCP, a little slower, until they close\n$")
      -- all but those that were just between two turns
      assert.is_true(left and tonumber(left) > N / 2, child.stdout())
      t.kill("CONT")
      goes_on(t)
      finish(t)
    end)

    it("ends at once at a second signal after a while, and the connections go on", function()
      local t = traffic()
      local child = start()
      helper.wait(10, function() return foreground().live == N end)
      t.kill("STOP")
      child.kill("INT")
      os.execute("sleep 0.7")
      local began = bpf.now()
      child.kill("INT")
      assert.are.equal(130, child.wait())
      assert.is_true(bpf.now() - began < 8e9)
      t.kill("CONT")
      goes_on(t)
      finish(t)
    end)
  end)

  describe("in the background", function()
    it("returns when it is on, shows its state, and is stopped", function()
      local t = traffic()
      local text, code = redirect(scope() .. " --detach")
      assert.are.equal(("redirect: on (cgroup %s)\n"):format(helper.cgroup()), text)
      assert.are.equal(0, code)
      local one = wait_until_taken("default")
      assert.are.same({ true, true, N, 2 * N },
        { one.alive, one.pinned, one.taken, #one.connections })
      assert.are.equal("redirect", one.connections[1].way)
      assert.is_true(math.abs(one.since - os.time()) < 30)
      local ids = held_by(one.pid)
      text = redirect("status default")
      assert.is_truthy(text:find(("^redirect \"default\": pid %d, since %%d+%%-%%d%%d%%-%%d%%d [%%d:]+\n"
        .. "  cgroup %s\n  %d connections taken, %d live, 0 let go, 0 refused\n"
        .. "  %%d+ messages with [%%d.]+[KMG] redirected, %%d+ messages with [%%d.]+[BKMG] by TCP\n$")
        :format(one.pid, helper.cgroup():gsub("%-", "%%-"), N, N)), text)
      text, code = redirect("stop")
      assert.are.equal(("redirect \"default\": stopped (pid %d)\n"):format(one.pid), text)
      assert.are.equal(0, code)
      goes_on(t)
      finish(t)
      nothing_left(ids)
    end)

    it("refuses a name that is in use, and says whose it is", function()
      assert.are.equal(0, select(2, redirect(scope() .. " --detach=a")))
      local pid = status("a").pid
      local text, code = redirect(scope() .. " --detach=a")
      assert.are.equal(("bpfnet redirect: \"a\" runs already, as pid %d\nhint: bpfnet redirect stop a\n")
        :format(pid), text)
      assert.are.equal(1, code)
      assert.are.equal("nothing to remove\n", redirect("clean"))
      assert.is_true(status("a").alive)
      assert.are.equal(0, select(2, redirect("stop a")))
    end)

    it("is killed: connections are let go, and clean takes it away", function()
      local t = traffic()
      redirect(scope() .. " --detach=killed")
      local one = wait_until_taken("killed")
      local ids = held_by(one.pid)
      helper.sh("kill -9 %d", one.pid)
      -- the guard, its child, lets them go, and they go on
      helper.wait(10, function()
        local before = status("killed").redirected_msgs
        goes_on(t)
        one = status("killed")
        return one.redirected_msgs == before
      end)
      assert.is_false(one.alive)
      assert.are.same({ 0, "tcp" }, { one.live, one.connections[1].way })
      local text = redirect("status killed")
      assert.are.equal(("redirect \"killed\": its process %d is gone: everything goes by TCP\n"):format(one.pid),
        text:match("^[^\n]*\n"))
      text = redirect(scope() .. " --detach=killed")
      assert.are.equal(("bpfnet redirect: \"killed\" is there already, but its process %d is gone\n"
        .. "hint: bpfnet redirect stop killed\n"):format(one.pid), text)
      assert.are.equal(("redirect \"killed\": removed (pid %d, which was gone)\n"):format(one.pid),
        redirect("clean"))
      goes_on(t)
      finish(t)
      nothing_left(ids)
    end)

    it("is killed, and stopped after that", function()
      local t = traffic()
      redirect(scope() .. " --detach=killed")
      local one = wait_until_taken("killed")
      local ids = held_by(one.pid)
      helper.sh("kill -9 %d", one.pid)
      local text, code = redirect("stop killed")
      assert.are.equal(("redirect \"killed\": stopped (pid %d, which was gone)\n"):format(one.pid), text)
      assert.are.equal(0, code)
      goes_on(t)
      finish(t)
      nothing_left(ids)
    end)

    it("is killed, and not said to be stopped when nothing could be let go", function()
      if select(2, helper.sh("strace -V")) ~= 0 then return pending("there is no strace") end
      local t, log = traffic(), os.tmpname()
      local function stop_killed(inject)
        redirect(scope() .. " --detach=killed")
        local one = wait_until_taken("killed")
        helper.sh("kill -9 %d", one.pid)
        return helper.sh("timeout -s KILL 40 %s", inside(("strace -qq -o %s -e trace=bpf %s %s redirect stop killed")
          :format(log, inject, helper.bpfnet)))
      end
      stop_killed("")
      -- which call makes the iterator that lets connections go
      local calls = select(2, helper.read(log):match("^(.*\n)[^\n]*LINK_CREATE"):gsub("\n", ""))
      local text, code = stop_killed(("-e inject=bpf:error=ENOMEM:when=%d"):format(calls + 1))
      assert.is_truthy(helper.read(log):find("LINK_CREATE[^\n]*INJECTED"))
      os.remove(log)
      assert.are.equal('bpfnet redirect: can\'t let go the connections of "killed" (ENOMEM)\n', text)
      assert.are.equal(1, code)
      assert.are.equal(0, select(2, redirect("stop killed")))
      goes_on(t)
      finish(t)
    end)

    it("is exchanged for another one again and again", function()
      local t = traffic(200, 3000)
      for _ = 1, 5 do
        assert.are.equal(0, select(2, redirect(scope() .. " --detach=x")))
        wait_until_taken("x", 100)
        local text = redirect("stop x")
        assert.is_truthy(text:find("^redirect \"x\": stopped %(pid %d+%)\n$"), text)
      end
      finish(t, 200)
    end)

    it("tells who started it what went wrong", function()
      local text, code = redirect("--cgroup /nowhere --detach=bad")
      assert.is_truthy(text:find("^bpfnet redirect: there is no cgroup \"/nowhere\"\nhint: "), text)
      assert.are.equal(1, code)
      assert.are.equal(2, select(2, redirect("--detach=bad")))
      text, code = redirect(scope() .. " --detach=a/b")
      assert.are.equal("bpfnet redirect: a name has up to 63 letters, digits, - and _, got \"a/b\"\n",
        text)
      assert.are.equal(1, code)
      nothing_left({})
    end)

    it("needs a BPF file system", function()
      local text, code = helper.sh("timeout 20 unshare -m sh -c %s", helper.quote(
        ("for m in $(awk '$3 == \"bpf\" {print $2}' /proc/mounts); do umount $m; done;"
        .. " exec %s redirect %s --detach"):format(helper.bpfnet, scope())))
      assert.are.equal("bpfnet redirect: no BPF file system is mounted, which pins need\n"
        .. "hint: mount -t bpf bpf /sys/fs/bpf\n", text)
      assert.are.equal(1, code)
    end)
  end)

  describe("refuses", function()
    local function says(args, message, code)
      local text, got = redirect(args)
      assert.are.equal("bpfnet redirect: " .. message .. "\n", text)
      assert.are.equal(code, got)
    end
    local HELP = "\nhint: bpfnet help redirect"

    it("wrong arguments", function()
      says("", "which connections? give --cgroup PATH (\"/\" is all of this host) or --pods NAME" .. HELP, 2)
      says("--cgrup /", "unknown option \"--cgrup\", did you mean \"--cgroup\"?" .. HELP, 2)
      says("--cgroup / --ports 80-70",
        "option \"--ports\": expected ports like 8080 or 9000-9100, got \"80-70\"" .. HELP, 2)
      says("--cgroup / --ports 80,x",
        "option \"--ports\": expected ports like 8080 or 9000-9100, got \"x\"" .. HELP, 2)
      says("--cgroup / --pids me", "option \"--pids\": expected an integer from 1 to 2147483647, got \"me\""
        .. HELP, 2)
      says("--cgroup / --policy some", "option \"--policy\": expected turns or all, got \"some\"" .. HELP, 2)
      says("stauts", "unexpected argument \"stauts\", did you mean \"status\"?" .. HELP, 2)
      says("status --jsn", "status: unknown option \"--jsn\", did you mean \"--json\"?" .. HELP, 2)
      says("clean all", "clean: unexpected argument \"all\"" .. HELP, 2)
    end)

    it("names that there are not", function()
      says("stop nobody", "no redirect is called \"nobody\"", 1)
      redirect(scope() .. " --detach=somebody")
      says("stop somebodi", "no redirect is called \"somebodi\", did you mean \"somebody\"?", 1)
      says("status x", "no redirect is called \"x\" (there are: somebody)", 1)
      redirect("stop somebody")
    end)

    it("what is no cgroup", function()
      local mount = helper.cgroup():match("^(.*)/")
      says("--cgroup /tmp", ("\"/tmp\" is not a cgroup v2 directory\nhint: cgroup v2 is mounted at %s")
        :format(mount), 1)
      local uid = "0e4b7c1a-7d1f-4c55-9a3e-5f0c2d9b8a99"
      says("--pods " .. uid, ("there is no cgroup of a pod with uid \"%s\""):format(uid), 1)
      local text, code = redirect("--pods shop/nobody-0")
      assert.matches("^bpfnet redirect: no such pod: \"shop/nobody%-0\"\nhint: [^\n]+\n$", text)
      assert.are.equal(1, code)
    end)

    it("a process without the right", function()
      local text, code = helper.sh("timeout 20 capsh --drop=cap_sys_admin,cap_net_admin,cap_perfmon -- -c %s",
        helper.quote(helper.bpfnet .. " redirect " .. scope()))
      assert.are.equal("bpfnet redirect: not permitted: lacks CAP_PERFMON, CAP_NET_ADMIN\nhint: run as"
        .. " root, or: setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace+ep bpfnet\n", text)
      assert.are.equal(1, code)
    end)

    it("a cgroup whose owner shares it with nobody", function()
      local child = start()
      local id = helper.sh("bpftool cgroup show %s", helper.cgroup()):match("\n(%d+)")
      local other = helper.cgroup() .. "-owned"
      helper.sh("mkdir %s; bpftool cgroup attach %s cgroup_sock_ops id %s", other, other, id)
      local text, code = redirect("--cgroup " .. other)
      helper.sh("bpftool cgroup detach %s cgroup_sock_ops id %s; rmdir %s", other, id, other)
      child.kill("INT")
      child.wait()
      assert.are.equal(("bpfnet redirect: can't attach to cgroup \"%s\" (EPERM)\nhint: another program is"
        .. " attached there that allows no others; bpftool cgroup show %s\n"):format(other, other), text)
      assert.are.equal(1, code)
    end)
  end)

  it("measures in cgroups of its own, and removes those of a bench that was killed", function()
    local root = helper.cgroup():match("^(.*)/")
    local dead, ours = root .. "/bpfnet-bench-4194300", root .. "/bpfnet-bench-1" -- no process, and one that lives
    helper.sh("mkdir -p %s/plain %s/redirect %s", dead, dead, ours)
    local text, code = redirect("bench --rounds 1")
    assert.are.equal(0, code, text)
    assert.matches("request and response, 64 B +%d+ +%d+ ", text)
    assert.are.equal(ours .. "\n", (helper.sh("find %s -maxdepth 1 -name 'bpfnet-bench-*'; rmdir %s", root, ours)))
  end)

  it("explains itself", function()
    local text = helper.sh("%s help redirect", helper.bpfnet)
    assert.is_truthy(text:find("^usage: bpfnet redirect %-%-cgroup PATH"))
    for _, args in ipairs { "--help", "status --help", "bench --help", "--cgroup / -h" } do
      assert.are.equal(text, (redirect(args)))
    end
  end)
end)
