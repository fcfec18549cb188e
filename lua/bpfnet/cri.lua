-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the container runtime knows of pods and the bundles on disk don't: labels, annotations, addresses,
-- images' names. From its CRI socket (containerd, CRI-O, cri-dockerd): lists, then events.
--
--   local cri, pod = require("bpfnet.cri"), require("bpfnet.pod")
--   pod.add_source(cri.source())
--
-- Nobody waits for it. A socket that is not there, hangs or dies is said once and tried again.

local grpc = require("bpfnet.grpc")
local messages = require("bpfnet.cri_messages")
local protobuf = require("bpfnet.protobuf")
local retry = require("bpfnet.retry")
local store = require("bpfnet.cri_store")

local cri = {}

---Seconds: `answer`, for one that is no stream; `check`, between lists while events come: what those left
---out, and whether the runtime still lives; `poll`, between lists without events; `apart`, at least.
cri.seconds = { answer = 5, check = 60, poll = 10, apart = 0.2 }

---Where runtimes have their sockets.
cri.sockets = {
  "/run/containerd/containerd.sock",
  "/run/k3s/containerd/containerd.sock", -- k3s, rke2
  "/run/k0s/containerd.sock",
  "/var/snap/microk8s/common/run/containerd.sock",
  "/run/crio/crio.sock",
  "/run/cri-dockerd.sock",
}

---By which names the interface is asked for. The older one is all that containerd before 1.6 has (Debian 11).
cri.services = { "runtime.v1.RuntimeService", "runtime.v1alpha2.RuntimeService" }

---@class bpfnet.CriSource
---@field state string "starting", "alive", "dead", "stopped"
---@field mode? string how it learns of new containers: "events", "containerd's events", "polling"
---@field path? string the socket
---@field runtime? string "containerd 1.6.20"
local Source = {}
Source.__index = Source

local ENOENT, ENOTDIR = 2, 20

-- Sockets can't be opened as files, so what counts is how that fails.
local function exists(path)
  local file, _, code = io.open(path)
  if file then
    file:close()
  end
  return file or code ~= ENOENT and code ~= ENOTDIR
end

