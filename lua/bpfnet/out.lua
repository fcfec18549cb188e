-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Rows as an aligned table, as one JSON object per line, or as CSV. JSON and CSV hold exact numbers
-- with their unit in the name; what is made for the eye stands only in the table.
--
--   local out = require("bpfnet.out")
--   local w = out.new({
--     format = "table",
--     columns = {
--       { title = "COMM", width = 15, value = "comm" },
--       { title = "RX", width = 5, right = true, value = "rx_bytes", show = out.bytes },
--     },
--     fields = { "comm", "rx_bytes" },
--   })
--   w:header()
--   w:row({ comm = "curl", rx_bytes = 1270 })

local out = {}

---@class bpfnet.out.Column
---@field title string
---@field width integer characters; what is longer pushes the rest of its line along
---@field value string|fun(row: table): any a field's name, or what gives the value; nil shows "-"
---@field show? fun(value: any): string? makes the text of a value that is not nil
---@field right? boolean aligned to the right

---@class bpfnet.out.Writer
---@field private format string
---@field private columns bpfnet.out.Column[]
---@field private line_format string
---@field private fields string[]
---@field private write fun(...: string)
---@field private begun boolean
local Writer = {}
Writer.__index = Writer

---Returns a text with "?" for control characters: names of processes may hold anything, and these would act
---on the terminal.
---@param text string
---@return string
function out.harmless(text)
  if not text:find("[^ -~]") then
    return text
  end
  text = text:gsub("%c", "?")
  return utf8.len(text) and text:gsub("\xc2[\x80-\x9f]", "?") or text:gsub("[\x80-\xff]", "?")
end

