-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What `bpfnet redirect` says: events, the summary, and the state of redirects, as text and for JSON.

local out = require("bpfnet.out")

local report = {}

-- Members of a line of JSON that come first.
report.EVENT = { "event", "saddr", "sport", "daddr", "dport", "why" }
report.SUMMARY = { "event", "taken", "redirected_msgs", "redirected_bytes", "passed_msgs",
  "passed_bytes", "let_go", "refused", "left" }
local STATUS = { "name", "pid", "alive", "pinned", "since", "scope", "taken", "live", "leaving" }

local COUNTERS = { "redirected_msgs", "redirected_bytes", "passed_msgs", "passed_bytes" }

---Counts of why connections are not redirected, by what events say.
---@return table state
function report.new()
  return { refused = {}, closed = {} }
end

local function add(counts, why)
  counts[why] = (counts[why] or 0) + 1
end

---Takes an event into account.
---@param state table
---@param ev table as on_event of bpf.redirect gets it
function report.count(state, ev)
  if ev.event == "refused" then
    add(state.refused, ev.why)
  elseif ev.event == "closed" and ev.why and ev.cookie < ev.peer then
    add(state.closed, ev.why)
  end
end

-- Why connections that were taken are not redirected any more, and why others were not taken.
local function whys_of(connections, let_go)
  local refused = {}
  for _, c in ipairs(connections) do
    if not c.tx_redirected_bytes then
      add(refused, c.why)
    elseif c.why and c.cookie < c.peer then
      add(let_go, c.why)
    end
  end
  return let_go, refused
end

---How many connections were let go for which reason, those that have closed since then too.
---@param state table
---@param connections table[]
---@return table<string, integer>
function report.let_go(state, connections)
  local counts = {}
  for why, n in pairs(state.closed) do
    counts[why] = n
  end
  return (whys_of(connections, counts))
end

---What a redirect with these options is for, in a line.
---@param opt table options of the command
---@return string
function report.scope(opt)
  local parts = {}
  local function part(what, list)
    if list then
      parts[#parts + 1] = what .. " " .. table.concat(list, " ")
    end
  end
  part("cgroup", opt.cgroup)
  part("pods", opt.pods)
  part("ports", opt.ports)
  part("pids", opt.pids)
  part("not ports", opt.exclude_ports)
  part("not pids", opt.exclude_pids)
  part("policy", opt.policy ~= "turns" and { opt.policy } or nil)
  parts[#parts + 1] = opt.blocking and "blocking sockets too" or nil
  return table.concat(parts, ", ")
end

local function number(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

local function amounts(t, prefix)
  return ("%s with %s redirected, %s with %s by TCP"):format(
    number(t[prefix .. "redirected_msgs"], "message"), out.bytes(t[prefix .. "redirected_bytes"]),
    number(t[prefix .. "passed_msgs"], "message"), out.bytes(t[prefix .. "passed_bytes"]))
end

local function ends(t, arrow)
  return out.endpoint(t.saddr, t.sport) .. arrow .. out.endpoint(t.daddr, t.dport)
end

---An event for the eye. One that has closed shows what that end has sent.
---@param ev table
---@return string
function report.event_line(ev)
  local one_way = ev.event == "closed"
  local line = ("%-7s  %s"):format(ev.event, ends(ev, one_way and " -> " or " <-> "))
  if ev.why then
    line = line .. "  " .. ev.why
  end
  if one_way and ev.tx_redirected_msgs then
    line = line .. "  " .. amounts(ev, "tx_")
  end
  return line
end

---What JSON says at the end.
---@param stats table of r:stats(), and `left`
---@param let_go table<string, integer>
---@param refused table<string, integer>
---@return table
function report.summary(stats, let_go, refused)
  local t = { event = "off", taken = stats.taken, left = stats.left, let_go = let_go,
    refused = refused }
  for _, name in ipairs(COUNTERS) do
    t[name] = stats[name]
  end
  return t
end

local function reasons(what, counts)
  local text = out.counts(counts)
  return text and ("; %s: %s"):format(what, text) or ""
end

local function left_behind(left)
  if left == 0 then
    return ""
  end
  return ("; %s could not be let go yet, and go on through TCP, a little slower, until they close")
    :format(number(left, "connection"))
end

---The same for the eye.
---@return string
function report.summary_line(stats, let_go, refused)
  return ("redirect: off; %s taken, %s%s%s%s"):format(number(stats.taken, "connection"),
    amounts(stats, ""), reasons("let go", let_go), reasons("not taken", refused),
    left_behind(stats.left))
end

---What has become of a redirect that was ended from outside.
---@param ended { name: string, pid: integer, left: integer, was_dead: boolean }
---@param verb string
---@return string
function report.ended(ended, verb)
  local whose = ended.pid == 0 and "half made" or ("pid %d%s"):format(ended.pid,
    ended.was_dead and ", which was gone" or "")
  return ("redirect \"%s\": %s (%s)%s"):format(ended.name, verb, whose, left_behind(ended.left))
end

local function connection_line(c)
  local line = ("  %-8s  %s"):format(c.way, ends(c, " -> "))
  line = c.why and line .. "  " .. c.why or line
  return c.tx_redirected_msgs and line .. "  " .. amounts(c, "tx_") or line
end

---What the maps of a redirect say is not so once its process is gone, if nothing is redirected then.
---@param one table as host.list() gives it, changed in place
function report.amend(one)
  if one.alive or one.goes_on then
    return
  end
  one.live, one.leaving = 0, one.leaving + one.live
  for _, c in ipairs(one.connections) do
    c.way = "tcp"
  end
end

---A redirect of this host for the eye, in several lines.
---@param one table as host.list() gives it
---@param verbose boolean every connection too
---@return string
function report.status(one, verbose)
  local let_go, refused = whys_of(one.connections, {})
  local who = one.name and ("redirect \"%s\""):format(one.name) or "redirect in the foreground"
  local lines = {
    ("%s: %s"):format(who, one.alive
      and ("pid %d, since %s"):format(one.pid, os.date("%Y-%m-%d %H:%M:%S", one.since))
      or ("its process %d is gone: %s"):format(one.pid, one.goes_on
        and "it takes no more connections" or "everything goes by TCP")),
    "  " .. one.scope,
    ("  %s taken, %d live, %d let go, %d refused%s%s"):format(number(one.taken, "connection"),
      one.live, one.let_go, one.refused, reasons("let go and still open", let_go),
      reasons("refused and still open", refused)),
    "  " .. amounts(one, ""),
  }
  for _, c in ipairs(verbose and one.connections or {}) do
    lines[#lines + 1] = connection_line(c)
  end
  return table.concat(lines, "\n")
end

---The same as a line of JSON; why connections are let go or refused is told of those still open.
---@param one table
---@param verbose boolean
---@return string
function report.status_json(one, verbose)
  one.let_go_why, one.refused_why = whys_of(one.connections, {})
  if not verbose then
    one.connections = nil
  end
  return bpf.json(one, STATUS)
end

return report