local function candidates(self)
  if self.opts.socket then
    return { self.opts.socket }
  end
  local found = {}
  for _, path in ipairs(cri.sockets) do
    if exists((self.opts.root or "") .. path) then
      found[#found + 1] = (self.opts.root or "") .. path
    end
  end
  return found
end

local function close_all(self)
  for name, thing in pairs(self.open) do
    thing:close()
    self.open[name] = nil
  end
end

local function fail(self, message, hint)
  close_all(self)
  self.state, self.mode = "dead", nil
  self.again.opts.what = self.path or "container runtime"
  self.again:failed(message, hint)
end

-- One call of a kind at a time; what fails is told to `done`, or is the end of this connection.
local function call(self, name, opts)
  if self.open[name] then
    self.open[name]:close()
  end
  local done = opts.on_done
  opts.unix_socket = self.path
  opts.method = opts.method or self.service .. "/" .. name
  opts.on_done = function(err, code)
    self.open[name] = nil
    if not done(err, code) and err then
      fail(self, ("%s: %s"):format(name, err))
    end
  end
  self.open[name] = grpc.call(opts)
end

local function after(self, name, seconds, action)
  if self.open[name] then
    self.open[name]:close()
  end
  self.open[name] = bpf.after(seconds, function()
    self.open[name] = nil
    action(self)
  end):background()
end

local list

-- A list within a moment, however often it is asked for.
local function list_soon(self)
  if self.open.soon or self.open.ListPodSandbox or self.open.ListContainers then
    self.again_soon = true
    return
  end
  local waited = (bpf.now() - self.listed_ns) / 1e9
  after(self, "soon", math.max(0, cri.seconds.apart - waited), list)
end

local function ask_for_ips(self, ids)
  local id = table.remove(ids)
  if not id then
    return
  end
  call(self, "PodSandboxStatus", {
    request = protobuf.encode(messages.PodSandboxStatusRequest, { pod_sandbox_id = id }),
    response = messages.PodSandboxStatusResponse,
    timeout = cri.seconds.answer,
    on_message = function(answer)
      if answer.status then
        self.store:add_pod(answer.status).asked = true
      end
    end,
    on_done = function(err, code)
      if not err or code then -- with a code it is this pod that is wrong: it has just gone
        ask_for_ips(self, ids)
        return true
      end
    end,
  })
end

local function listed(self, pods, containers)
  self.store:replace(pods, containers)
  self.state = "alive"
  self.again:worked()
  after(self, "poll", cri.seconds[self.mode == "polling" and "poll" or "check"], list)
  ask_for_ips(self, self.store:without_ip())
  if self.again_soon then
    self.again_soon = nil
    list_soon(self)
  end
end

list = function(self)
  local pods, containers
  self.listed_ns = bpf.now()
  call(self, "ListPodSandbox", {
    response = messages.ListPodSandboxResponse,
    timeout = cri.seconds.answer,
    on_message = function(answer) pods = answer.items end,
    on_done = function(err)
      if err then
        return
      end
      call(self, "ListContainers", {
        response = messages.ListContainersResponse,
        timeout = cri.seconds.answer,
        on_message = function(answer) containers = answer.containers end,
        on_done = function(err2)
          if not err2 then
            listed(self, pods or {}, containers or {})
          end
        end,
      })
    end,
  })
end

local DELETED = 3 -- ContainerEventType

local function on_event(self, event)
  local pod = event.pod_sandbox_status
  if event.type == DELETED then
    self.store:remove(event.container_id)
    return
  end
  if pod and pod.id then
    self.store:add_pod(pod)
  end
  for _, container in ipairs(event.containers_statuses) do
    self.store:add_container(container, pod and pod.id)
  end
end

-- A stream of events that ends, unless it is because there is no such method: then `otherwise`.
local function stream(self, mode, opts, otherwise)
  self.mode = mode
  opts.on_done = function(err, code)
    if code == grpc.UNIMPLEMENTED then
      otherwise(self)
    else
      fail(self, err or "it has ended the stream of events")
    end
    return true
  end
  call(self, "GetContainerEvents", opts)
end

local function poll(self)
  self.mode = "polling"
  if not self.open.ListPodSandbox and not self.open.ListContainers then
    list_soon(self)
  end
end

-- containerd 1.x has events of its own, which say little: that a list is worth while.
local function containerd_events(self)
  stream(self, "containerd's events", {
    method = "containerd.services.events.v1.Events/Subscribe",
    headers = { ["containerd-namespace"] = "k8s.io" },
    request = protobuf.encode(messages.SubscribeRequest, { filters = {
      'topic=="/containers/create"', 'topic=="/tasks/start"' } }),
    response = messages.Envelope,
    on_message = function(envelope)
      if envelope.namespace == "k8s.io" then
        list_soon(self)
      end
    end,
  }, poll)
end

local function events(self)
  stream(self, "events", {
    response = messages.ContainerEventResponse,
    on_message = function(event) on_event(self, event) end,
  }, containerd_events)
end

-- Events first, so that nothing falls between the list and them.
local function connected(self, answer)
  self.runtime = ("%s %s"):format(answer.runtime_name or "?", answer.runtime_version or "?")
  events(self)
  list(self)
end

local connect

local function try_next(self, message)
  if self.nth < #self.found then
    connect(self, self.nth + 1)
  else
    fail(self, message)
  end
end

-- Asks the nth socket by the older service's name if it doesn't know the newer one.
connect = function(self, nth, service)
  local version
  self.nth, self.path, self.service = nth, self.found[nth], service or cri.services[1]
  call(self, "Version", {
    response = messages.VersionResponse,
    timeout = cri.seconds.answer,
    on_message = function(answer) version = answer end,
    on_done = function(err, code)
      if version and not err then
        connected(self, version)
      elseif code == grpc.UNIMPLEMENTED and self.service == cri.services[1] then
        connect(self, nth, cri.services[2])
      elseif code == grpc.UNIMPLEMENTED then
        try_next(self, "is no CRI socket: " .. err)
      else
        try_next(self, err or "no answer to Version")
      end
      return true
    end,
  })
end

local function begin(self)
  self.found = candidates(self)
  self.path = nil
  if #self.found > 0 then
    connect(self, 1)
  else
    fail(self, "no CRI socket was found", "cri.source{ socket = PATH } (looked for "
      .. table.concat(cri.sockets, ", ") .. ")")
  end
end

---Starts asking. `sink` gets records of what is known of a container (`container_id` is there) or of a pod
---(`pod_uid` alone): `namespace`, `name`, `container`, `image`, `sandbox`, `labels` and `annotations` of the
---pod, `ip`, `ips`. A record comes again when something in it is new, and with `gone = true` at its end.
---@param sink fun(record: table)
function Source:start(sink)
  self:stop()
  self.state, self.listed_ns = "starting", 0
  self.store = store.new(sink)
  self.again = retry.new({
    what = "container runtime",
    without = "labels and addresses of pods are missing meanwhile",
    action = function() begin(self) end,
  })
  begin(self)
end

---Something was seen that the source has not told of. Cheap, and may be called often.
function Source:ask()
  if self.state == "alive" and (bpf.now() - self.listed_ns) / 1e9 > 1 then
    list_soon(self)
  end
end

function Source:stop()
  close_all(self)
  if self.again then
    self.again:stop()
  end
  self.state = "stopped"
end

Source.__close = Source.stop

---@return table stats state, path, runtime, mode, pods, containers, failures
function Source:stats()
  local pods, containers = 0, 0
  if self.store then
    pods, containers = self.store:count()
  end
  return { state = self.state, path = self.path, runtime = self.runtime, mode = self.mode, pods = pods,
    containers = containers, failures = self.again and self.again.failures or 0 }
end

local KNOWN = { socket = true, root = true }

---Makes a source for pod.add_source().
---@param opts? { socket?: string, root?: string } the socket; or where "/" is of the host that it is on
---@return bpfnet.CriSource
function cri.source(opts)
  opts = opts or {}
  for key, value in pairs(opts) do
    if not KNOWN[key] then
      error(('cri.source: unknown option "%s" (known: root, socket)'):format(key), 2)
    elseif type(value) ~= "string" then
      error(('cri.source: bad option "%s": expected a path, got %s'):format(key, type(value)), 2)
    end
  end
  return setmetatable({ name = "cri", opts = opts, open = {}, state = "stopped" }, Source)
end

return cri
