-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- pods.lua make|write|start|table ... - the parts of tests/bench/pods: what directories there are to be made,
-- one a line; their bundles; one round of figures, "name<TAB>number<TAB>unit"; the table of all rounds.

local STATE = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"
local NEW = 50 -- containers that are made while we look

local function id_of(i)
  return ("%064x"):format(i)
end

local function pod_of(i)
  return ("%08x-0000-4000-8000-%012x"):format(i // 3, i // 3)
end

local function cgroup_of(base, i)
  return ("%s/kubepods/pod%s/%s"):format(base, pod_of(i), id_of(i))
end

-- A bundle with as much besides names as usual: ten thousand bytes.
local function bundle(i)
  local a, env, mounts = "io.kubernetes.cri.", {}, {}
  for k = 1, 60 do
    env[k] = ("SHOP_CART_SERVICE_PORT_%d_TCP=tcp://10.96.0.%d:443"):format(k, k)
  end
  for k = 1, 30 do
    mounts[k] = { destination = "/dev/" .. k, type = "bind", source = ("/var/lib/%064d"):format(k),
      options = { "rbind", "rprivate", "rw" } }
  end
  return bpf.json({ ociVersion = "1.0.2-dev", process = { env = env }, mounts = mounts, annotations = {
    [a .. "container-name"] = "c" .. i % 3, [a .. "container-type"] = "container",
    [a .. "image-name"] = "docker.io/shop/cart:1.2", [a .. "sandbox-id"] = id_of(i),
    [a .. "sandbox-name"] = "cart-" .. i // 3, [a .. "sandbox-namespace"] = "shop",
    [a .. "sandbox-uid"] = pod_of(i) } })
end

local function write(work, i)
  local f = assert(io.open(work .. STATE .. id_of(i) .. "/config.json", "w"))
  f:write(bundle(i))
  f:close()
end

local function show(name, number, unit)
  print(("%s\t%.6f\t%s"):format(name, number, unit))
end

-- CPU seconds of f().
local function cpu(f)
  local start = os.clock()
  f()
  return os.clock() - start
end

local function rss()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^RssAnon:%s*(%d+)")
    if kib then
      return tonumber(kib)
    end
  end
end

local function run(seconds)
  local timer = bpf.after(seconds, function() end)
  bpf.run(seconds)
  timer:close()
end

-- Seconds of f(), for what other processes do, too.
local function clock(f)
  local start = bpf.now()
  f()
  return (bpf.now() - start) / 1e9
end

-- The walk beside that by programs, which it replaced.
local function walks(base)
  local files = require("bpfnet.files")
  local dirs = 0
  local ours = clock(function()
    for _ in pairs(files.tree(base)) do
      dirs = dirs + 1
    end
  end)
  local theirs = clock(function()
    os.execute(("find %s -type d -exec stat -c '%%i %%n' {} + >/dev/null"):format(base))
  end)
  show("walk over the tree, for 1,000 directories", ours / dirs * 1e6, "ms")
  show("find and stat, for 1,000 directories", theirs / dirs * 1e6, "ms")
  show("the walk, to find and stat", ours / theirs, "")
end

local function all_named(pod, n)
  local named = 0
  for _, one in ipairs(pod.list()) do
    named = named + (one.path:find("bpfnet-bench", 1, true) and one.container and 1 or 0)
  end
  return named >= n
end

local function asking(pod, ids)
  local of, rounds = pod.of, 200000 // #ids + 1
  for name, args in pairs({ ["a container's"] = { 0, 4026531840, 77 }, ["the root's"] = { 0, 4026531840, 0 } }) do
    local taken = cpu(function()
      for _ = 1, rounds do
        for _, id in ipairs(ids) do
          of(name == "the root's" and 1 or id, table.unpack(args))
        end
      end
    end)
    show(("pod.of(), %s cgroup"):format(name), taken / rounds / #ids * 1e9, "ns")
  end
end

-- From a cgroup's being made to a follower's being told its name, as a container's first event may be.
local function new_ones(pod, work, base, n)
  local made, named = {}, {}
  local handle = pod.follow(function(id, who)
    if who and who.container and who.path:find("bpfnet-bench", 1, true) and made[who.container_id] then
      named[who.container_id] = named[who.container_id] or bpf.now()
    end
  end)
  for i = n + 1, n + NEW do
    os.execute(("mkdir -p %s%s%s"):format(work, STATE, id_of(i)))
    write(work, i)
  end
  local maker = assert(io.popen(("for d in %s; do mkdir -p $d; sleep 0.02; done"):format((function()
    local list = {}
    for i = n + 1, n + NEW do
      list[#list + 1] = cgroup_of(base, i)
      made[id_of(i)] = true
    end
    return table.concat(list, " ")
  end)())))
  local times = bpf.attach("cgroups", function(ev)
    made[ev.path:match("[^/]+$")] = ev.op == "made" and ev.ts_ns or nil
  end)
  run(NEW * 0.03 + 1)
  maker:close()
  times:close()
  handle:close()
  for i = n + 1, n + NEW do
    os.execute("rmdir " .. cgroup_of(base, i))
  end
  local list = {}
  for id, ns in pairs(named) do
    if math.type(made[id]) == "integer" then
      list[#list + 1] = (ns - made[id]) / 1e6
    end
  end
  table.sort(list)
  show("a new container, made to named (median)", list[#list // 2 + 1], "ms")
  show("a new container, made to named (all within)", list[#list], "ms")
end

local commands = {}

function commands.make(work, base, n)
  for i = 1, n do
    print(cgroup_of(base, i))
    print(work .. STATE .. id_of(i))
  end
end

function commands.write(work, n)
  for i = 1, n do
    write(work, i)
  end
end

function commands.start(work, base, n)
  n = math.tointeger(tonumber(n))
  walks(base)
  local pod = require("bpfnet.pod")
  collectgarbage()
  local kib, resident = collectgarbage("count"), rss()
  show("all names, for 1,000 containers", cpu(function()
    pod.start({ root = work })
    assert(all_named(pod, n), "some have no name")
  end) / n * 1e6, "ms")
  collectgarbage()
  show("memory in Lua, for 1,000 containers", (collectgarbage("count") - kib) / n * 1000 / 1024, "MiB")
  show("memory of the process, for 1,000 containers", (rss() - resident) / n * 1000 / 1024, "MiB")
  local ids = {}
  for _, one in ipairs(pod.list()) do
    ids[#ids + 1] = one.path:find("bpfnet-bench", 1, true) and one.cgroup or nil
  end
  asking(pod, ids)
  show("the likest of all names", cpu(function() pod.near("shop/crat-17") end) / n * 1e6, "ms")
  new_ones(pod, work, base, n)
end

function commands.table()
  local order, rows = {}, {}
  for line in io.lines() do
    local name, number, unit = line:match("^([^\t]+)\t([^\t]+)\t(.*)$")
    if not rows[name] then
      rows[name] = { unit = unit }
      order[#order + 1] = name
    end
    table.insert(rows[name], tonumber(number))
  end
  print("| | median [least-most] |\n|---|---|")
  for _, name in ipairs(order) do
    local row = rows[name]
    table.sort(row)
    print(("| %s | %.3g [%.3g-%.3g] %s |"):format(name, row[#row // 2 + 1], row[1], row[#row], row.unit))
  end
end

commands[arg[1]](table.unpack(arg, 2))
