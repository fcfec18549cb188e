-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Of `bpfnet doctor`: the page for the eye, and its JSON.

local out = require("bpfnet.out")
local terminal = require("bpfnet.terminal")

local page = {}

local NAME_WIDTH = 26

local MARKS = { [true] = "ok", partly = "less", [false] = "no" }
local COLOURS = { [true] = "\27[32m", partly = "\27[33m", [false] = "\27[31m" }

local function coloured(text, ok, colour)
  return colour and COLOURS[ok] .. text .. "\27[0m" or text
end

local width = 100

-- Breaks a text at blanks into lines that begin at `indent`; the first line is already there.
local function wrapped(text, indent)
  local lines, now = {}, ""
  for word in text:gmatch("%S+") do
    if now ~= "" and #now + 1 + #word > width - indent then
      lines[#lines + 1], now = now, word
    else
      now = now == "" and word or now .. " " .. word
    end
  end
  lines[#lines + 1] = now
  return table.concat(lines, "\n" .. (" "):rep(indent))
end

-- The same remedy helps in many places, and is long: it has a number there, and stands at the end.
local function number_of(fix, fixes)
  if not fixes[fix] then
    fixes[#fixes + 1] = fix
    fixes[fix] = #fixes
  end
  return fixes[fix]
end

-- What a capability is for is always of interest, of all else if something is wrong with it.
local function first_line(row, opts)
  if row.need and (opts.verbose or row.ok ~= true or row.name:find("^CAP_")) then
    return ("%s (for %s)"):format(row.found, row.need)
  end
  return row.found
end

local function add_row(lines, row, opts)
  local indent = NAME_WIDTH + 7
  local mark = coloured(("%-4s"):format(MARKS[row.ok]), row.ok, opts.colour)
  lines[#lines + 1] = ("  %s %-" .. NAME_WIDTH .. "s%s"):format(mark, row.name, wrapped(first_line(row, opts), indent))
  local function more(label, text)
    lines[#lines + 1] = (" "):rep(indent) .. label .. wrapped(text, indent + #label)
  end
  for _, lack in ipairs((opts.verbose or row.ok ~= true) and row.lacks or {}) do
    more("without: ", lack)
  end
  local todo = row.fix and ("[%d]"):format(number_of(row.fix, opts.fixes))
  -- all hooks that were tried, which may be ten, are told with the ways above
  local why = row.why or ""
  if not opts.verbose then
    why = why:gsub(" on this kernel %(.*%)$", " here: none of its hooks works")
  end
  if row.why or todo then
    more("", why .. (todo and " " .. todo or ""))
  end
  for _, point in ipairs(opts.verbose and row.missing or {}) do
    more("  ", point.name .. ": " .. point.why)
  end
end

local function add_group(lines, title, rows, opts)
  lines[#lines + 1] = title
  for _, row in ipairs(rows) do
    add_row(lines, row, opts)
  end
end

-- Columns of a line, and whether it may have colours: a terminal's, if that is where it goes.
local function surface()
  if not out.is_terminal() then
    return 100, false
  end
  return math.max(60, math.min(100, (terminal.size()))), terminal.colour()
end

---@param found bpfnet.doctor.Found
---@param opts { verbose?: boolean }
---@return string
function page.text(found, opts)
  local own = { verbose = opts.verbose, fixes = {} }
  width, own.colour = surface()
  local parts, group = {}, nil
  for _, check in ipairs(found.checks) do
    if check.group ~= group then
      group = check.group
      parts[#parts + 1] = group
    end
    add_row(parts, check, own)
  end
  add_group(parts, "container runtimes", found.runtimes, own)
  add_group(parts, "probes", found.probes, own)
  if #own.fixes > 0 then
    parts[#parts + 1] = "what to do"
  end
  for i, fix in ipairs(own.fixes) do
    local label = ("  [%d] "):format(i)
    parts[#parts + 1] = label .. wrapped(fix, #label)
  end
  parts[#parts + 1] = ""
  parts[#parts + 1] = coloured("verdict: " .. found.verdict.text, found.verdict.ok, own.colour)
  return table.concat(parts, "\n")
end

local ORDER = {
  check = { "group", "name", "ok", "found", "need", "why", "fix" },
  probe = { "name", "ok", "main", "found", "lacks", "why", "fix", "seen", "points", "missing" },
  runtime = { "name", "ok", "found", "need", "why", "fix", "dir", "readable", "socket", "answers", "version",
    "server" },
  point = { "name", "why" },
  verdict = { "ok", "text", "fix" },
}

local function ordered(list, order)
  for _, row in ipairs(list) do
    setmetatable(row, { fields = order })
  end
end

---@param found bpfnet.doctor.Found
---@return string
function page.json(found)
  ordered(found.checks, ORDER.check)
  ordered(found.probes, ORDER.probe)
  ordered(found.runtimes, ORDER.runtime)
  setmetatable(found.verdict, { fields = ORDER.verdict })
  for _, probe in ipairs(found.probes) do
    ordered(probe.missing or {}, ORDER.point)
  end
  return bpf.json(found, { "verdict", "checks", "probes", "runtimes", "seconds" })
end

return page
