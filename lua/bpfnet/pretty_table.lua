-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A list of records, as rows of an aggregation or connections of a redirect, as a table with titles.

local hist = require("bpfnet.hist")
local texts = require("bpfnet.pretty_text")
local units = require("bpfnet.pretty_units")

local pretty_table = {}

local MAX_COLUMNS = 24
local MAX_CELL = 48
local Hist = getmetatable(hist.new())

---Returns a histogram in a few words, or nil for what is none.
---@param value any
---@return string?
function pretty_table.hist_words(value)
  if type(value) ~= "table" or getmetatable(value) ~= Hist then
    return nil
  elseif value.count == 0 then
    return "no values"
  end
  local function at(q)
    return units.short("_" .. value.unit, value:whole_quantile(q))
  end
  return ("p50 %s p99 %s"):format(at(0.5), at(0.99))
end

-- Adds a record's members to `cells`, those of a small table as "sum.tx_bytes". False: it is no such record.
local function flatten(cells, record, path)
  for key, value in next, record do
    if type(key) ~= "string" then
      return false
    end
    local name = path .. key
    if type(value) ~= "table" then
      cells[name] = value
    elseif pretty_table.hist_words(value) then
      cells[name] = pretty_table.hist_words(value)
    elseif path ~= "" or getmetatable(value) or not flatten(cells, value, name .. ".") then
      return false
    end
  end
  return true
end

local COUNTED = { count = 3, sum = 4, min = 5, max = 6, avg = 7, hist = 8 }

-- Those that `first` names, texts before numbers, and last what an aggregation counts.
local function column_order(first, kinds)
  local rank, names = {}, {}
  for i, name in ipairs(first or {}) do
    rank[name] = i - 1000
  end
  for name, kind in pairs(kinds) do
    names[#names + 1] = name
    rank[name] = rank[name] or name == "name" and 0 or COUNTED[name:match("^[^.]*")] or kind == "string" and 1 or 2
  end
  table.sort(names, function(a, b)
    return rank[a] < rank[b] or rank[a] == rank[b] and a < b
  end)
  return names
end

local function cell_text(name, value)
  if value == nil then
    return "-"
  end
  return texts.cut(texts.harmless(units.short(name:match("[^.]*$"), value)), MAX_CELL)
end

local function layout(names, rows)
  local columns = {}
  for i, name in ipairs(names) do
    local column = { title = name, width = #name, right = true }
    for r, row in ipairs(rows) do
      local text = cell_text(name, row[name])
      column[r] = text
      column.width = math.max(column.width, texts.width(text))
      column.right = column.right and (row[name] == nil or type(row[name]) == "number")
    end
    columns[i] = column
  end
  return columns
end

---Returns a list of records as lines, titles first.
---@param list table[]
---@param opts { width: integer, rows: integer, paint: (fun(kind: string, text: string): string), first?: string[] }
---  rows: at most; first: columns that come first
---@return string[]? lines nil for what is no such list, or is too wide
function pretty_table.lines(list, opts)
  local rows, kinds, count = {}, {}, 0
  for i = 1, math.min(rawlen(list), opts.rows) do
    local record, cells = rawget(list, i), {}
    if type(record) ~= "table" or getmetatable(record) or not next(record) or not flatten(cells, record, "") then
      return nil
    end
    for name, value in pairs(cells) do
      count = count + (kinds[name] and 0 or 1)
      kinds[name] = kinds[name] or type(value)
    end
    rows[i] = cells
  end
  if #rows == 0 or count > MAX_COLUMNS then
    return nil
  end
  local columns, total = layout(column_order(opts.first, kinds), rows), -2
  for _, column in ipairs(columns) do
    total = total + column.width + 2
  end
  if total > opts.width then
    return nil
  end
  local lines = texts.columns(columns, #rows, opts.paint)
  if #rows < rawlen(list) then
    lines[#lines + 1] = opts.paint("dim", ("... and %d more"):format(rawlen(list) - #rows))
  end
  return lines
end

return pretty_table
