-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- From an event's ts_ns, which counts from boot, to the time of day, in whole seconds.

local clock = {}

local SECOND = 1000000000

-- Time of day minus ts_ns. os.time() is cut to the second, so one look is up to a second too low,
-- and the largest of many looks is nearly right.
local offset

local function look()
  local seen = os.time() * SECOND - bpf.now()
  -- a look that is more than a second below: someone has set the clock back
  if not offset or seen > offset or seen < offset - 2 * SECOND then
    offset = seen
  end
end

---Returns the time of day of an event.
---@param ts_ns integer as in events, or of bpf.now()
---@return integer seconds since 1970
function clock.wall(ts_ns)
  look()
  return (ts_ns + offset) // SECOND
end

-- Many events share a second, and os.date() costs more than all else here.
local function cached(format)
  local last, text
  return function(ts_ns)
    local seconds = clock.wall(ts_ns)
    if seconds ~= last then
      last, text = seconds, os.date(format, seconds)
    end
    return text
  end
end

---Returns the local time of an event: "19:13:05".
---@type fun(ts_ns: integer): string
clock.hms = cached("%H:%M:%S")

---Returns the time of an event for machines: "2025-11-22T18:13:05Z".
---@type fun(ts_ns: integer): string
clock.iso = cached("!%Y-%m-%dT%H:%M:%SZ")

return clock