-- Each column begins where it would if nothing before were too long, as soon as that is possible.
local function line(columns, texts)
  local parts, length, start = {}, 0, 0
  for i, column in ipairs(columns) do
    local text = texts[i]
    local width = utf8.len(text) or #text
    local begin = column.right and start + column.width - width or start
    local gap = math.max(begin - length, i > 1 and 1 or 0)
    parts[#parts + 1] = (" "):rep(gap) .. text
    length = length + gap + width
    start = start + column.width + 1
  end
  return table.concat(parts)
end

-- The same for texts that all fit, which nearly all do, and are plain ASCII.
local function line_format(columns)
  local formats = {}
  for i, column in ipairs(columns) do
    formats[i] = (column.right and "%%%ds" or i < #columns and "%%-%ds" or "%%s"):format(column.width)
  end
  return table.concat(formats, " ")
end

local function titles(columns)
  local texts = {}
  for i, column in ipairs(columns) do
    texts[i] = column.title
  end
  return line(columns, texts)
end

-- One look for strange characters at the whole line: one at each text would take most of the time.
local function table_line(columns, format, row)
  local texts, fits = {}, true
  for i = 1, #columns do
    local column = columns[i]
    local value, show = column.value, column.show
    if type(value) == "function" then
      value = value(row)
    else
      value = row[value]
    end
    if value ~= nil and show then
      value = show(value)
    end
    value = value == nil and "-" or type(value) == "string" and value or tostring(value)
    texts[i] = value
    fits = fits and #value <= column.width
  end
  local text = fits and format:format(table.unpack(texts))
  if text and not text:find("[^ -~]") then
    return text
  end
  for i = 1, #texts do
    texts[i] = out.harmless(texts[i])
  end
  return line(columns, texts)
end

-- RFC 4180: quotes around what holds a comma, a quote or a line's end; quotes are doubled.
local function csv_cell(value)
  if value == nil then
    return ""
  end
  local text = type(value) == "string" and value or bpf.json(value)
  if text:find('[,"\r\n]') then
    text = '"' .. text:gsub('"', '""') .. '"'
  end
  return text
end

local function csv_line(fields, row)
  local cells = {}
  for i, name in ipairs(fields) do
    cells[i] = csv_cell(row[name])
  end
  return table.concat(cells, ",")
end

-- io.write as it is then: it may be another function meanwhile.
local function to_stdout(...)
  io.write(...)
end

---Makes a writer for rows of one kind.
---@param opts { format: "table"|"json"|"csv", columns: bpfnet.out.Column[], fields: string[], write: function? }
---  write: called as write(line, "\n") instead of io.write
---  columns: of the table; fields: members of a row that JSON and CSV show, in this order
---@return bpfnet.out.Writer
function out.new(opts)
  return setmetatable({
    format = opts.format,
    columns = opts.columns,
    line_format = line_format(opts.columns),
    fields = opts.fields,
    write = opts.write or to_stdout,
    begun = false,
  }, Writer)
end

---Writes the titles: of a table at every call, of CSV once, of JSON never.
function Writer:header()
  if self.format == "table" then
    self.write(titles(self.columns), "\n")
  elseif self.format == "csv" and not self.begun then
    self.write(table.concat(self.fields, ","), "\n")
  end
  self.begun = true
end

---Writes one row, after the titles if they are not there yet.
---@param row table<string, any> JSON also shows members that `fields` does not name, at the end
function Writer:row(row)
  if not self.begun then
    self:header()
  end
  if self.format == "json" then
    self.write(bpf.json(row, self.fields), "\n")
  elseif self.format == "csv" then
    self.write(csv_line(self.fields, row), "\n")
  else
    self.write(table_line(self.columns, self.line_format, row), "\n")
  end
end

---Writes rows that belong together: of a table titles first, and no more than `limit` rows, then
---how many were left out. JSON and CSV have them all.
---@param rows table<string, any>[]
---@param limit integer
function Writer:block(rows, limit)
  local is_table = self.format == "table"
  if #rows > 0 or not is_table then
    self:header()
  end
  for i = 1, is_table and math.min(#rows, limit) or #rows do
    self:row(rows[i])
  end
  if is_table and #rows > limit then
    self.write(("... and %d more"):format(#rows - limit), "\n")
  end
end

-- Two digits that mean something, or three: 1.0, 9.9, 10, 999.
local function short(x)
  return x < 9.95 and ("%.1f"):format(x) or ("%.0f"):format(x)
end

---Returns a number of bytes for the eye: "999B", "1.2K", "34M" (powers of 1024).
---@param n? integer
---@return string? text nil for nil
function out.bytes(n)
  if not n then
    return nil
  end
  local units, i = "BKMGTPE", 1
  while n >= 999.5 and i < #units do
    n, i = n / 1024, i + 1
  end
  return (i == 1 and ("%.0f"):format(n) or short(n)) .. units:sub(i, i)
end

---Returns a duration for the eye: "850ns", "1.2ms", "34s", "2m05s", "3h07m".
---@param ns? number nanoseconds
---@return string? text nil for nil
function out.duration(ns)
  if not ns then
    return nil
  end
  if ns < 999.5 then
    return ("%.0fns"):format(ns)
  elseif ns < 999.5e3 then
    return short(ns / 1e3) .. "us"
  elseif ns < 999.5e6 then
    return short(ns / 1e6) .. "ms"
  end
  local s = ns / 1e9
  if s < 99.5 then
    return short(s) .. "s"
  end
  local whole = math.floor(s + 0.5)
  if whole < 3600 then
    return ("%dm%02ds"):format(whole // 60, whole % 60)
  end
  return ("%dh%02dm"):format(whole // 3600, whole % 3600 // 60)
end

---Returns an address with its port: "10.0.0.1:443", "[fd00::1]:443".
---@param addr string
---@param port integer
---@return string
function out.endpoint(addr, port)
  return (addr:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(addr, port)
end

---Returns counts by name for the eye, the largest first: "ECONNREFUSED 12, ETIMEDOUT 1".
---@param counts table<string, integer>
---@return string? text nil if there are none
function out.counts(counts)
  local names, texts = {}, {}
  for name in pairs(counts) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    return counts[a] > counts[b] or counts[a] == counts[b] and a < b
  end)
  for i, name in ipairs(names) do
    texts[i] = ("%s %d"):format(name, counts[name])
  end
  return #names > 0 and table.concat(texts, ", ") or nil
end

-- The number of the mount that a descriptor of ours is on, and of the file on it.
local function mount_of(fd)
  local info = io.open("/proc/self/fdinfo/" .. fd)
  if not info then
    return nil
  end
  local text = info:read("a")
  info:close()
  return text:match("mnt_id:%s*(%d+)")
end

---True if standard output is a terminal that can be cleared: a pseudo-terminal, as ssh, tmux and
---kubectl exec give, and TERM is no dumb one. Plain Lua has no isatty(): a console is not seen.
---@return boolean
function out.is_terminal()
  local mount, term = mount_of(1), os.getenv("TERM")
  if not mount or not term or term == "dumb" then
    return false
  end
  for entry in io.lines("/proc/self/mountinfo") do
    if entry:match("^%d+") == mount then
      return entry:find(" - devpts ", 1, true) ~= nil
    end
  end
  return false
end

return out
