-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A client of the container runtime interface for tests: what a kubelet asks of it. gRPC goes over the
-- command curl, several calls at a time if need be.
--
--     local cri = require("cri").new("/run/containerd/containerd.sock")
--     local answer = cri:call("Version", {})
--     local answers = cri:calls("StopContainer", { { container_id = a }, { container_id = b } })
--
-- Shapes have the names and numbers of the interface's own definition (k8s.io/cri-api, runtime/v1).

local protobuf = require "protobuf"

local pod_metadata = { name = 1, uid = 2, namespace = 3, attempt = { 4, "int" } }
local metadata = { name = 1, attempt = { 2, "int" } }
local image_spec = { image = 1 }
local namespaces = { network = { 1, "int" }, pid = { 2, "int" }, ipc = { 3, "int" } }
local pod_config = {
  metadata = { 1, of = pod_metadata }, hostname = 2, log_directory = 3,
  labels = { 6, map = true }, annotations = { 7, map = true },
  linux = { 8, of = {
    cgroup_parent = 1, security_context = { 2, of = { namespace_options = { 1, of = namespaces } } },
  } },
}
local container_config = {
  metadata = { 1, of = metadata }, image = { 2, of = image_spec },
  command = { 3, list = true }, args = { 4, list = true },
  envs = { 6, list = true, of = { key = 1, value = 2 } },
  mounts = { 7, list = true, of = { container_path = 1, host_path = 2, readonly = { 3, "bool" } } },
  labels = { 9, map = true }, annotations = { 10, map = true }, log_path = 11,
  linux = { 15, of = { security_context = { 2, of = {
    privileged = { 2, "bool" }, namespace_options = { 3, of = namespaces },
  } } } },
}
local pod = {
  id = 1, metadata = { 2, of = pod_metadata }, state = { 3, "int" },
  labels = { 5, map = true }, annotations = { 6, map = true },
}
local container = {
  id = 1, pod_sandbox_id = 2, metadata = { 3, of = metadata }, image = { 4, of = image_spec },
  state = { 6, "int" }, labels = { 8, map = true }, annotations = { 9, map = true },
}

-- What each call takes and gives.
local METHODS = {
  Version = { {}, { runtime_name = 2, runtime_version = 3 } },
  RunPodSandbox = { { config = { 1, of = pod_config } }, { pod_sandbox_id = 1 } },
  StopPodSandbox = { { pod_sandbox_id = 1 }, {} },
  RemovePodSandbox = { { pod_sandbox_id = 1 }, {} },
  PodSandboxStatus = { { pod_sandbox_id = 1, verbose = { 2, "bool" } }, {
    status = { 1, of = { id = 1, state = { 3, "int" }, network = { 5, of = { ip = 1 } } } },
    info = { 2, map = true },
  } },
  ListPodSandbox = { { filter = { 1, of = { id = 1 } } }, { items = { 1, list = true, of = pod } } },
  CreateContainer = {
    { pod_sandbox_id = 1, config = { 2, of = container_config }, sandbox_config = { 3, of = pod_config } },
    { container_id = 1 },
  },
  StartContainer = { { container_id = 1 }, {} },
  StopContainer = { { container_id = 1, timeout = { 2, "int" } }, {} },
  RemoveContainer = { { container_id = 1 }, {} },
  ListContainers = { { filter = { 1, of = { id = 1 } } }, { containers = { 1, list = true, of = container } } },
  ContainerStatus = { { container_id = 1, verbose = { 2, "bool" } }, {
    status = { 1, of = { id = 1, state = { 3, "int" }, exit_code = { 7, "int" }, reason = 11 } },
    info = { 2, map = true },
  } },
  ExecSync = {
    { container_id = 1, cmd = { 2, list = true }, timeout = { 3, "int" } },
    { stdout = 1, stderr = 2, exit_code = { 3, "int" } },
  },
  ListImages = { {}, { images = { 1, list = true, of = { id = 1, repo_tags = { 2, list = true } } } } },
}

local SERVICES = { ListImages = "ImageService" }

local cri = {}
cri.__index = cri

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  return text
end

-- The message in a frame: a byte that says "not compressed", its length, itself.
local function framed(message)
  return "\0" .. string.pack(">s4", message)
end

local function unframed(text)
  return #text < 5 and "" or string.unpack(">s4", text, 2)
end

-- The words of a status are written as in URLs.
local function error_of(head)
  local status = head:match("[Gg]rpc%-[Ss]tatus: (%d+)")
  if status == "0" then return nil end
  local message = head:match("[Gg]rpc%-[Mm]essage: ([^\r\n]*)") or "no answer"
  return (message:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---@param socket string its path
function cri.new(socket)
  return setmetatable({ socket = socket }, cri)
end

function cri:command(method, base)
  return ("curl -s --http2-prior-knowledge --max-time 150 --unix-socket '%s' -H 'content-type: application/grpc'"
    .. " -H 'te: trailers' --data-binary @%s.in -D %s.head -o %s.out"
    .. " http://localhost/runtime.v1.%s/%s"):format(self.socket, base, base, base,
    SERVICES[method] or "RuntimeService", method)
end

-- What came back, or nil and what went wrong; leaves no files behind.
local function take(shape, base)
  local answer, message
  local ok, head = pcall(read, base .. ".head")
  message = error_of(ok and head or "")
  if not message then answer = protobuf.decode(shape, unframed(read(base .. ".out"))) end
  for _, suffix in ipairs { "", ".in", ".head", ".out" } do os.remove(base .. suffix) end
  return answer, message
end

---Makes some calls of a method at the same time.
---@param method string
---@param requests table[]
---@return (table|false)[] answers, table<integer,string> errors by number of the request
function cri:try_calls(method, requests)
  local takes, gives = table.unpack((assert(METHODS[method], method)))
  local bases, commands = {}, {}
  for i, request in ipairs(requests) do
    bases[i] = os.tmpname()
    local f = assert(io.open(bases[i] .. ".in", "wb"))
    f:write(framed(protobuf.encode(takes, request)))
    f:close()
    commands[i] = self:command(method, bases[i])
  end
  os.execute(table.concat(commands, " & ") .. " & wait")
  local answers, errors = {}, {}
  for i, base in ipairs(bases) do
    local answer, message = take(gives, base)
    answers[i], errors[i] = answer or false, message
  end
  return answers, errors
end

---The same; raises what the first that failed said.
function cri:calls(method, requests)
  local answers, errors = self:try_calls(method, requests)
  local _, message = next(errors)
  if message then error(method .. ": " .. message, 2) end
  return answers
end

---One call; raises if it fails.
---@return table
function cri:call(method, request)
  return self:calls(method, { request })[1]
end

return cri
