-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A node with real containers (containers.sh) and the pods on it, as a kubelet would run them.
--
--     local node = require("containers").up()
--     local pod = node:pod { namespace = "shop", name = "cart-0", containers = {
--       { name = "app", command = { "httpd", "-f", "-p", "8080" } } } }
--     node:exec("wget -qO- http://" .. pod.ip .. ":8080/")
--     pod:exec("app", { "cat", "/etc/hostname" })
--     pod:remove()
--     node:down()

local cri = require "cri"
local cjson = require "cjson"

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local script = here .. "/containers.sh"

local containers = {}
-- What all nodes have; a proxy has the name that people know sidecars by.
containers.APP = "registry.test/shop/app:1"
containers.PROXY = "docker.io/istio/proxyv2:1.20.0"

local POD_NETWORK, NODE_NETWORK = 0, 2

local node = {}
node.__index = node
local pod = {}
pod.__index = pod

local function sh(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("a")
  local _, kind, code = p:close()
  return text, kind == "signal" and 128 + code or code
end

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function read(path)
  local f = io.open(path)
  if not f then return "" end
  local text = f:read("a")
  f:close()
  return text
end

-- In an emulated guest whoever looks takes the processor from who is looked at.
local PAUSE = (os.getenv("VMRUN") or "") ~= "" and 0.5 or 0.05

local function wait(seconds, what, f)
  local deadline = bpf.now() + seconds * 1e9
  repeat
    local value = f()
    if value then return value end
    os.execute("sleep " .. PAUSE)
  until bpf.now() > deadline
  error(what .. " after " .. seconds .. " s", 0)
end

---What is missing of the packages that a node needs, "" if nothing; see `containers.sh missing`.
function containers.missing()
  local text, status = sh(script .. " missing")
  assert(status == 0, text)
  return (text:gsub("%s+$", ""))
end

---A node that somebody else has started.
---@param dir string its directory
---@return table node {dir=, top= its cgroup or "", state= where its bundles are, netns= path, cri=}
function containers.open(dir)
  local facts = read(dir .. "/node")
  local n = setmetatable({ dir = dir, cri = cri.new(dir .. "/containerd.sock") }, node)
  for key, value in facts:gmatch("(%l+)=([^\n]*)") do n[key] = value end
  n.netns = ("/proc/%s/ns/net"):format(n.containerd)
  n.whole = n.top == ""
  n.logs = n.whole and "/var/log/pods" or dir .. "/logs"
  return n
end

local function wait_for_images(n, names)
  wait(30, "no images", function()
    local have = {}
    for _, image in ipairs(n.cri:call("ListImages", {}).images) do
      for _, tag in ipairs(image.repo_tags) do have[tag] = true end
    end
    for _, name in ipairs(names) do
      if not have[name] then return false end
    end
    return true
  end)
end

local count = 0

---Starts one; in a guest it has the whole machine. It ends with this process at the latest.
---@param images? table<string,string[]> images with programs, APP and PROXY or others: paths by name
---@return table node as open() gives; an error if it does not start
function containers.up(images)
  count = count + 1
  local whole = (os.getenv("VMRUN") or "") ~= ""
  local dir = ("%s/node-%dx%d"):format(whole and "/run/bpfnet" or here .. "/../../.output/containers",
    bpf.now() // 1000, count)
  dir = sh("realpath -m " .. quote(dir)):match("[^\n]+")
  local all = { [containers.APP] = {}, [containers.PROXY] = {} }
  for name, programs in pairs(images or {}) do all[name] = programs end
  local words, names = {}, {}
  for name, programs in pairs(all) do
    names[#names + 1] = name
    words[#words + 1] = quote(name .. "=" .. table.concat(programs, ","))
  end
  local said = os.tmpname()
  local input = assert(io.popen(("exec bash %s up %s %s %s >%s 2>&1"):format(script, quote(dir),
    whole and "whole" or "", table.concat(words, " "), said), "w"))
  local text = wait(180, "no node", function()
    local now = read(said)
    return now:find("^ready\n") and now or now:find("%.sh: ") and now
  end)
  os.remove(said)
  if not text:find("^ready\n") then
    input:close()
    error(text, 2)
  end
  local n = containers.open(dir)
  n.input = input
  wait_for_images(n, names)
  return n
end

---Takes it down, with all its pods. Whoever did not start it has nothing to take down.
function node:down()
  if self.input then self.input:close() end
  self.input = nil
end

---A shell command that runs in the node's network namespace, as one word list.
function node:command(command)
  return ("nsenter --net=%s -- sh -c %s"):format(self.netns, quote(command))
end

---Runs a shell command in the node's network namespace.
---@return string output, integer status
function node:exec(command)
  return sh(self:command(command))
end

local function new_uid()
  return read("/proc/sys/kernel/random/uuid"):match("%S+")
end

-- What the runtime makes of a parent that ends in ".slice" is systemd's to use, or, as nobody asks systemd
-- here, one name with colons, at the root or below the runtime's own cgroup.
local function cgroup_parent(n, spec, uid)
  if spec.cgroups == "slice" then
    return ("/kubepods.slice/kubepods-burstable.slice/%skubepods-burstable-pod%s.slice"):format(
      n.whole and "" or n.top .. "-", uid:gsub("-", "_"))
  end
  return (n.whole and "" or "/" .. n.top) .. "/kubepods/burstable/pod" .. uid
end

local function merged(...)
  local all = {}
  for _, map in ipairs({ ... }) do
    for key, value in pairs(map) do all[key] = value end
  end
  return all
end

local function pod_config(n, spec)
  local uid = spec.uid or new_uid()
  local config = {
    metadata = { name = spec.name, namespace = spec.namespace, uid = uid, attempt = 0 },
    log_directory = ("%s/%s_%s_%s"):format(n.logs, spec.namespace, spec.name, uid),
    labels = merged(spec.labels or {}, { ["io.kubernetes.pod.name"] = spec.name,
      ["io.kubernetes.pod.namespace"] = spec.namespace, ["io.kubernetes.pod.uid"] = uid }),
    annotations = merged(spec.annotations or {}, { ["kubernetes.io/config.source"] = "api" }),
    linux = { cgroup_parent = cgroup_parent(n, spec, uid), security_context = { namespace_options = {
      network = spec.host_network and NODE_NETWORK or POD_NETWORK, pid = 1 } } },
  }
  if not spec.host_network then config.hostname = spec.name end
  return config
end

local function container_config(p, c, attempt)
  local meta = p.config.metadata
  local mounts = {}
  for path, host in pairs(c.mounts or {}) do
    mounts[#mounts + 1] = { container_path = path, host_path = host }
  end
  return {
    metadata = { name = c.name, attempt = attempt }, image = { image = c.image or containers.APP },
    command = c.command, mounts = mounts, log_path = ("%s/%d.log"):format(c.name, attempt),
    labels = { ["io.kubernetes.container.name"] = c.name, ["io.kubernetes.pod.name"] = meta.name,
      ["io.kubernetes.pod.namespace"] = meta.namespace, ["io.kubernetes.pod.uid"] = meta.uid },
    annotations = { ["io.kubernetes.container.restartCount"] = tostring(attempt) },
    linux = { security_context = {
      namespace_options = p.config.linux.security_context.namespace_options } },
  }
end

-- A process's cgroup v2 id; nil if it has ended.
local function cgroup_of(pid)
  local path = read(("/proc/%d/cgroup"):format(pid)):match("0::([^\n]*)")
  local mount = path and read("/proc/mounts"):match("%S+ (%S+) cgroup2 ")
  return path and math.tointeger(tonumber((sh(("stat -c %%i %s"):format(quote(mount .. path))))))
end

-- Process and cgroup of a container; without them if it has ended already.
local function look_at(n, c)
  local info = n.cri:call("ContainerStatus", { container_id = c.id, verbose = true }).info.info
  local pid = info and cjson.decode(info).pid or 0
  c.pid = pid > 0 and math.tointeger(pid) or nil
  c.cgroup = c.pid and cgroup_of(c.pid)
end

-- All containers of all these pods, in turn: created, then started, as many at a time as there are pods.
local function start_all(n, pods)
  local requests, all = {}, {}
  for _, p in ipairs(pods) do
    for _, c in ipairs(p.spec.containers or {}) do
      os.execute(("mkdir -p %s/%s"):format(quote(p.config.log_directory), c.name))
      requests[#requests + 1] = { pod_sandbox_id = p.sandbox_id, config = container_config(p, c, 0),
        sandbox_config = p.config }
      all[#all + 1] = { p, c }
    end
  end
  local starts = {}
  for i, answer in ipairs(n.cri:calls("CreateContainer", requests)) do
    local p, c = table.unpack(all[i])
    p.containers[c.name] = { id = answer.container_id, name = c.name, image = c.image or containers.APP,
      spec = c, attempt = 0 }
    starts[i] = { container_id = answer.container_id }
  end
  n.cri:calls("StartContainer", starts)
end

---Runs pods, all at the same time.
---@param specs table[] {namespace=, name=, labels=?, annotations=?, uid=?, host_network=?, cgroups="slice"?,
---  containers={{name=, image=?, command={...}, mounts={[path]=host's path}?}}, brief=?}; of brief ones only
---  the address is asked
---@return table[] pods {namespace=, name=, uid=, ip=, sandbox_id=, sandbox={id=, pid=, cgroup=},
---  containers={[name]={id=, pid=, cgroup=, image=}}}; processes and cgroups are nil of what has ended
function node:pods(specs)
  local pods, requests = {}, {}
  for i, spec in ipairs(specs) do
    local config = pod_config(self, spec)
    pods[i] = setmetatable({ node = self, spec = spec, config = config, namespace = spec.namespace,
      name = spec.name, uid = config.metadata.uid, containers = {} }, pod)
    requests[i] = { config = config }
  end
  for i, answer in ipairs(self.cri:calls("RunPodSandbox", requests)) do
    pods[i].sandbox_id = answer.pod_sandbox_id
  end
  start_all(self, pods)
  for _, p in ipairs(pods) do p:look() end
  return pods
end

---Runs one pod.
function node:pod(spec)
  return self:pods({ spec })[1]
end

---Asks for its address and, if it is not a brief one, its containers' processes.
function pod:look()
  local status = self.node.cri:call("PodSandboxStatus", { pod_sandbox_id = self.sandbox_id, verbose = true })
  self.ip = status.status.network and status.status.network.ip
  if self.spec.brief then return end
  local info = cjson.decode(status.info.info)
  self.sandbox = { id = self.sandbox_id, pid = math.tointeger(info.pid), cgroup = cgroup_of(info.pid) }
  for _, c in pairs(self.containers) do look_at(self.node, c) end
end

---Runs a command in a container.
---@param name string the container's
---@param argv string[]
---@return string output of both kinds, integer status
function pod:exec(name, argv)
  local answer = self.node.cri:call("ExecSync", { container_id = self.containers[name].id, cmd = argv,
    timeout = 30 })
  return (answer.stdout or "") .. (answer.stderr or ""), answer.exit_code or 0
end

---Ends a container and starts it again in the same sandbox, as a kubelet does: a new one with a new id.
---@param name string
function pod:restart(name)
  local client, old = self.node.cri, self.containers[name]
  client:call("StopContainer", { container_id = old.id })
  local attempt = old.attempt + 1
  local config = container_config(self, old.spec, attempt)
  local id = client:call("CreateContainer", { pod_sandbox_id = self.sandbox_id, config = config,
    sandbox_config = self.config }).container_id
  client:call("StartContainer", { container_id = id })
  client:call("RemoveContainer", { container_id = old.id })
  local new = { id = id, name = name, image = old.image, spec = old.spec, attempt = attempt }
  look_at(self.node, new)
  self.containers[name] = new
end

---What a container wrote to its log.
function pod:log(name)
  return read(("%s/%s/%d.log"):format(self.config.log_directory, name, self.containers[name].attempt))
end

-- Sandboxes are stopped, with all in them, and forgotten.
local function remove_all(n, pods)
  local requests = {}
  for i, p in ipairs(pods) do requests[i] = { pod_sandbox_id = p.sandbox_id } end
  n.cri:calls("StopPodSandbox", requests)
  n.cri:calls("RemovePodSandbox", requests)
end

local EXITED = 2

---Waits until all containers of these pods have ended.
---@param seconds number
function node:wait(pods, seconds)
  wait(seconds, "containers are still running", function()
    local ended = {}
    for _, c in ipairs(self.cri:call("ListContainers", {}).containers) do
      ended[c.id] = c.state == EXITED
    end
    for _, p in ipairs(pods) do
      for _, c in pairs(p.containers) do
        if not ended[c.id] then return false end
      end
    end
    return true
  end)
end

---Removes pods, all at the same time.
function node:remove(pods)
  remove_all(self, pods)
end

function pod:remove()
  remove_all(self.node, { self })
end

return containers
