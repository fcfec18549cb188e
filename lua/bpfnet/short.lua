-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The short forms of `bpfnet run -e` and of the prompt: each probe's name is a global that can be asked.
--
--   tcpconnect()                                  a line for each event
--   tcpconnect{ dport = 443, "error != nil" }     filters and options by name, `where` as a text
--   tcpconnect:failed():count("comm daddr error") refined, then counted in the kernel
--
-- What a form gives prints by itself when the loop runs next, unless more is asked of it before. See short.md.

local ask = require("bpfnet.short_ask")
local nearest = require("bpfnet.nearest")
local pod_where = require("bpfnet.pod_where")
local nothing = require("bpfnet.short_nil")

local short = {}

local in_command = false -- `bpfnet run -e`, not the prompt

-- Which of them failed, and what is slow, in each probe.
local FAILED = {
  tcpconnect = "error != nil", tcpclose = "ended != fin", tcprequest = "outcome == unanswered",
}
local SLOW = {
  tcpconnect = "latency_ns", tcpaccept = "queue_ns", tcpclose = "duration_ns", tcprequest = "total_ns",
  podnet = "delta_ns",
}
-- What the kernel calls a drop, but nobody misses.
local LOSS = {
  "reason != consumed", "reason != otherhost", "reason != queue_purge", "reason != unhandled_proto",
  "not (reason == no_socket and proto in {icmp, icmpv6})", 'not (family == other and ifname == "")',
}

---@class bpfnet.short.Asked what has been asked of a probe so far
---@field filter table
---@field engine table options of bpf.load()
---@field own table options of the short forms
---@field where string[]
---@field drops boolean

---@class bpfnet.short.Query
---@field name string of the probe
---@field private asked bpfnet.short.Asked
---@field private now { pending: bpf.Probe?, view: bpfnet.short.View? } loaded and going to print; printing
local Query = {}
Query.__index = Query
Query.__name = "bpfnet.short"

-- Raises where the user's own code called.
local function guarded(f)
  local most = debug.getinfo(f, "u").nparams - 1
  return function(query, ...)
    if getmetatable(query) ~= Query then
      error('expected a probe with ":", as in tcpconnect:count("comm")', 2)
    end
    local ok, result = pcall(ask.arguments, query, most, ...)
    if ok then
      ok, result = pcall(f, query, ...)
    end
    if not ok then
      error(result, 2)
    end
    return result
  end
end

local function load_probe(query)
  local asked = query.asked
  ask.warn_absent(asked.filter)
  local opts = ask.both(asked.engine, {})
  opts.filter = next(asked.filter) and asked.filter or nil
  opts.where = ask.conjunction(asked.where)
  opts.pods = opts.pods or asked.own.json
  return ask.engine(bpf.load, query.name, opts)
end

local function kind_of(query)
  local e = query.asked.engine
  return query.name ~= "podnet" and query.name or e.paths and "paths" or e.between and "spans"
    or query.asked.drops and "drops" or "podnet"
end

local function titled(query, what)
  return what and ("%s %s"):format(query.name, what) or query.name
end

-- What shows is loaded with the first form that is used: most of -e uses none, and is not to wait for it.
local function shown()
  local view = package.loaded["bpfnet.short_view"]
  if not view then
    view = require("bpfnet.short_view")
    view.set_live(in_command and require("bpfnet.out").is_terminal())
  end
  return view
end

local function start(query, probe, title, measure, own)
  return ask.engine(shown().start, {
    probe = probe, title = title, kind = kind_of(query), measure = measure,
    every = own.every, duration = own.duration, rows = own.rows, json = own.json,
  })
end

-- An error that has no line of the user's: its text is all that there is to say.
local Refusal = { __tostring = function(self) return self.message end }

-- Nothing else was asked for until the loop runs: it prints.
local function print_pending(query)
  local probe = query.now.pending
  if probe then
    query.now.pending = nil
    local ok, result = pcall(start, query, probe, query.name, nil, query.asked.own)
    if not ok then
      error(setmetatable({ message = tostring(result) }, Refusal))
    end
    query.now.view = result
  end
end

local function take_over(query)
  local probe = query.now.pending
  query.now.pending = nil
  return probe
end

