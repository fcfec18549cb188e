-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The ways of a packet and its clones as one tree, and the tree as text. A clone's list of points
-- begins with those that it shares with the packet it was made of.
--
--   local path = require("bpfnet.path")
--   print(table.concat(path.lines(events), "\n"))

local netns = require("bpfnet.netns")
local out = require("bpfnet.out")
local packet = require("bpfnet.packet")

local path = {}

-- Made of another packet at this point, and not the packet itself going on.
local MADE = { clone = true, copy = true, segment = true }
local ENDS = { delivered = true, freed = true, dropped = true, merged = true }

---@class bpfnet.path.Node points in a row, and then either the end or branches
---@field hops table[]
---@field event? table the path that ends here
---@field branches bpfnet.path.Node[] in the order in which they left

local function same(a, b)
  return a ~= nil and b ~= nil and a.ts_ns == b.ts_ns and a.point == b.point
end

-- The hop that all of these have at i, or nil.
local function shared(events, i)
  local hop = events[1].hops[i]
  for n = 2, #events do
    if not same(hop, events[n].hops[i]) then
      return nil
    end
  end
  return hop
end

-- Those that go on together from hop i; those that end before it, each alone.
local function groups(events, i)
  local all = {}
  for _, ev in ipairs(events) do
    local found
    for _, group in ipairs(all) do
      found = found or same(group[1].hops[i], ev.hops[i]) and group
    end
    if found then
      table.insert(found, ev)
    else
      all[#all + 1] = { ev }
    end
  end
  local function left(group)
    return group[1].hops[i] and group[1].hops[i].ts_ns or 0
  end
  table.sort(all, function(a, b)
    return left(a) < left(b)
  end)
  return all
end

local function grow(events, i)
  local node = { hops = {}, branches = {} }
  local hop = shared(events, i)
  while hop do
    node.hops[#node.hops + 1] = hop
    i = i + 1
    hop = shared(events, i)
  end
  if #events == 1 then
    node.event = events[1]
    return node
  end
  for _, group in ipairs(groups(events, i)) do
    node.branches[#node.branches + 1] = grow(group, i)
  end
  return node
end

---Puts the paths of one packet and its clones together.
---@param events table[] events with the same `trace`, at least one
---@return bpfnet.path.Node
function path.tree(events)
  return grow(events, 1)
end

local function place(hop)
  return hop.context ~= "unknown" and ("%s %d"):format(hop.context, hop.cpu) or ("cpu %d"):format(hop.cpu)
end

-- What there is to say at the end of a path, at its last hop or in a line of its own.
local function end_details(ev)
  local rules = packet.netfilter(ev)
  local where = ev.location and "in " .. ev.location
  local text = ev.reason and tostring(ev.reason)
  for _, more in ipairs({ where or false, rules or false }) do
    text = more and (text and text .. " " .. more or more) or text
  end
  return text
end

local function details(hop, ev)
  local made = hop.identity ~= "same" and hop.identity ~= "first" and hop.identity or nil
  local text = ev and ENDS[hop.point] and end_details(ev) or packet.netfilter(hop)
  return made and text and made .. ", " .. text or made or text or ""
end

-- Rows of { at, after, name, device, namespace, place, details }; namespaces have a lane each.
local function hop_row(view, hop, gutter, ev)
  view.lanes[hop.netns] = view.lanes[hop.netns] or view.next_lane
  view.next_lane = math.max(view.next_lane, math.min(view.lanes[hop.netns] + 1, 4))
  local at = hop.ts_ns - view.start_ns
  return {
    at == 0 and "0" or out.duration(at), hop.delta_ns == 0 and "" or out.duration(hop.delta_ns),
    gutter .. ("  "):rep(view.lanes[hop.netns]) .. hop.point, hop.ifname,
    hop.netns ~= 0 and netns.name(hop.netns) or "", place(hop), details(hop, ev),
  }
end

-- What no hop tells of a path's end.
local function end_rows(rows, ev, gutter)
  local last = ev.hops[#ev.hops]
  if ev.hops_lost > 0 then
    rows[#rows + 1] = { "", "", ("%s(and %d points more)"):format(gutter, ev.hops_lost) }
  end
  if not (last and ENDS[last.point]) then
    rows[#rows + 1] = { "", "", ("%s(%s)"):format(gutter, packet.ending(ev)) }
  end
end

local add_node

-- The packet itself goes on in the same column, after what was made of it.
local function add_branches(view, node, gutter)
  for _, branch in ipairs(node.branches) do
    if branch.hops[1] and MADE[branch.hops[1].identity] then
      add_node(view, branch, gutter .. "| ", gutter .. "+-")
    end
  end
  for _, branch in ipairs(node.branches) do
    if not (branch.hops[1] and MADE[branch.hops[1].identity]) then
      add_node(view, branch, gutter, gutter)
    end
  end
end

function add_node(view, node, gutter, first)
  local rows = view.rows
  for i, hop in ipairs(node.hops) do
    rows[#rows + 1] = hop_row(view, hop, i == 1 and first or gutter, i == #node.hops and node.event)
  end
  if node.event then
    end_rows(rows, node.event, gutter)
  end
  add_branches(view, node, gutter)
end

local function widths_of(rows)
  local widths = { 6, 6 }
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, #text)
    end
  end
  return widths
end

-- What packet, whose, how it ended at last, and how long it took; then what became of its addresses.
local function heading(events)
  local last, owner = events[1], events[1]
  for _, ev in ipairs(events) do
    last = ev.ts_ns > last.ts_ns and ev or last
    owner = owner.pid == 0 and ev or owner
  end
  local process, changed = packet.process(owner), packet.changed(last)
  local branches = #events > 1 and (", %d branches"):format(#events) or ""
  return ("%s, %d bytes%s: %s after %s%s"):format(packet.what(last), packet.length(last),
    process and ", " .. process or "", packet.ending(last),
    out.duration(last.ts_ns - last.first_ns), branches), changed and "  at the end " .. changed
end

---Returns a packet's paths as lines. First what packet it is, how it ended and how long it took;
---then each point: the time since the first one, the time since the one before, its name, device,
---namespace, what the CPU was doing, and what else is known. Names are indented by namespace; clones
---stand below the point where they were made, behind "|".
---@param events table[] with the same `trace`, at least one
---@return string[]
function path.lines(events)
  local view = { rows = {}, lanes = {}, next_lane = 0, start_ns = events[1].first_ns }
  local lines = { heading(events) }
  add_node(view, path.tree(events), "", "")
  local widths = widths_of(view.rows)
  for _, row in ipairs(view.rows) do
    local cells = {}
    for i, text in ipairs(row) do
      local blank = (" "):rep(widths[i] - #text)
      cells[i] = i <= 2 and blank .. text or text .. blank
    end
    lines[#lines + 1] = "  " .. table.concat(cells, "  "):match("^(.-) *$")
  end
  return lines
end

return path
