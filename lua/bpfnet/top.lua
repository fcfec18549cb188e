-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Records by key, of a bounded number: what comes when it is full goes into one record for all
-- others, so that nothing is uncounted and memory stays bounded on a node with endless peers.
--
--   local t = require("bpfnet.top").new({ make = function() return { n = 0 } end })
--   local r = t:get(comm, daddr)
--   r.n = r.n + 1
--   for _, e in ipairs(t:list(function(a, b) return a.value.n > b.value.n end)) do
--     print(e.keys[1] or "(others)", e.value.n)
--   end

local top = {}

---@class bpfnet.Top.Entry
---@field keys any[] as given to get(); empty for the record of all others
---@field value any

---@class bpfnet.Top
---@field count integer keys that have a record of their own
---@field private max integer
---@field private make fun(): any
---@field private entries bpfnet.Top.Entry[]
---@field private tree table
---@field private rest? bpfnet.Top.Entry
local Top = {}
Top.__index = Top

---@param opts { make: (fun(): any), max: integer? } make: a new record; max: keys, default 4096
---@return bpfnet.Top
function top.new(opts)
  return setmetatable({ make = opts.make, max = opts.max or 4096 }, Top):clear()
end

---Forgets all records.
---@return bpfnet.Top self
function Top:clear()
  self.count, self.entries, self.tree, self.rest = 0, {}, {}, nil
  return self
end

---Returns the record of all others.
---@return any
function Top:others()
  if not self.rest then
    self.rest = { keys = {}, value = self.make() }
  end
  return self.rest.value
end

function Top:_add(...)
  local entry = { keys = { ... }, value = self.make() }
  local node, n = self.tree, #entry.keys
  for i = 1, n - 1 do
    local key = entry.keys[i]
    node[key] = node[key] or {}
    node = node[key]
  end
  node[entry.keys[n]] = entry.value
  self.count = self.count + 1
  self.entries[self.count] = entry
  return entry.value
end

---Returns the record of a key, a new one if need be, or that of all others when it is full.
---@param ... any the key's parts, none of them nil, always as many
---@return any
function Top:get(...)
  local node = self.tree
  for i = 1, select("#", ...) do
    node = node[(select(i, ...))]
    if node == nil then
      return self.count < self.max and self:_add(...) or self:others()
    end
  end
  return node
end

---Returns all records, that of all others last.
---@param before? fun(a: bpfnet.Top.Entry, b: bpfnet.Top.Entry): boolean order, as for table.sort
---@return bpfnet.Top.Entry[]
function Top:list(before)
  local list = table.move(self.entries, 1, self.count, 1, {})
  if before then
    table.sort(list, before)
  end
  list[#list + 1] = self.rest
  return list
end

---Adds another one's records to this one's.
---@param other bpfnet.Top
---@param merge fun(into: any, from: any) adds one record to another
function Top:merge(other, merge)
  for _, entry in ipairs(other.entries) do
    merge(self:get(table.unpack(entry.keys)), entry.value)
  end
  if other.rest then
    merge(self:others(), other.rest.value)
  end
end

return top
