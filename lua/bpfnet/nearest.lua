-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The guess at a misspelt name, by the engine's own rule (engine/util.c).

local MAX_LEN = 32

-- Edit distance in which a swap of two neighbours counts once.
local function distance(a, b)
  local before, last
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    before, last, row = last, row, { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
  end
  return row[#b]
end

---Returns the known name that `name` was probably meant to be.
---@param name string
---@param known string[]
---@return string? nearest nil if none is near
local function nearest(name, known)
  local best, found = #name // 3 + 2, nil
  if #name > MAX_LEN then
    return nil
  end
  for _, candidate in ipairs(known) do
    local d = distance(name, candidate)
    if d < best then
      best, found = d, candidate
    end
  end
  return found
end

return nearest
