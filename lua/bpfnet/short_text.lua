-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the short forms print: rows as a table, distributions as bars, rows for programs; all as lines, which
-- are cut to the terminal.

local out = require("bpfnet.out")

local text = {}

local PARTS = { { "P50", 0.5 }, { "P90", 0.9 }, { "P99", 0.99 } }
local MAX_KEY = 40
local BAR = 40

---How the values of a field are written for the eye, by the unit in its name.
---@param field string
---@return fun(value: number): string
function text.show(field)
  local unit = field:match("_(%a+)$")
  local scale = ({ ns = 1, us = 1e3, ms = 1e6 })[unit]
  if scale then
    return function(value) return out.duration(value * scale) end
  elseif unit == "bytes" then
    return out.bytes
  end
  return function(value)
    return math.type(value) == "integer" and tostring(value) or ("%.4g"):format(value)
  end
end

-- Fields of keys that are numbers to the kernel and names to people.
local NAMED = {
  netns = function(id) return id ~= 0 and require("bpfnet.netns").name(id) or "-" end,
  cgroup = function(id)
    local cgroup = require("bpfnet.cgroup")
    cgroup.scan()
    return cgroup.short(cgroup.path(id))
  end,
}
NAMED.task_cgroup = NAMED.cgroup

---Columns and rows of the terminal; nil where lines need not be cut.
---@return integer? columns
---@return integer? rows
function text.screen()
  local ok, terminal = pcall(require, "bpfnet.terminal")
  if ok and terminal.is_tty() then
    return terminal.size()
  end
end

---Cuts a line to so many characters.
---@param line string
---@param width? integer nil: as it is
---@return string
function text.cut(line, width)
  if not width or #line <= width or (utf8.len(line) or #line) <= width then
    return line
  end
  return line:sub(1, (utf8.offset(line, width + 1) or width + 1) - 1)
end

---A function for bpfnet.out and others that writes lines, each cut to the terminal.
---@return fun(...: string)
function text.writer()
  local _, size = pcall(require, "bpfnet.terminal")
  if type(size) ~= "table" or not size.is_tty() then
    return io.write
  end
  return function(line, rest)
    io.write(text.cut(line, (size.size())), rest or "")
  end
end

local function shown_key(measure, row, i)
  local value, name = row.keys[i], measure.by[i]
  if row.others then
    return i == 1 and "(others)" or ""
  elseif value ~= nil and NAMED[name] then
    return NAMED[name](value)
  end
  return (value == nil or value == "") and "-" or tostring(value)
end

-- Key columns are as wide as what is in them.
local function key_columns(measure, rows, limit)
  local columns = {}
  for i, name in ipairs(measure.by) do
    local width = #name
    for n = 1, math.min(#rows, limit) do
      width = math.max(width, math.min(MAX_KEY, utf8.len(shown_key(measure, rows[n], i)) or 0))
    end
    columns[i] = {
      title = name:upper(), width = width, value = function(row) return shown_key(measure, row, i) end,
    }
  end
  return columns
end

local function number(title, width, value, show)
  return { title = title, width = math.max(width, #title), right = true, value = value, show = show }
end

local function value_columns(measure, columns)
  columns[#columns + 1] = number("COUNT", 7, "count")
  for _, name in ipairs(measure.sum or {}) do
    columns[#columns + 1] = number(name:upper(), 7, function(row) return row.sum[name] end, text.show(name))
  end
  if not measure.hist then
    return columns
  end
  local show = text.show(measure.hist)
  for _, part in ipairs(PARTS) do
    columns[#columns + 1] = number(part[1], 6, function(row)
      return row.hist and row.hist:whole_quantile(part[2])
    end, show)
  end
  columns[#columns + 1] = number("MAX", 6, function(row) return row.hist and row.hist.max end, show)
  return columns
end

-- One key's distribution.
local function bars(measure, row, width, lines)
  local show, most = text.show(measure.hist), 0
  local ranges = row.hist and row.hist:rows() or {}
  for _, range in ipairs(ranges) do
    most = math.max(most, range.count)
  end
  local room = math.max(10, math.min(BAR, (width or 80) - 36))
  local last
  for _, range in ipairs(ranges) do
    if last and last.to > 0 and range.from > last.to then
      lines[#lines + 1] = "       ..."
    end
    lines[#lines + 1] = ("%10s .. %-8s %10d  %s"):format(show(range.from), show(range.to), range.count,
      ("#"):rep(math.ceil(range.count / most * room)))
    last = range
  end
end

local function key_line(measure, row)
  local parts = {}
  for i, name in ipairs(measure.by) do
    local shown = shown_key(measure, row, i)
    parts[#parts + 1] = row.others and shown or ("%s %s"):format(name, shown)
  end
  local h, show = row.hist, text.show(measure.hist)
  local numbers = ("%d events"):format(row.count)
  if h and h.count > 0 then
    numbers = ("%d events, p50 %s, p99 %s, max %s"):format(row.count, show(h:whole_quantile(0.5)),
      show(h:whole_quantile(0.99)), show(h.max))
  end
  return #parts > 0 and ("%s: %s"):format(table.concat(parts, ", "), numbers) or numbers
end

---Rows for the eye.
---@param measure bpfnet.short.Measure
---@param rows bpfnet.short.Row[]
---@param limit integer rows that are shown
---@param width? integer characters of a line
---@return string[] lines
function text.lines(measure, rows, limit, width)
  local lines = {}
  if #rows == 0 then
    return lines
  elseif measure.bars then
    for i = 1, math.min(#rows, limit) do
      lines[#lines + 1] = key_line(measure, rows[i])
      bars(measure, rows[i], width, lines)
    end
    lines[#lines + 1] = #rows > limit and ("... and %d more"):format(#rows - limit) or nil
  else
    local columns = value_columns(measure, key_columns(measure, rows, limit))
    out.new({
      format = "table", columns = columns, fields = {},
      write = function(line) lines[#lines + 1] = line end,
    }):block(rows, limit)
  end
  for i, line in ipairs(lines) do
    lines[i] = text.cut(line, width)
  end
  return lines
end

---A row for programs: the key by its names, count, sums by their fields' names, and of a distribution p50,
---p90, p99, min and max, with the unit behind where the field's name has one, and the buckets.
---@param measure bpfnet.short.Measure
---@param row bpfnet.short.Row
---@return table<string, any> row
---@return string[] order of its members
function text.plain(measure, row)
  local plain, order = {}, {}
  local function put(name, value)
    plain[name], order[#order + 1] = value, name
  end
  for i, name in ipairs(measure.by) do
    put(name, row.others and i == 1 and "(others)" or row.keys[i])
  end
  put("count", row.count)
  for _, name in ipairs(measure.sum or {}) do
    put(name, row.sum[name] or 0)
  end
  if measure.hist then
    local unit = measure.hist:match("_[num]s$") or measure.hist:match("_bytes$") or ""
    local h = row.hist
    for _, part in ipairs(PARTS) do
      put(part[1]:lower() .. unit, h and h:whole_quantile(part[2]))
    end
    put("min" .. unit, h and h.min)
    put("max" .. unit, h and h.max)
    if measure.bars then
      put("buckets", h and h:rows())
    end
  end
  return plain, order
end

return text
