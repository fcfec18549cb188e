-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Draws the first table of tests/bench/events as an SVG, for README.md:
--   tests/bench/events | bpfnet run tests/bench/figure.lua > tests/bench/events.svg

local LEFT, WIDTH, ROW, TOP = 330, 250, 24, 58
local OURS, OTHER = "#1a7f64", "#8c959f"

local function cells(line)
  local list = {}
  for cell in line:sub(2):gmatch("%s*(.-)%s*|") do
    list[#list + 1] = cell
  end
  return list
end

-- "12.5 [11-13]" to 12.5
local function number(cell)
  return tonumber(cell:match("^[%d.]+"))
end

local function read_rows()
  local rows, begun = {}, false
  for line in io.lines() do
    if line:find("^| tool") then
      begun = true
    elseif begun and line == "" then
      break
    elseif begun and not line:find("^|%-") then
      local c = cells(line)
      rows[#rows + 1] = { title = c[1], added = number(c[2]), cpu = number(c[4]), lost = number(c[8]) }
    end
  end
  assert(#rows > 0, "no table on standard input")
  return rows
end

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function text(x, y, content, more)
  print(('<text x="%.1f" y="%.1f" %s>%s</text>'):format(x, y, more or "", escape(content)))
end

-- Bars on a logarithmic scale from the decade below the least to the one above the greatest.
local function panel(rows, x, title, key, format)
  local least, most = math.huge, 0
  for _, row in ipairs(rows) do
    local value = row[key]
    if value and value > 0 then
      least, most = math.min(least, value), math.max(most, value)
    end
  end
  local low, high = math.floor(math.log(least, 10)), math.ceil(math.log(most, 10))
  local function length(value)
    return (math.log(value, 10) - low) / (high - low) * WIDTH
  end
  local bottom = TOP + #rows * ROW
  text(x, 24, title, 'font-weight="600"')
  for decade = low, high do
    local at = x + length(10.0 ^ decade)
    print(('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#d0d7de"/>'):format(at, at, TOP - 6, bottom))
    text(at, TOP - 12, ("%g"):format(10.0 ^ decade), 'text-anchor="middle" fill="#57606a" font-size="11"')
  end
  for i, row in ipairs(rows) do
    local value, y = row[key], TOP + (i - 1) * ROW
    if value and value > 0 then
      print(('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>'):format(x, y + 3,
        length(value), ROW - 8, row.title:find("^bpfnet") and OURS or OTHER))
      text(x + length(value) + 5, y + 16, format:format(value), 'font-size="12"')
    end
  end
end

local rows = read_rows()
local width, height = LEFT + 2 * (WIDTH + 80), TOP + #rows * ROW + 28
print(('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
  .. 'font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">'):format(width, height, width, height))
print('<rect width="100%" height="100%" fill="#ffffff"/>')
for i, row in ipairs(rows) do
  local lost = row.lost and row.lost >= 0.05 and (" (loses %g%%)"):format(row.lost) or ""
  text(LEFT - 12, TOP + (i - 1) * ROW + 16, row.title .. lost, 'text-anchor="end"')
end
panel(rows, LEFT, "added to the traced call, ns", "added", "%.0f")
panel(rows, LEFT + WIDTH + 80, "CPU of the tracer per event, us", "cpu", "%.3g")
text(LEFT, height - 10, "Logarithmic scales; shorter is better. Measured by tests/bench/events.",
  'fill="#57606a" font-size="11"')
print("</svg>")
