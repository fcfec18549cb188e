-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What is known of a pod's requests in one direction, as a block of lines for the eye: a heading, then a
-- line for each part of their time, for each port, and for packets.

local out = require("bpfnet.out")
local parts = require("bpfnet.pairs_parts")

local block = {}

local LABELS = {
  network = "network", sidecar_unread = "sidecar unread", sidecar_in = "sidecar in", unread = "unread",
  service = "service", sidecar_out = "sidecar out", unsplit = "not sent on", transfer = "transfer",
}

local PORTS = 8 -- lines for ports in a block

local COLUMNS = {
  { title = "  PART", width = 24, value = "label" },
  { title = "N", width = 7, right = true, value = "count" },
  { title = "P50", width = 6, right = true, value = "p50", show = out.duration },
  { title = "P90", width = 6, right = true, value = "p90", show = out.duration },
  { title = "P99", width = 6, right = true, value = "p99", show = out.duration },
  { title = "MAX", width = 6, right = true, value = "max", show = out.duration },
  { title = "SHARE", width = 5, right = true, value = "share" },
  { title = "KNOWN BY", width = 20, value = "note" },
}

local function line(label, times, note, total)
  return {
    label = "  " .. label, count = times.count, p50 = times:quantile(0.5), p90 = times:quantile(0.9),
    p99 = times:quantile(0.99), max = times.max, note = note,
    share = total and total.sum > 0 and ("%.0f%%"):format(times.sum * 100 / total.sum) or "",
  }
end

---Returns counts as parts of their sum, the largest first: "exact 98%, order 2%".
---@param counts table<string, integer>
---@return string? text nil if there are none
function block.shares(counts)
  local sum, texts = 0, {}
  for _, n in pairs(counts) do
    sum = sum + n
  end
  local names = {}
  for name in pairs(counts) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    return counts[a] > counts[b] or counts[a] == counts[b] and a < b
  end)
  for i, name in ipairs(names) do
    texts[i] = ("%s %.0f%%"):format(name, counts[name] * 100 / sum)
  end
  return texts[1] and table.concat(texts, ", ") or nil
end

-- How it is known; what stands without a word was seen at both of its ends.
local function note_of(name, record, direction)
  if name == "sidecar_in" or name == "sidecar_out" then
    return block.shares(record.how) or ""
  elseif name == "unsplit" then
    return "the sidecar's own answer, or unseen"
  elseif direction == "out" and record.srtt.count > 0 and (name == "network" or name == "service") then
    return name == "network" and "srtt, where it goes elsewhere" or "the rest"
  elseif name == "network" and direction == "in" and record.both_ends > 0 then
    return ("also to the client for %d"):format(record.both_ends)
  end
  return ""
end

local function service_lines(lines, record)
  local names = {}
  for name in pairs(record.services) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(#names > 1 and names or {}) do
    lines[#lines + 1] = line("  " .. name, record.services[name], "", record.total)
  end
end

local function part_lines(lines, record, direction)
  for _, name in ipairs(parts.NAMES) do
    local times = record.parts[name]
    if times and (times.sum > 0 or name == "service") then
      lines[#lines + 1] = line(LABELS[name], times, note_of(name, record, direction), record.total)
      if name == "service" then
        service_lines(lines, record)
      end
    end
  end
  if record.total.count > 0 then
    lines[#lines + 1] = line("total", record.total, "", record.total)
  end
  if direction == "in" and record.srtt.count > 0 then
    lines[#lines + 1] = line("to the client and back", record.srtt, "srtt, not in the total")
  end
end

local function port_note(port)
  local texts = {}
  if port.failed > 0 then
    texts[#texts + 1] = ("failed %d: %s"):format(port.failed, out.counts(port.errors))
  end
  if port.backlog then
    texts[#texts + 1] = ("queue %d/%d"):format(port.backlog, port.backlog_max)
  end
  if port.rx + port.tx > 0 then
    texts[#texts + 1] = "redirected " .. out.bytes(port.rx + port.tx)
  end
  return table.concat(texts, ", ")
end

-- Failures first, then the busiest.
local function worse(a, b)
  if a.failed ~= b.failed then
    return a.failed > b.failed
  end
  return a.count > b.count
end

local function port_lines(lines, ports)
  local list = table.move(ports.list, 1, #ports.list, 1, {})
  table.sort(list, worse)
  for i, port in ipairs(list) do
    if i > PORTS then
      lines[#lines + 1] = { label = ("  and %d more ports"):format(#list - PORTS), count = "", p50 = nil, share = "",
        note = "" }
      break
    end
    local label = ("%s :%s%s"):format(port.side, port.port > 0 and port.port or "others",
      port.container and " " .. port.container or "")
    local one = line(label, port.latency, port_note(port))
    one.count = port.count
    lines[#lines + 1] = one
  end
end

local function heading(name, direction, record, seconds)
  if record.requests == 0 then
    return ("%s %s: no requests"):format(name, direction)
  end
  local text = ("%s %s: %d requests, %.1f/s"):format(name, direction, record.requests,
    record.requests / math.max(seconds, 0.001))
  for _, what in ipairs({
    { record.unanswered, "unanswered" }, { record.several, "sent on more than once" },
    { record.alone, "the sidecar's own" },
  }) do
    text = what[1] > 0 and ("%s, %d %s"):format(text, table.unpack(what)) or text
  end
  local left_out = out.counts(record.left_out)
  text = left_out and ("%s, without times: %s"):format(text, left_out) or text
  return ("%s; %s asked, %s answered"):format(text, out.bytes(record.request_bytes),
    out.bytes(record.response_bytes))
end

---Writes a block.
---@param name string
---@param direction string
---@param numbers { requests: bpfnet.pairs.Record, ports: bpfnet.pairs.Ports, packets: table[]? } packets: rows
---  with `label` and `times`
---@param seconds number that they were counted for
function block.print(name, direction, numbers, seconds)
  local lines = {}
  if numbers.requests.requests > 0 then
    part_lines(lines, numbers.requests, direction)
  end
  port_lines(lines, numbers.ports)
  for _, span in ipairs(numbers.packets or {}) do
    lines[#lines + 1] = line(span.label, span.times, "packets")
  end
  if direction == "packets" then
    print(name .. " packets")
  else
    print(heading(name, direction, numbers.requests, seconds))
  end
  out.new({ format = "table", columns = COLUMNS, fields = {} }):block(lines, #lines)
end

return block
