-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Names of pods that are like one that is not there.

local MOST = 5

-- Pairs of letters that both have, in parts of all that either has: 1 is the same, 0 nothing in common.
local function likeness(a, b)
  local pairs_of_a, common, n = {}, 0, 0
  for i = 1, #a - 1 do
    local two = a:sub(i, i + 1)
    pairs_of_a[two] = (pairs_of_a[two] or 0) + 1
    n = n + 1
  end
  for i = 1, #b - 1 do
    local two = b:sub(i, i + 1)
    if (pairs_of_a[two] or 0) > 0 then
      pairs_of_a[two] = pairs_of_a[two] - 1
      common = common + 1
    end
    n = n + 1
  end
  return n > 0 and 2 * common / n or 0
end

-- What a user may have meant by it: with the namespace only if the text has one.
local function name_of(identity, with_namespace)
  if with_namespace then
    return identity.pod
  end
  return identity.name or identity.container
end

---@param text string
---@param list bpfnet.pod.Identity[]
---@return string[] names at most 5, the likeliest first
return function(text, list)
  local seen, found = {}, {}
  local with_namespace = text:find("/", 1, true) ~= nil
  for _, identity in ipairs(list) do
    local name = name_of(identity, with_namespace)
    local shown = identity.pod or name
    if name and not seen[shown] then
      seen[shown] = true
      found[#found + 1] = { name = shown, likeness = likeness(text, name) }
    end
  end
  table.sort(found, function(a, b)
    return a.likeness > b.likeness or a.likeness == b.likeness and a.name < b.name
  end)
  local names = {}
  for i = 1, math.min(MOST, #found) do
    if found[i].likeness > 0.3 then
      names[i] = found[i].name
    end
  end
  return names
end
