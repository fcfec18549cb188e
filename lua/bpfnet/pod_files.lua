-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The files of container runtimes, which are below "/", or below another directory: where that of the
-- host is mounted in a container, or the world that a test has made.

local cjson = require("cjson")
local files = require("bpfnet.files")

local pod_files = {}

pod_files.MAX_BYTES = 4 << 20 -- of one file; a bundle has some tens of thousands
local LISTED_NS = 500000000 -- how long a list of a directory is good for

local roots = { "" }
local lists = {} -- directory -> { seen_ns =, names = }

---Says where to look, best first.
---@param list string[] "" for "/"; without a slash at the end
function pod_files.set_roots(list)
  roots, lists = list, {}
end

---Where the files of the host are: our own, and those of process 1 if it has others (we are in a
---container then, which may see all processes).
---@return string[]
function pod_files.default_roots()
  local ours, first = files.inode("/proc/self/ns/mnt"), files.inode("/proc/1/ns/mnt")
  return first and first ~= ours and { "", "/proc/1/root" } or { "" }
end

-- f(path) in each root, until one says something other than that there is nothing.
local function first_of(f, path)
  local why
  for _, root in ipairs(roots) do
    local value, message, code = f(root .. path)
    if value then
      return value
    end
    why = (not why or why == "ENOENT") and (code or message) or why
  end
  return nil, why
end

local function read(path)
  return files.read(path, pod_files.MAX_BYTES)
end

-- An errno as what the user may do about it; all else is that there is no such thing.
local REASONS = { EACCES = "denied", EPERM = "denied", EFBIG = "too large" }

---@param path string from the root
---@return string? text
---@return string? why "missing", "denied", "too large"
function pod_files.read(path)
  local text, code = first_of(read, path)
  return text, not text and (REASONS[code] or "missing") or nil
end

---@param text string
---@return table? value nil for what is no whole JSON object or array
function pod_files.decode(text)
  local ok, value = pcall(cjson.decode, text)
  return ok and type(value) == "table" and value or nil
end

---The annotations of a container, and nothing else of its config.json, which would take several times as long.
---Nothing but the member itself can look like it, for a quote in a text has a "\" before it; what is a whole
---object from its brace on, is that object; and a file that is cut has fewer braces closed than opened, unless
---some are in texts: that is found out by reading all of it.
---@param path string from the root
---@return table? annotations empty if there are none
---@return string? why as json()
function pod_files.annotations(path)
  local text, why = pod_files.read(path)
  return pod_files.annotations_in(text, why)
end

---@param text string? of a config.json
---@param why string? why there is none
---@return table? annotations
---@return string? why
function pod_files.annotations_in(text, why)
  local at = text and text:find("^%b{}%s*$") and text:find('"annotations":{', 1, true)
  local object = at and text:sub(at - 1, at - 1) ~= "\\" and text:match("^%b{}", at + #'"annotations":')
  local annotations = object and pod_files.decode(object)
  if annotations then
    return annotations
  end
  local value
  value, why = pod_files.whole(text, why)
  return value and (type(value.annotations) == "table" and value.annotations or {}), why
end

---@param path string from the root
---@return table? value of the JSON in the file
---@return string? why also "truncated": it is no whole JSON, as while it is being written
function pod_files.json(path)
  local text, why = pod_files.read(path)
  return pod_files.whole(text, why)
end

---annotations() of a path as this process sees it.
---@param path string
---@return table? annotations
---@return string? why
function pod_files.annotations_here(path)
  local text, _, code = read(path)
  return pod_files.annotations_in(text, REASONS[code] or "missing")
end

---@param text string? of a file
---@param why string? why there is none
---@return table? value
---@return string? why
function pod_files.whole(text, why)
  if not text then
    return nil, why
  end
  local value = pod_files.decode(text)
  return value, not value and "truncated" or nil
end

---Names in a directory; up to half a second old, if there were any.
---@param path string
---@return string[] names none if it can't be read
function pod_files.list(path)
  local list = lists[path]
  if not list or bpf.now() - list.seen_ns > LISTED_NS then
    list = { seen_ns = bpf.now(), names = first_of(files.list, path) or {} }
    lists[path] = list.names[1] and list
  end
  return list.names
end

---The members of `from` that are texts, by the names that they are to have: null and numbers are left out.
---@param from any
---@param names table<string, string> new name to name in `from`
---@return table
function pod_files.texts(from, names)
  local to = {}
  for name, key in pairs(names) do
    local value = type(from) == "table" and from[key]
    to[name] = type(value) == "string" and value ~= "" and value or nil
  end
  return to
end

---A table of texts, as labels are.
---@param from any
---@return table<string, string>? nil if there are none
function pod_files.labels(from)
  local to
  for key, value in pairs(type(from) == "table" and from or {}) do
    if type(key) == "string" and type(value) == "string" then
      to = to or {}
      to[key] = value
    end
  end
  return to
end

return pod_files
