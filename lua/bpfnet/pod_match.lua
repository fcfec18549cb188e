-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What users say to mean certain pods, as { pod = "shop/cart*", sidecar = true }: is it sound, and whom
-- does it mean?

local expr = require("bpfnet.pod_expr")
local nearest = require("bpfnet.nearest")

local match = {}

---@class bpfnet.pod.Spec all that is given has to match; of a list one, and none of those that begin with "!"
---@field pod? string|string[] glob (`*`, `?`): of "NAMESPACE/NAME" with a "/" in it, else of the pod's name,
---  and of the container's where there is no pod
---@field namespace? string|string[]
---@field container? string|string[]
---@field image? string|string[]
---@field runtime? string|string[]
---@field sidecar? boolean
---@field label? table<string, string|string[]> every label named has to be there and match
---@field where? string an expression over these but `label`: `pod != "kube-system/*" or sidecar`

local GLOBS = { pod = true, namespace = true, container = true, image = true, runtime = true }
local KEYS = { "pod", "namespace", "container", "image", "runtime", "sidecar", "label", "where" }
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

local function fits(glob, text)
  return text ~= nil and text:find(pattern_of(glob)) ~= nil
end

local function whole(text)
  return text
end

-- Does one of them fit, if there are any without a "!", and none of those with one? text_for(text, glob): what a
-- glob is compared with; nil fits none.
local function is_meant(globs, text, text_for)
  local fit, any = false, false
  for _, glob in ipairs(type(globs) == "table" and globs or { globs }) do
    local unwanted = glob:match("^!(.*)$")
    if unwanted and fits(unwanted, text_for(text, unwanted)) then
      return false
    elseif not unwanted then
      fit, any = fit or fits(glob, text_for(text, glob)), true
    end
  end
  return fit or not any
end

-- The name of a pod: with the namespace if the glob speaks of one.
local function pod_for(identity, glob)
  if glob:find("/", 1, true) then
    return identity.namespace and identity.pod
  end
  return identity.name or identity.container
end

-- While the labels of a container are not known it is not meant, not even by a "!".
local function has_labels(wanted, identity)
  local labels = identity.labels
  if identity.container_id and not labels then
    return false
  end
  for name, globs in pairs(wanted) do
    if not is_meant(globs, labels and labels[name], whole) then
      return false
    end
  end
  return true
end

-- What one word of an expression means.
local function literal(word, names)
  local spec = match.check({ [word] = names })
  return function(identity) return match.matches(identity, spec) end
end

local compiled = setmetatable({}, { __mode = "v" }) -- text -> { test =, words = }

---@class bpfnet.pod_match.Where
---@field test fun(identity: bpfnet.pod.Identity): boolean
---@field words table<string, boolean> what it asks for

---@param text string raises what is wrong with it
---@return bpfnet.pod_match.Where
function match.where(text)
  local found = compiled[text]
  if not found then
    found = {}
    found.test, found.words = expr.compile(text, literal)
    compiled[text] = found
  end
  return found
end

---Is it one of those that are meant?
---@param identity bpfnet.pod.Identity
---@param spec bpfnet.pod.Spec one that check() has passed
---@return boolean
function match.matches(identity, spec)
  for key in pairs(GLOBS) do
    local globs = spec[key]
    if globs and key ~= "pod" and not is_meant(globs, identity[key], whole) then
      return false
    end
  end
  if spec.pod and not is_meant(spec.pod, identity, pod_for) then
    return false
  elseif spec.sidecar ~= nil and identity.sidecar ~= spec.sidecar then
    return false
  elseif spec.label and not has_labels(spec.label, identity) then
    return false
  end
  return not spec.where or match.where(spec.where).test(identity)
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
    if type(glob) ~= "string" or glob == "" or glob == "!" then
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
      known = known or fits(glob:gsub("^!", ""), runtime)
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
  elseif key == "where" and type(value) ~= "string" then
    fail('"where": expected a text like \'pod != "kube-system/*"\', got %s', shown(value))
  elseif key == "where" then
    match.where(value)
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