-- A query like this one and more. Its probe is loaded at once, so that mistakes are told where they are made; it is
-- the other one's, if that has no use for it any more and it differs by `where` alone.
local function derive(query, more)
  local asked = query.asked
  local where = table.move(asked.where, 1, #asked.where, 1, {})
  table.move(more.where, 1, #more.where, #where + 1, where)
  local new = setmetatable({
    name = query.name,
    asked = {
      filter = ask.both(asked.filter, more.filter), engine = ask.both(asked.engine, more.engine),
      own = ask.both(asked.own, more.own), where = where, drops = asked.drops or more.drops or false,
    },
    now = {},
  }, Query)
  local probe = query.now.pending
  local same = not (next(more.filter) or next(more.engine) or more.own.json or pod_where.asks(ask.conjunction(where)))
  if probe and same then
    if #more.where > 0 then
      ask.engine(probe.where, probe, ask.conjunction(where))
    end
    new.now.pending = take_over(query)
  else
    new.now.pending = load_probe(new)
    take_over(query)
  end
  bpf.after(0, function() print_pending(new) end)
  return new
end

-- Counts with what the query has loaded, or else with a probe of its own.
local function measured(query, title, measure, by, opts)
  if type(by) == "table" and #by == 0 and next(by) and not opts then
    by, opts = nil, by
  end
  measure.by = ask.names(query, "by", by)
  local own = query.asked.own
  if opts then
    ask.options(query, opts)
    local more = ask.sort_out(query, opts)
    if next(more.filter) or next(more.engine) or #more.where > 0 then
      query = derive(query, more)
    end
    own = ask.both(own, more.own)
  end
  local probe = take_over(query) or load_probe(query)
  return start(query, probe, titled(query, title), measure, own)
end

---Asks more of it: filters and options by name, conditions (`where`) as texts. tcpconnect{ dport = 443 }
Query.__call = guarded(function(query, asked)
  return derive(query, ask.sort_out(query, asked == nil and {} or asked))
end)

---Only events for which the expression is true, too: tcpclose:where("rx_bytes > 1MiB").
---@param expression string
---@return bpfnet.short.Query
Query.where = guarded(function(query, expression)
  return derive(query, ask.sort_out(query, { ask.check(query, "where", expression) }))
end)

---Only what failed: connects with an error, connections that no FIN ended, requests without an answer.
---@param asked? table what would stand in the braces of the probe: tcpconnect:failed{ dport = 443 }
---@return bpfnet.short.Query
Query.failed = guarded(function(query, asked)
  local condition = FAILED[query.name] or ask.fail(query, "nothing of it fails")
  local failing = derive(query, ask.sort_out(query, { condition }))
  return asked == nil and failing or derive(failing, ask.sort_out(failing, asked))
end)

---Only what took longer: tcpconnect:slow("10ms"), tcprequest:slow("ttfb_ns", "100ms").
---@param field string a field, default the one that is meant as a rule
---@param limit string|number a duration; a number in the field's own unit
---@return bpfnet.short.Query
Query.slow = guarded(function(query, field, limit)
  if limit == nil then
    field, limit = SLOW[query.name], field
  end
  limit = type(limit) == "string" and limit:gsub("(%d)%s+(%a)", "%1%2") or limit
  if not field or type(limit) ~= "string" and math.type(limit) ~= "integer" then
    ask.fail(query, 'slow: expected a field and how long, like "%s", "10ms"', SLOW[query.name] or "duration_ns")
  end
  return derive(query, ask.sort_out(query, { ask.field(query, field) and ("%s > %s"):format(field, limit) }))
end)

-- Reasons that this kernel does not know can't be asked for, and need not be.
local function without_unknown(query, conditions)
  while true do
    local ok, result = pcall(derive, query, {
      filter = {}, engine = { points = { "dropped" } }, own = {}, drops = true,
      where = table.move(conditions, 1, #conditions, 2, { 'point == "dropped"' }),
    })
    local unknown = not ok and tostring(result):match('"([%w_]+)" is no value of "reason"')
    local before = #conditions
    for i = #conditions, 1, -1 do
      if unknown and conditions[i]:find(unknown, 1, true) then
        table.remove(conditions, i)
      end
    end
    if ok then
      return result
    elseif #conditions == before then
      error(result, 0)
    end
  end
end

---Of podnet: a line for each packet that is dropped, or what is counted of them.
---@param asked? table what would stand in the braces of the probe: podnet:drops{ dport = 443 }
---@return bpfnet.short.Query
Query.drops = guarded(function(query, asked)
  if query.name ~= "podnet" then
    ask.fail(query, "only podnet sees drops: podnet:drops()")
  end
  local dropped = without_unknown(query, table.move(LOSS, 1, #LOSS, 1, {}))
  return asked == nil and dropped or derive(dropped, ask.sort_out(dropped, asked))
end)

---How many, by what: tcpconnect:count("comm daddr").
---@param by? string|string[] fields; also pod, namespace, container, image, runtime, sidecar
---@param opts? table options of the short forms
---@return bpfnet.short.View
Query.count = guarded(function(query, by, opts)
  return measured(query, nil, {}, by, opts)
end)

---How much, by what: tcpclose:sum("tx_bytes rx_bytes", "comm").
---@param fields string|string[] what is added up; the rows are ordered by the first
---@param by? string|string[]
---@param opts? table
---@return bpfnet.short.View
Query.sum = guarded(function(query, fields, by, opts)
  return measured(query, nil, { sum = ask.names(query, "sum", fields, true) }, by, opts)
end)

---How a value is distributed, as bars, by what: tcpclose:hist("duration_ns", "comm").
---@param field string
---@param by? string|string[]
---@param opts? table
---@return bpfnet.short.View
Query.hist = guarded(function(query, field, by, opts)
  return ask.field(query, field) and measured(query, field, { hist = field, bars = true }, by, opts)
end)

---Quantiles and maximum of a value, the greatest first: tcpaccept:top("queue_ns", "comm").
---@param field string
---@param by? string|string[]
---@param opts? table
---@return bpfnet.short.View
Query.top = guarded(function(query, field, by, opts)
  return ask.field(query, field) and measured(query, field, { hist = field, order = "max" }, by, opts)
end)

---Ends what it prints, if it does.
---@return bpfnet.short.Query self
Query.stop = guarded(function(query)
  take_over(query)
  if query.now.view then
    query.now.view:stop()
  end
  return query
end)

function Query.__tostring(query)
  local now = query.now
  if now.view then
    return now.view:text()
  elseif now.pending then
    return query.name .. ": prints each event from now on"
  end
  return ("%s: %s() prints each event, %s:count(\"comm\") counts; also where, failed, slow, sum, hist, top")
    :format(query.name, query.name, query.name)
end

-- A misspelt word is told with its like. Names that Lua itself or a printer asks for are simply not there.
setmetatable(Query, { __index = function(_, key)
  if type(key) ~= "string" or not key:find("^%a") then
    return nil
  end
  local known = {}
  for name, value in pairs(Query) do
    known[#known + 1] = type(value) == "function" and name:find("^%a") and name or nil
  end
  table.sort(known)
  local near = nearest(key, known)
  error(('no word of a probe is "%s"%s (there are: %s)'):format(key,
    near and (', did you mean "%s"?'):format(near) or "", table.concat(known, ", ")), 2)
end })

---The names that install() puts in.
---@return string[]
function short.names()
  return bpf.probe_names()
end

---Puts the short forms into a table of globals; what has such a name there stays.
---@param env table<string, any>
function short.install(env)
  for _, name in ipairs(short.names()) do
    if rawget(env, name) == nil then
      env[name] = setmetatable({
        name = name, now = {},
        asked = { filter = {}, engine = {}, own = {}, where = {}, drops = false },
      }, Query)
    end
  end
end

---For `bpfnet run -e`, before the code runs: tables are kept up to date on the terminal.
---@param code string
function short.begin(code)
  in_command = true
  short.install(_G)
  nothing.begin(code)
  nothing.watch(_G)
end

local function running()
  local view = package.loaded["bpfnet.short_view"]
  return view and view.running() or {}
end

---Returns a function that ends what is begun by short forms from now on; last tables are printed.
---@return fun()
function short.mark()
  local before = {}
  for _, view in ipairs(running()) do
    before[view] = true
  end
  return function()
    for _, view in ipairs(running()) do
      if not before[view] then
        view:stop()
      end
    end
  end
end

---Ends all that was begun by short forms; last tables are printed and losses told.
function short.finish()
  for _, view in ipairs(running()) do
    view:stop()
  end
end

return short
