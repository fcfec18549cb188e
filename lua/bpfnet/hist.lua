-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Distribution of numbers >= 0: the exponential histogram of OpenTelemetry, and of Prometheus under
-- the name of native histogram, with base 2 and scale 4. Bucket i counts values v with
-- 2^(i/16) < v <= 2^((i+1)/16); buckets exist where something fell into them. A quantile is off by
-- 2.2% at most.
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
---@field private sorted? integer[] the buckets' numbers in order; nil after a new one
local Hist = {}
Hist.__index = Hist

local steps = {}
for i = 0, PER_DOUBLING - 1 do
  steps[i] = 2.0 ^ (i / PER_DOUBLING)
end

-- Lower edge of bucket i. Scaling by a power of two is exact, so edges a doubling apart agree.
local function edge(i)
  return steps[i % PER_DOUBLING] * 2.0 ^ (i // PER_DOUBLING)
end

-- The logarithm is a guess that may miss by one at an edge; the comparison decides.
local function bucket_of(value)
  local i = math.ceil(math.log(value, 2) * PER_DOUBLING) - 1
  if value <= edge(i) then
    return i - 1
  elseif value > edge(i + 1) then
    return i + 1
  end
  return i
end

---Makes an empty histogram.
---@return bpfnet.Hist
function hist.new()
  return setmetatable({}, Hist):clear()
end

---Forgets everything.
---@return bpfnet.Hist self
function Hist:clear()
  self.count, self.sum, self.zeros = 0, 0, 0
  self.min, self.max, self.sorted = nil, nil, nil
  self.buckets = {}
  return self
end

function Hist:_extremes(low, high)
  self.min = (not self.min or low < self.min) and low or self.min
  self.max = (not self.max or high > self.max) and high or self.max
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
  self.count = self.count + 1
  self.sum = self.sum + value
  self:_extremes(value, value)
  if value == 0 then
    self.zeros = self.zeros + 1
  else
    self:_put(bucket_of(value), 1)
  end
end

---Adds all that another histogram has counted.
---@param other bpfnet.Hist
---@return bpfnet.Hist self
function Hist:merge(other)
  if other.count == 0 then
    return self
  end
  self.count = self.count + other.count
  self.sum = self.sum + other.sum
  self.zeros = self.zeros + other.zeros
  self:_extremes(other.min, other.max)
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
local function middle(i)
  return math.sqrt(edge(i)) * math.sqrt(edge(i + 1))
end

---Returns the value below or at which the part `q` of all values lies.
---@param q number from 0 (the minimum) to 1 (the maximum)
---@return number? value nil if nothing was added
function Hist:quantile(q)
  if not (q >= 0 and q <= 1) then
    error(("hist:quantile: expected 0 to 1, got %s"):format(tostring(q)), 2)
  end
  local rank = math.max(1, math.ceil(q * self.count))
  if self.count == 0 or rank == 1 then
    return self.min
  elseif rank == self.count then
    return self.max
  end
  local seen = self.zeros
  if rank <= seen then
    return 0
  end
  for _, i in ipairs(self:_order()) do
    seen = seen + self.buckets[i]
    if rank <= seen then
      return math.max(self.min, math.min(self.max, middle(i)))
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
  local rows, last = {}, nil
  step = step or PER_DOUBLING
  if self.zeros > 0 then
    rows[1] = { from = 0, to = 0, count = self.zeros }
  end
  for _, i in ipairs(self:_order()) do
    local first = i // step * step
    if first ~= last then
      rows[#rows + 1] = { from = edge(first), to = edge(first + step), count = 0 }
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
