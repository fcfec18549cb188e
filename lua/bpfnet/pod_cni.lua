-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Addresses of pods, from what libcni keeps of its plugins' answers: containerd, CRI-O and cri-dockerd all
-- set networks up with it, before the container that holds the pod's namespaces is started.
--
-- A file is called "NETWORK-ID-INTERFACE", ID being that container's (libcni/api.go, getCacheFilePath()).

local files = require("bpfnet.pod_files")

local cni = {}

-- libcni's own, and cri-dockerd's
local DIRECTORIES = { "/var/lib/cni/results", "/var/lib/cni/cache/results" }
local ID = ("%x"):rep(64)

local shapes -- "NETWORK-%s-INTERFACE", of all files that were seen
local known -- shape -> true

---Forgets what was learnt, for another world.
function cni.reset()
  shapes, known = {}, {}
end

cni.reset()

-- eth0 first: what Kubernetes calls the pod's address is that interface's.
local function add_shape(shape)
  known[shape] = true
  if shape:find("%-eth0$") then
    table.insert(shapes, 1, shape)
  else
    shapes[#shapes + 1] = shape
  end
end

local function learn(directory)
  for _, name in ipairs(files.list(directory)) do
    local network, interface = name:match("^(.+%-)" .. ID .. "(%-.+)$")
    local shape = network and interface ~= "-lo" and (network .. "%s" .. interface)
    if shape and not known[shape] and not name:find("%", 1, true) then
      add_shape(shape)
    end
  end
end

-- Adds the addresses of one answer: "10.1.0.7/24".
local function add(ips, record)
  local result = record and record.kind == "cniCacheV1" and record.result or record
  for _, ip in ipairs(type(result) == "table" and type(result.ips) == "table" and result.ips or {}) do
    local address = type(ip) == "table" and type(ip.address) == "string" and ip.address:match("^[%x:.]+")
    ips[#ips + 1] = address or nil
  end
end

local function read(directory, id)
  local ips = {}
  for _, shape in ipairs(shapes) do
    add(ips, files.json(directory .. "/" .. shape:format(id)))
  end
  return ips
end

---The addresses of a pod.
---@param id string of the container that holds its namespaces, 64 digits
---@return string[]? ips the pod's own first; nil: not known, as of one in the host's network
function cni.addresses(id)
  for _, directory in ipairs(DIRECTORIES) do
    local ips = read(directory, id)
    if not ips[1] then
      learn(directory) -- a network that was not there before
      ips = read(directory, id)
    end
    if ips[1] then
      return ips
    end
  end
end

return cni
