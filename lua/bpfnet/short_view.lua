-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What runs after a short form: events are printed as lines, or counted and shown as tables, until it is
-- stopped, its time is over, or the program ends.

local ask = require("bpfnet.short_ask")
local clock = require("bpfnet.clock")
local out = require("bpfnet.out")
local script = require("bpfnet.script")
local tally = require("bpfnet.short_tally")
local text = require("bpfnet.short_text")

local view = {}

local REFRESH = 1
local CLEAR_LINE, HOME, CLEAR_BELOW, CLEAR = "\27[K", "\27[H", "\27[J", "\27[H\27[2J"

---@class bpfnet.short.Asked
---@field probe bpf.Probe loaded
---@field title string for the line above tables
---@field kind string whose columns an event's line has, see short_columns
---@field every? number seconds between tables
---@field duration? number seconds
---@field rows? integer lines of a table
---@field json? boolean
---@field measure? bpfnet.short.Measure what is counted; without it events are printed

---@class bpfnet.short.View
---@field probe bpf.Probe
---@field title string
---@field private asked bpfnet.short.Asked
---@field private tally? bpfnet.short.Tally
---@field private started_ns integer
---@field private since_ns integer
---@field private ended_ns? integer
---@field private timers bpf.Timer[]
local View = {}
View.__index = View

local running = {} -- in the order in which they began
local live_tables = false
local refresh -- the timer of the tables on the terminal

---Tables that have no `every` of their own stand on the terminal and are kept up to date, if it is one.
---@param on boolean
function view.set_live(on)
  live_tables = on
end

local function of_kind(printing)
  for _, v in ipairs(running) do
    if (v.tally == nil) == printing then
      return true
    end
  end
  return false
end

---Returns the table as it is now, of what was counted since the start.
---@return string
function View:text()
  if not self.tally then
    return ("%s: %s, %d events"):format(self.title, self.ended_ns and "stopped" or "printing",
      self.probe:stats().events)
  end
  if not self.ended_ns then
    self.tally:turn_over()
  end
  return table.concat(self:_lines("total"), "\n")
end

View.__tostring = View.text

-- Words that narrow, which come too late here.
local NARROWS = { failed = true, slow = true, where = true, drops = true }
setmetatable(View, { __index = function(_, key)
  if NARROWS[key] then
    error(("what is counted already can't be narrowed\nhint: %s stands before, as in "
      .. 'tcpconnect:failed():count("comm")'):format(key), 2)
  end
end })

---tcpconnect:count("comm"){ duration = 5 }
function View:__call()
  error(('%s is asked already\nhint: options go inside, as in count("comm", { duration = 5 })')
    :format(self.asked.probe.name), 2)
end

function View:_lines(which, limit)
  local rows, events = self.tally:rows(which)
  local width = text.screen()
  local now = self.ended_ns or bpf.now()
  local since = which == "total" and self.started_ns or self.since_ns
  local lines = text.lines(self.asked.measure, rows, limit or self:_limit(), width)
  table.insert(lines, 1, text.cut(("%s  %s, %s %.1f s: %d events"):format(clock.hms(now), self.title,
    which == "total" and "all" or "last", (now - since) / 1e9, events), width))
  return lines
end

function View:_limit()
  return self.asked.rows or self.asked.measure.bars and 4 or 20
end

