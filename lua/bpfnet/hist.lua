-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Distribution of numbers >= 0: the exponential histogram of OpenTelemetry, and of Prometheus under
-- the name of native histogram, with base 2 and scale 4. Bucket i counts values v with
-- 2^(i/16) < v <= 2^((i+1)/16); buckets exist where something fell into them. A quantile is off by
-- 2.2% at most.
--
-- That is for values in the unit in which they are exported. Times that are recorded in ns, us or ms
-- are exported in seconds: hist.new{ unit = "ns" } has its edges at 1e9 * 2^(i/16) ns. What
-- bpf.aggregate() counts goes into the same buckets.
--
--   local h = require("bpfnet.hist").new()
--   h:add(1200); h:add(90)
--   print(h.count, h.min, h:quantile(0.99))

local hist = {}

local PER_DOUBLING = 16
local BAR = 40

---@class bpfnet.Hist
---@field count integer
---@field sum number exact while integers are added
---@field min? number
---@field max? number
---@field zeros integer values that were 0, which has no logarithm
---@field buckets table<integer, integer>
---@field unit ""|"ns"|"us"|"ms" of the values
---@field private sorted? integer[] the buckets' numbers in order; nil after a new one
local Hist = {}
Hist.__index = Hist

-- An edge in the octave of numbers with bit 63 as the top one, rounded down; the edge `offset` buckets
-- up lies in that of 1 (engine/hist.c). They decide about integers, where the bits of a float end.
local UNITS = {
  [""] = { one = 1, offset = 0, thresholds = {
    0x8000000000000000, 0x85aac367cc487b14, 0x8b95c1e3ea8bd6e6, 0x91c3d373ab11c336,
    0x9837f0518db8a96f, 0x9ef5326091a111ad, 0xa5fed6a9b15138ea, 0xad583eea42a14ac6,
    0xb504f333f9de6484, 0xbd08a39f580c36be, 0xc5672a115506dadd, 0xce248c151f8480e3,
    0xd744fccad69d6af4, 0xe0ccdeec2a94e111, 0xeac0c6e7dd24392e, 0xf5257d152486cc2c,
  } },
  ["ns"] = { one = 1e9, offset = -478, thresholds = {
    0x81ffa7a9549ca6e3, 0x87c11235836d16a3, 0x8dc3b8960164a7d9, 0x940a7e28259fb382,
    0x9a9867054d512391, 0xa1709975dfb06757, 0xa8965f74bf065071, 0xb00d2843e1060dc2,
    0xb7d88a12d0dd9ea0, 0xbffc43b7e604a922, 0xc87c3e7d03cdbec3, 0xd15c9000bf211c1f,
    0xdaa17c2cd19555db, 0xe44f7742cb56e3dd, 0xee6b280000000000, 0xf8f969d9b5abf948,
  } },
  ["us"] = { one = 1e6, offset = -318, thresholds = {
    0x851e5ddc7f9a447e, 0x8b032513fb50fc8e, 0x912ab8eb868bef75, 0x97980e7f2061ff7f,
    0x9e4e3c6fecde59ab, 0xa5507c60207319f3, 0xaca22c7fbd771b14, 0xb446d12ae25405e5,
    0xbc42169a6f7a7d91, 0xc497d2a7d502b97b, 0xcd4c06a4e1143813, 0xd662e14871cbe373,
    0xdfe0c0b0f7619f98, 0xe9ca347dbdc99d8f, 0xf424000000000000, 0xfef31c84d29b9f02,
  } },
  ["ms"] = { one = 1e3, offset = -159, thresholds = {
    0x8288c2d35d7ec832, 0x88503f58930c8fdd, 0x8e593c7ef50f58a2, 0x94a6a0afa4665576,
    0x9b3b73324e374b43, 0xa21adda1b7295194, 0xa9482d70c5118305, 0xb0c6d580c2032e29,
    0xb89a6fc99bfbed76, 0xc0c6bf14ed08b1bc, 0xc94fb0cca0c765de, 0xd2395ede1595ba72,
    0xdb8811b2a19563ca, 0xe540423e6df55fd7, 0xef669c26a5aba363, 0xfa00000000000000,
  } },
}

for _, unit in pairs(UNITS) do
  unit.steps, unit.floors = {}, {}
  for i = 0, PER_DOUBLING - 1 do
    unit.steps[i] = unit.one * 2.0 ^ (i / PER_DOUBLING)
  end
end

