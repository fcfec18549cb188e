-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names of pods that are like one that is not there.

local MOST = 5
local ALIKE = 0.5
local LONGEST = 253 -- letters of a pod's name

-- 1: the same; 0: nothing in common. By letters that are wrong, missing, too many, or have changed places with
-- their neighbours (the distance is called optimal string alignment).
local function likeness(a, b)
  local rows = { {}, {} }
  for j = 0, #b do
    rows[2][j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(rows[2][j] + 1, row[j - 1] + 1, rows[2][j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], rows[1][j - 2] + 1)
      end
    end
    rows = { rows[2], row }
  end
  return 1 - rows[2][#b] / math.max(#a, #b, 1)
end

-- A part of a name means that name: "cart" is "cart-5d8f9c".
local function likeness_of_part(text, name)
  return math.max(likeness(text, name), name:find(text, 1, true) and 0.9 or 0)
end

-- With a namespace, the same one alone makes nothing alike.
local function alike(text, identity)
  local of_pod = text:match("/([^/]*)$")
  if not of_pod then
    return likeness_of_part(text, identity.name or identity.container)
  end
  return identity.name and math.min(likeness_of_part(text, identity.pod), likeness_of_part(of_pod, identity.name)) or 0
end

---@param text string
---@param list bpfnet.pod.Identity[]
---@return string[] names at most 5, the likeliest first
return function(text, list)
  local seen, found = {}, {}
  text = text:sub(1, LONGEST)
  for _, identity in ipairs(list) do
    local name = identity.pod or identity.container
    if name and not seen[name] then
      seen[name] = true
      found[#found + 1] = { name = name, likeness = alike(text, identity) }
    end
  end
  table.sort(found, function(a, b)
    return a.likeness > b.likeness or a.likeness == b.likeness and a.name < b.name
  end)
  local names = {}
  for i = 1, math.min(MOST, #found) do
    if found[i].likeness >= ALIKE then
      names[i] = found[i].name
    end
  end
  return names
end
