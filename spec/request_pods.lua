-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Pods for the specs about requests: containers as the kernel sees them (a cgroup with a runtime's name, a
-- process in a pod's network namespace), with bundles as containerd writes them; programs with known delays in
-- them (tests/runtime/requests), and a script that looks at it all. No runtime is needed: containers_spec has one.

local cgroup = require("bpfnet.cgroup")
local cjson = require("cjson")
local helper = require("helper")

local M = {}

M.requests = helper.out .. "/tests/requests"

local HEX = ("%08x"):format(bpf.now() & 0xffffffff)
local count = 0

---The Kubernetes namespace of our pods: others may make pods on this machine as well.
M.namespace = "shop" .. HEX

-- Ids of our own, as long as a runtime's.
local function new_id()
  count = count + 1
  return (HEX .. ("%08x"):format(count)):rep(4)
end

local Node = {}
Node.__index = Node

---A node without pods; network: a world of pods.lua in whose namespaces the pods are.
function M.node(network)
  local top = ("%s/bpfnet-spec-%d"):format(cgroup.mount(), bpf.now())
  local node = setmetatable({
    network = network, root = helper.sh("mktemp -d"):match("%S+"), top = top, kube = top .. "/kubepods/burstable",
    directories = {}, children = {},
  }, Node)
  local text, status = helper.sh("mkdir -p %s", node.kube)
  assert(status == 0, text)
  return node
end

function Node:_bundle(id, annotations)
  local directory = ("%s/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s"):format(self.root, id)
  assert(select(2, helper.sh("mkdir -p %s", directory)) == 0)
  local file = assert(io.open(directory .. "/config.json", "w"))
  file:write(cjson.encode({ annotations = annotations }))
  file:close()
end

local Pod = {}
Pod.__index = Pod

---A pod in our namespace, and in that of the network that is called `where` ("A", "B", "HOST").
function Node:pod(name, where)
  count = count + 1
  local pod = setmetatable({
    node = self, short = name, name = M.namespace .. "/" .. name, where = where,
    uid = ("%s-0000-4000-8000-%012x"):format(HEX, count), sandbox = new_id(),
  }, Pod)
  self:_bundle(pod.sandbox, pod:_annotations("sandbox"))
  return pod
end

function Pod:_annotations(kind, container)
  return {
    ["io.kubernetes.cri.container-type"] = kind, ["io.kubernetes.cri.container-name"] = container,
    ["io.kubernetes.cri.image-name"] = container and "docker.io/shop/" .. container .. ":1",
    ["io.kubernetes.cri.sandbox-id"] = self.sandbox, ["io.kubernetes.cri.sandbox-name"] = self.short,
    ["io.kubernetes.cri.sandbox-namespace"] = M.namespace, ["io.kubernetes.cri.sandbox-uid"] = self.uid,
  }
end

---A container of it; gives run(command), the text of a shell command that runs one in it.
function Pod:container(name)
  local id, node = new_id(), self.node
  node:_bundle(id, self:_annotations("container", name)) -- before the cgroup, as runtimes do
  local directory = ("%s/pod%s/%s"):format(node.kube, self.uid, id)
  local text, status = helper.sh("mkdir -p %s", directory)
  assert(status == 0, text)
  table.insert(node.directories, directory)
  return function(command)
    return ("sh -c 'echo $$ > %s/cgroup.procs; exec nsenter --net=%s -- %s'"):format(directory,
      node.network:ns(self.where), command)
  end
end

---Starts a program; stop() ends it, and gives what it has printed.
function Node:start(command)
  local child = helper.start(command)
  local wait, ended = child.wait, nil
  table.insert(self.children, child)
  function child.wait()
    ended = ended or wait()
    return ended
  end
  function child.stop()
    if not ended then
      helper.sh("kill -TERM %d", child.pid)
      child.wait()
    end
    return child.stdout()
  end
  return child
end

---Starts `requests serve` or `requests proxy`; gives the child, with the port that it listens on.
function Node:listen(run, arguments)
  local child = self:start(run(("%s %s"):format(M.requests, arguments)))
  child.port = helper.wait(20, function()
    return tonumber(child.stdout():match("^port (%d+)\n"))
  end)
  return child
end

---The lines of truth of one kind that a program of `requests` has printed.
function M.truth(text, kind)
  local rows = {}
  for line in text:gmatch("[^\n]+") do
    if line:find("^" .. kind .. " ") then
      local row = {}
      for key, value in line:gmatch("([%w_]+)=(%d+)") do
        row[key] = math.tointeger(tonumber(value))
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

---Value of rank ceil(q * n), as bpfnet.hist counts ranks, of differences of two members.
function M.quantile(rows, q, from, to)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = row[to] - row[from]
  end
  table.sort(list)
  return list[math.max(1, math.ceil(q * #list))]
end

-- A script that looks for bundles where ours are.
function Node:_command(script, arguments)
  local file = self.root .. "/run.lua"
  local f = assert(io.open(file, "w"))
  f:write(("require('bpfnet.pod').start({ root = %q })\narg[0] = %q\ndofile(%q)\n"):format(self.root, script,
    ("%s/scripts/%s.lua"):format(helper.root, script)))
  f:close()
  return ("%s run -v --buffer 67108864 %s %s"):format(helper.bpfnet, file, arguments)
end

---Runs a script, act() when all its probes are attached; gives its standard output and error.
function Node:trace(script, arguments, act, probes)
  local child = helper.start(self:_command(script, arguments))
  helper.wait(30, function()
    return select(2, child.stderr():gsub("%w: attached", "")) == probes
  end)
  act()
  os.execute("sleep 0.3")
  child.kill("TERM")
  assert(child.wait() == 0, child.stderr())
  return child.stdout(), child.stderr()
end

---Runs a script to its end.
function Node:run(script, arguments)
  return helper.sh("timeout 60 %s", self:_command(script, arguments))
end

---Rows of JSON of the whole time.
function M.totals(text)
  local rows = {}
  for line in text:gmatch("[^\n]+") do
    local row = cjson.decode(line)
    if row.span == "total" then
      rows[#rows + 1] = row
    end
  end
  return rows
end

---Ends all that was started.
function Node:stop()
  for _, child in ipairs(self.children) do
    child.stop()
  end
  self.children = {}
end

---The same, and removes what was made.
function Node:down()
  self:stop()
  for _, directory in ipairs(self.directories) do
    helper.sh("rmdir %s; rmdir %s", directory, directory:match("^(.*)/"))
  end
  helper.sh("rmdir %s %s/kubepods %s; rm -r %s", self.kube, self.top, self.top, self.root)
end

return M