function View:_json(which)
  local now = self.ended_ns or bpf.now()
  local since = which == "total" and self.started_ns or self.since_ns
  for _, row in ipairs((self.tally:rows(which))) do
    local plain, order = text.plain(self.asked.measure, row)
    plain.span, plain.time, plain.seconds = which, clock.iso(now), (now - since) // 1000000 / 1000
    table.move(order, 1, #order, 4)
    order[1], order[2], order[3] = "span", "time", "seconds"
    io.write(bpf.json(plain, order), "\n")
  end
end

function View:_print(which)
  if self.asked.json then
    self:_json(which)
  else
    io.write(table.concat(self:_lines(which), "\n"), "\n")
  end
end

---Prints the table as it is now. Returns nothing, which the prompt would show below it.
function View:show()
  io.write(self:text(), "\n")
end

---Returns the rows as they are now, greatest first, for programs: keys, `count`, and what was asked for.
---@return table<string, any>[]
function View:rows()
  local rows = {}
  if self.tally then
    if not self.ended_ns then
      self.tally:turn_over()
    end
    for i, row in ipairs((self.tally:rows("total"))) do
      rows[i] = text.plain(self.asked.measure, row)
    end
  end
  return rows
end

---Forgets what was counted.
---@return bpfnet.short.View self
function View:clear()
  if self.tally then
    self.tally:clear()
    self.started_ns = bpf.now()
    self.since_ns = self.started_ns
  end
  return self
end

local function redraw()
  if of_kind(true) then
    return -- lines are being printed: the tables come at the end
  end
  local _, height = text.screen()
  local room = math.max(3, ((height or 24) - 2) // #running - 3)
  local lines = {}
  for _, v in ipairs(running) do
    v.tally:turn_over()
    for _, line in ipairs(v:_lines("total", v.asked.rows or not v.asked.measure.bars and math.min(room, 20))) do
      lines[#lines + 1] = line .. CLEAR_LINE
    end
    lines[#lines + 1] = CLEAR_LINE
  end
  while height and #lines >= height do
    lines[#lines] = nil
  end
  io.write(HOME, table.concat(lines, "\n"), "\n", CLEAR_BELOW)
end

local function stop_refresh()
  if refresh and not of_kind(false) then
    refresh:close()
    refresh = nil
  end
end

local function begin_refresh()
  if not refresh then
    io.write(CLEAR)
    refresh = bpf.every(REFRESH, redraw):background()
  end
end

function View:_every()
  self.tally:collect()
  self:_print("interval")
  io.write(self.asked.json and "" or "\n")
  self.tally:turn_over()
  self.since_ns = bpf.now()
end

function View:_begin_lines()
  local columns = require("bpfnet.short_columns").of(self.asked.kind)
  local writer = out.new({
    format = self.asked.json and "json" or "table", columns = columns, fields = self.probe.fields,
    write = text.writer(),
  })
  self.probe:on_event(function(ev) writer:row(ev) end)
  ask.engine(self.probe.attach, self.probe)
  writer:header()
end

function View:_begin_table()
  ask.engine(self.probe.attach, self.probe)
  if self.asked.every then
    self.timers[1] = bpf.every(self.asked.every, function() self:_every() end)
  elseif live_tables and not self.asked.json then
    begin_refresh()
  end
end

---Starts what was asked for. Raises what the kernel refuses, and mistakes in fields' names.
---@param asked bpfnet.short.Asked
---@return bpfnet.short.View
function view.start(asked)
  local self = setmetatable({ asked = asked, probe = asked.probe, title = asked.title, timers = {} }, View)
  self.tally = asked.measure and tally.new(asked.probe, asked.measure)
  self.started_ns = bpf.now()
  self.since_ns = self.started_ns
  if self.tally then
    self:_begin_table()
  else
    self:_begin_lines()
  end
  bpf.log("info", "%s: attached", self.title)
  running[#running + 1] = self
  if asked.duration then
    self.timers[#self.timers + 1] = bpf.after(asked.duration, function() self:stop() end)
  end
  return self
end

local function forget(v)
  for i, other in ipairs(running) do
    if other == v then
      table.remove(running, i)
      return
    end
  end
end

-- The last table, or the last two.
function View:_close_tally()
  if self.asked.every and self.asked.json then
    self.tally:collect()
    self:_print("interval") -- the last, shorter one
  end
  self.tally:turn_over()
  if refresh then
    io.write(#running == 0 and "\n" or "")
    stop_refresh()
  end
  self:_print("total")
  if self.tally:lost() > 0 then
    bpf.log("warn", "%s: %d events could not be counted, so the table is incomplete", self.title, self.tally:lost())
  end
end

---Ends it: the last table is printed, nothing is hooked any more, and what was lost is told on stderr. May be
---called twice.
function View:stop()
  if self.ended_ns then
    return
  end
  self.ended_ns = bpf.now()
  for _, timer in ipairs(self.timers) do
    timer:close()
  end
  forget(self)
  if self.tally then
    self:_close_tally() -- first: letting go takes up to half a second, which nobody asked about
  end
  self.probe:detach() -- delivers what is on its way, in a callback later
  script.losses(self.probe)
end

---What runs now.
---@return bpfnet.short.View[]
function view.running()
  return table.move(running, 1, #running, 1, {})
end

view.class = View -- for those that look at what it can do

return view
