-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Which container runtimes are here, whether they answer, and whether the Kubernetes API does. Asks all at once,
-- and waits for half a second at most.

local cri = require("bpfnet.cri")
local files = require("bpfnet.files")
local grpc = require("bpfnet.grpc")
local kube_config = require("bpfnet.kube_config")
local messages = require("bpfnet.cri_messages")
local pod_files = require("bpfnet.pod_files")

local servers = {}

local SECONDS = 0.5

local waits, running = 0, false

-- One has answered, or never will. Some are refused before the loop runs.
local function arrived()
  waits = waits - 1
  if waits == 0 and running then
    bpf.stop()
  end
end

-- Where their files are that names come from (see pod_oci.lua), and the sockets that they answer on.
local RUNTIMES = {
  { name = "containerd", gives = "names from files; labels from the socket (--labels cri)", cri = true,
    dirs = { "/run/containerd/io.containerd.runtime.v2.task", "/run/k3s/containerd/io.containerd.runtime.v2.task",
      "/run/k0s/containerd/io.containerd.runtime.v2.task",
      "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task" },
    sockets = { "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock",
      "/run/k0s/containerd.sock", "/var/snap/microk8s/common/run/containerd.sock" } },
  { name = "CRI-O", gives = "names from files; labels from the socket (--labels cri)", cri = true,
    dirs = { "/run/crio" }, sockets = { "/run/crio/crio.sock" } },
  { name = "Docker", gives = "names from containerd's and its own files",
    dirs = { "/var/lib/docker/containers" }, sockets = { "/run/docker.sock" } },
  { name = "cri-dockerd", gives = "labels from the socket (--labels cri)", cri = true, dirs = {},
    sockets = { "/run/cri-dockerd.sock" } },
  { name = "podman", gives = "names from files", dirs = { "/run/libpod", "/var/lib/containers/storage/libpod" },
    sockets = { "/run/podman/podman.sock" } },
  { name = "LXC", gives = "names from paths of cgroups", dirs = { "/var/lib/lxc" }, sockets = {} },
  { name = "Incus, LXD", gives = "names from paths of cgroups", dirs = {},
    sockets = { "/run/incus/unix.socket", "/var/lib/incus/unix.socket", "/var/lib/lxd/unix.socket" } },
}

-- A path in one of the roots that is there: that path, and why it can't be looked into, if so.
local function find(paths, look)
  for _, root in ipairs(pod_files.default_roots()) do
    for _, path in ipairs(paths) do
      local ok, _, code = look(root .. path)
      if ok then
        return root .. path
      elseif code == "EACCES" or code == "EPERM" then
        return root .. path, code
      end
    end
  end
end

local function ask_cri(one, service, socket)
  local version
  grpc.call({ unix_socket = socket, method = service .. "/Version", timeout = SECONDS,
    response = messages.VersionResponse,
    on_message = function(answer) version = answer end,
    on_done = function(err, code)
      if code == grpc.UNIMPLEMENTED and service == cri.services[1] then
        return ask_cri(one, cri.services[2], socket)
      end
      one.answers, one.why = version ~= nil, not version and (err or "no answer") or nil
      one.version = version and version.runtime_version
      arrived()
    end })
end

local function ask_http(one, opts, judge)
  opts.timeout, opts.connect_timeout = SECONDS, SECONDS
  opts.on_done = function(status, _, _, err)
    judge(one, status, err)
    arrived()
  end
  waits = waits + 1
  local ok, message = pcall(bpf.http, opts)
  if not ok then
    opts.on_done(nil, {}, {}, (message:gsub("^.-bpf%.http: ", "")))
  end
end

local function judge_docker(one, status, err)
  one.answers, one.why = status == 200, status ~= 200 and (err or ("HTTP status %d"):format(status)) or nil
end

local KUBE_SAYS = { [401] = "it does not know this account (HTTP status 401)", [403] = "it does not let this account "
  .. "ask for its version (HTTP status 403); what counts is get, list and watch of pods" }

local function judge_kube(one, status, err)
  one.answers = status == 200 or status == 403
  one.why = err or status ~= 200 and (KUBE_SAYS[status] or ("HTTP status %d: is it an API server?"):format(status))
    or nil
end

local function look_for(runtime)
  local one = { name = runtime.name, gives = runtime.gives }
  one.dir, one.denied = find(runtime.dirs, files.list)
  one.socket, one.socket_denied = find(runtime.sockets, files.inode)
  if not one.dir and not one.socket then
    return nil
  end
  if not one.socket or one.socket_denied then
    return one
  elseif runtime.cri then
    waits = waits + 1
    ask_cri(one, cri.services[1], one.socket)
  else
    ask_http(one, { url = "http://localhost/version", unix_socket = one.socket }, judge_docker)
  end
  return one
end

-- Which API server bpfnet would ask, see kube_config.lua.
local function look_for_kube()
  local one = { node = kube_config.node(), kubelet = files.inode("/var/lib/kubelet") ~= nil }
  local config, why = kube_config.find({})
  if not config then
    one.configured, one.why = os.getenv("KUBECONFIG") ~= nil, why
    return one
  end
  one.configured, one.server = true, config.server
  local token, unreadable = kube_config.token(config)
  if unreadable then
    one.why = unreadable
    return one
  end
  ask_http(one, { url = config.server .. "/version", ca_file = config.ca_file, ca_data = config.ca_data,
    cert_file = config.cert_file, cert_data = config.cert_data, key_file = config.key_file,
    key_data = config.key_data, insecure = config.insecure,
    headers = token and { authorization = "Bearer " .. token } or nil }, judge_kube)
  return one
end

-- libcurl is looked for when the first request is made: one that is closed at once, to nowhere.
local function look_for_curl()
  local ok, found = pcall(bpf.http, { url = "http://127.0.0.1:9/", on_done = function() end })
  if ok then
    found:close()
    return { ok = true }
  end
  local message, hint = found:gsub("^.-bpf%.http: ", ""):match("^([^\n]*)\n?h?i?n?t?:? ?(.*)$")
  return { ok = false, why = message, fix = hint ~= "" and hint or nil }
end

---Asks. Runs the loop: only in a process of its own.
---@return table answers { curl = {ok, why?, fix?}, kube = {configured, server?, answers?, why?}, runtimes = {...} }
function servers.ask()
  local answers = { curl = look_for_curl(), runtimes = {} }
  for _, runtime in ipairs(RUNTIMES) do
    answers.runtimes[#answers.runtimes + 1] = look_for(runtime)
  end
  answers.kube = look_for_kube()
  if waits > 0 then
    running = true
    bpf.after(SECONDS + 0.1, bpf.stop)
    bpf.run()
  end
  return answers
end

return servers