-- Lower edge of bucket i. Scaling by a power of two is exact, so edges a doubling apart agree.
local function edge(unit, i)
  return unit.steps[i % PER_DOUBLING] * 2.0 ^ (i // PER_DOUBLING)
end

-- The same as the greatest integer that is not above it.
local function floor_edge(unit, i)
  local floor = unit.floors[i]
  if not floor then
    local top, nth = (i - unit.offset) // PER_DOUBLING, (i - unit.offset) % PER_DOUBLING
    floor = top < 0 and 0 or top > 62 and math.maxinteger or unit.thresholds[nth + 1] >> (63 - top)
    unit.floors[i] = floor
  end
  return floor
end

-- The logarithm is a guess that may miss by one at an edge; the comparison decides.
local function bucket_of(unit, value)
  local i = math.ceil(math.log(value / unit.one, 2) * PER_DOUBLING) - 1
  local at = math.type(value) == "integer" and floor_edge or edge
  if value <= at(unit, i) then
    return i - 1
  elseif value > at(unit, i + 1) then
    return i + 1
  end
  return i
end

---Makes an empty histogram.
---@param opts? { unit?: ""|"ns"|"us"|"ms" } unit of the values; default: that in which they are exported
---@return bpfnet.Hist
function hist.new(opts)
  local unit = opts and opts.unit or ""
  if not UNITS[unit] then
    error(('hist.new: expected unit "ns", "us" or "ms", got %s'):format(tostring(unit)), 2)
  end
  return setmetatable({ unit = unit }, Hist):clear()
end

---Makes a histogram of what was counted elsewhere, as bpf.aggregate() does; the table becomes it.
---Without min and max its ends are known as well as any quantile.
---@param parts table with unit, count, sum, zeros, buckets, and min and max where they are known
---@return bpfnet.Hist
function hist.of(parts)
  return setmetatable(parts, Hist)
end

---Forgets everything.
---@return bpfnet.Hist self
function Hist:clear()
  self.count, self.sum, self.zeros = 0, 0, 0
  self.min, self.max, self.sorted = nil, nil, nil
  self.buckets = {}
  return self
end

-- An extreme that one of two parts does not know is not known of both.
function Hist:_extremes(low, high)
  if self.count == 0 then
    self.min, self.max = low, high
    return
  end
  self.min = self.min and low and math.min(self.min, low)
  self.max = self.max and high and math.max(self.max, high)
end

function Hist:_put(i, n)
  local before = self.buckets[i]
  self.buckets[i] = (before or 0) + n
  if not before then
    self.sorted = nil
  end
end

---Adds one value. Raises for what is no number, is negative or infinite.
---@param value number
function Hist:add(value)
  if math.type(value) == nil or not (value >= 0 and value < math.huge) then
    error(("hist:add: expected a number >= 0, got %s"):format(tostring(value)), 2)
  end
  self:_extremes(value, value)
  self.count = self.count + 1
  self.sum = self.sum + value
  if value == 0 then
    self.zeros = self.zeros + 1
  else
    self:_put(bucket_of(UNITS[self.unit], value), 1)
  end
end

---Adds all that another histogram of the same unit has counted.
---@param other bpfnet.Hist
---@return bpfnet.Hist self
function Hist:merge(other)
  if other.unit ~= self.unit then
    error(('hist:merge: the units differ, "%s" and "%s"'):format(self.unit, other.unit), 2)
  elseif other.count == 0 then
    return self
  end
  self:_extremes(other.min, other.max)
  self.count = self.count + other.count
  self.sum = self.sum + other.sum
  self.zeros = self.zeros + other.zeros
  for i, n in pairs(other.buckets) do
    self:_put(i, n)
  end
  return self
end

function Hist:_order()
  if not self.sorted then
    local sorted = {}
    for i in pairs(self.buckets) do
      sorted[#sorted + 1] = i
    end
    table.sort(sorted)
    self.sorted = sorted
  end
  return self.sorted
end

-- The bucket's middle on the logarithmic scale: as far from one edge as from the other.
local function middle(unit, i)
  return math.sqrt(edge(unit, i)) * math.sqrt(edge(unit, i + 1))
end

---Returns the value below or at which the part `q` of all values lies.
---@param q number from 0 (the minimum) to 1 (the maximum)
---@return number? value nil if nothing was added
function Hist:quantile(q)
  if not (q >= 0 and q <= 1) then
    error(("hist:quantile: expected 0 to 1, got %s"):format(tostring(q)), 2)
  end
  local rank = math.max(1, math.ceil(q * self.count))
  if self.count == 0 then
    return nil
  elseif rank == 1 and self.min then
    return self.min
  elseif rank == self.count and self.max then
    return self.max
  end
  local seen = self.zeros
  if rank <= seen then
    return 0
  end
  for _, i in ipairs(self:_order()) do
    seen = seen + self.buckets[i]
    if rank <= seen then
      return math.max(self.min or 0, math.min(self.max or math.huge, middle(UNITS[self.unit], i)))
    end
  end
end

---Returns the quantile as a whole number, for units so small that parts of them mean nothing.
---@param q number from 0 to 1
---@return integer? value nil if nothing was added
function Hist:whole_quantile(q)
  local value = self:quantile(q)
  return value and math.floor(value + 0.5)
end

---Returns how many values fell where: from < value <= to, in order, empty ranges left out.
---@param step? integer buckets to a range: 1, 2, 4, 8 or 16, default 16, which is a doubling
---@return { from: number, to: number, count: integer }[]
function Hist:rows(step)
  local rows, last, unit = {}, nil, UNITS[self.unit]
  step = step or PER_DOUBLING
  if self.zeros > 0 then
    rows[1] = { from = 0, to = 0, count = self.zeros }
  end
  for _, i in ipairs(self:_order()) do
    local first = i // step * step
    if first ~= last then
      rows[#rows + 1] = { from = edge(unit, first), to = edge(unit, first + step), count = 0 }
      last = first
    end
    rows[#rows].count = rows[#rows].count + self.buckets[i]
  end
  return rows
end

local function plain(x)
  return ("%.4g"):format(x)
end

---Prints the distribution, a line with a bar per doubling.
---@param show? fun(value: number): string how values are written, as out.duration; default plain
function Hist:print(show)
  show = show or plain
  local rows, most = self:rows(), 0
  for _, row in ipairs(rows) do
    most = math.max(most, row.count)
  end
  local last
  for _, row in ipairs(rows) do
    if last and last.to > 0 and row.from > last.to then
      io.write("       ...\n")
    end
    local bar = ("#"):rep(math.ceil(row.count / most * BAR))
    io.write(("%10s .. %-8s %10d  %s\n"):format(show(row.from), show(row.to), row.count, bar))
    last = row
  end
end

return hist
