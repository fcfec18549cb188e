-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A number with its unit for the eye, by the name of its field: latency_ns = 73000 is "73us".

local clock = require("bpfnet.clock")
local out = require("bpfnet.out")

local units = {}

local NS = { ns = 1, us = 1e3, ms = 1e6 }

---Returns the number for the eye.
---@param field string name, the end of which is the unit: *_ns, *_us, *_ms, *_bytes; ts_ns is a time of day
---@param value any
---@return string? text nil where the number itself says as much
function units.human(field, value)
  if math.type(value) == nil then
    return nil
  elseif field == "ts_ns" then
    return math.type(value) == "integer" and clock.hms(value) or nil
  end
  local unit = field:match("_(%a+)$")
  if unit == "bytes" then
    return value >= 1000 and out.bytes(value) or nil
  end
  return NS[unit] and value >= 0 and out.duration(value * NS[unit]) or nil
end

---Returns the number for the eye, or the value as it is.
---@param field string
---@param value any
---@return string
function units.short(field, value)
  return units.human(field, value) or type(value) == "number" and ("%.14g"):format(value) or tostring(value)
end

return units
