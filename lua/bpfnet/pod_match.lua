-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What users say to mean certain pods, as { pod = "shop/cart*", sidecar = true }: is it sound, and whom
-- does it mean?

local nearest = require("bpfnet.nearest")

local match = {}

---@class bpfnet.pod.Spec all that is given has to match; of a list one
---@field pod? string|string[] glob (`*`, `?`): of "NAMESPACE/NAME" with a "/" in it, else of the pod's name,
---  and of the container's where there is no pod
---@field namespace? string|string[]
---@field container? string|string[]
---@field image? string|string[]
---@field runtime? string|string[]
---@field sidecar? boolean
---@field label? table<string, string|string[]> every label named has to be there and match

local GLOBS = { pod = true, namespace = true, container = true, image = true, runtime = true }
local KEYS = { "pod", "namespace", "container", "image", "runtime", "sidecar", "label" }
local RUNTIMES = { "containerd", "crio", "docker", "podman", "lxc", "systemd", "host", "unknown" }

local patterns = {} -- glob -> pattern of Lua

local function pattern_of(glob)
  local pattern = patterns[glob]
  if not pattern then
    pattern = "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
    patterns[glob] = pattern
  end
  return pattern
end

local function is_one_of(globs, text)
  if not text then
    return false
  elseif type(globs) == "string" then
    return text:find(pattern_of(globs)) ~= nil
  end
  for _, glob in ipairs(globs) do
    if text:find(pattern_of(glob)) then
      return true
    end
  end
  return false
end

-- A name of a pod: with the namespace if the glob speaks of one.
local function is_pod(globs, identity)
  for _, glob in ipairs(type(globs) == "table" and globs or { globs }) do
    local text = identity.name or identity.container
    if glob:find("/", 1, true) then
      text = identity.namespace and identity.pod
    end
    if is_one_of(glob, text) then
      return true
    end
  end
  return false
end

local function has_labels(wanted, labels)
  for name, globs in pairs(wanted) do
    if not is_one_of(globs, labels and labels[name]) then
      return false
    end
  end
  return true
end

---Is it one of those that are meant?
---@param identity bpfnet.pod.Identity
---@param spec bpfnet.pod.Spec one that check() has passed
---@return boolean
function match.matches(identity, spec)
  for key in pairs(GLOBS) do
    local globs = spec[key]
    if globs and key ~= "pod" and not is_one_of(globs, identity[key]) then
      return false
    end
  end
  if spec.pod and not is_pod(spec.pod, identity) then
    return false
  elseif spec.sidecar ~= nil and identity.sidecar ~= spec.sidecar then
    return false
  end
  return not spec.label or has_labels(spec.label, identity.labels)
end

local function shown(value)
  return type(value) == "string" and ('"%s"'):format(value) or tostring(value)
end

local function fail(format, ...)
  error(("pods: " .. format):format(...), 0)
end

local function check_globs(key, value)
  local list = type(value) == "table" and value or { value }
  if #list == 0 then
    fail('"%s": expected a pattern or a list of them, got an empty list', key)
  end
  for _, glob in ipairs(list) do
    if type(glob) ~= "string" or glob == "" then
      fail('"%s": expected a pattern like "cart*" or a list of them, got %s', key, shown(glob))
    end
    if key == "pod" and select(2, glob:gsub("/", "")) > 1 then
      fail('"pod": expected "NAMESPACE/NAME" or "NAME", got %s', shown(glob))
    end
  end
end

local function check_runtime(value)
  for _, glob in ipairs(type(value) == "table" and value or { value }) do
    local known = false
    for _, runtime in ipairs(RUNTIMES) do
      known = known or is_one_of(glob, runtime)
    end
    if not known then
      local near = nearest(glob, RUNTIMES)
      fail('"runtime": there is no %s%s (known: %s)', shown(glob),
        near and (', did you mean "%s"?'):format(near) or "", table.concat(RUNTIMES, ", "))
    end
  end
end

local function check_labels(value)
  if type(value) ~= "table" then
    fail('"label": expected a table like { app = "cart" }, got %s', shown(value))
  end
  for name, globs in pairs(value) do
    if type(name) ~= "string" then
      fail('"label": expected names with patterns like { app = "cart" }, got a list')
    end
    check_globs("label." .. name, globs)
  end
end

local function check_key(key, value)
  if GLOBS[key] then
    check_globs(key, value)
  elseif key == "label" then
    check_labels(value)
  elseif key == "sidecar" and type(value) ~= "boolean" then
    fail('"sidecar": expected true or false, got %s', shown(value))
  end
  if key == "runtime" then
    check_runtime(value)
  end
end

---@param spec any
---@return bpfnet.pod.Spec spec the same; raises one line that names what is wrong, and what was expected
function match.check(spec)
  if type(spec) ~= "table" then
    fail('expected a table like { pod = "shop/cart*" }, got %s', shown(spec))
  end
  for key, value in pairs(spec) do
    local known = false
    for _, name in ipairs(KEYS) do
      known = known or name == key
    end
    if not known then
      local near = type(key) == "string" and nearest(key, KEYS)
      fail('unknown "%s"%s (known: %s)', tostring(key), near and (', did you mean "%s"?'):format(near) or "",
        table.concat(KEYS, ", "))
    end
    check_key(key, value)
  end
  return spec
end

return match
