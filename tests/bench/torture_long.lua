-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The parts of torture-long:  piece FILE SECONDS  and  totals FILE CONNECTIONS GIB

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/../../spec/?.lua;" .. package.path
local cjson = require "cjson"
local helper = require "helper"

local GIB = 1 << 30
local SUMS = { "connections", "bytes", "segments", "resets", "eagains", "error_count", "unfinished", "redirects",
  "taken", "let_go", "redirected_msgs", "redirected_bytes", "passed_msgs", "passed_bytes" }

-- Pieces take turns in these; seconds is how long the redirect stays each time.
local PIECES = {
  { args = "-c 50", seconds = 1.5 },
  { args = "-c 200 -k close,tfo,early,reset,half -z 16K", seconds = 0.4 },
  { args = "-c 5000 -z 4K", seconds = 3 },
  { args = "-c 100 -k turns -u level,edge,short -z 4K", seconds = 1.5 },
  { args = "-c 1", seconds = 1.5 },
  { args = "-c 50 -e", seconds = 0.4, policy = { blocking = true } },
  { args = "-c 500 -k turns,half,reset,close -z 64K", seconds = 1 },
  { args = "-c 100 -u block -e", seconds = 1.5, policy = { blocking = true } },
}

local function records(file)
  local all = {}
  for line in (helper.read(file) or ""):gmatch("[^\n]+") do all[#all + 1] = cjson.decode(line) end
  return all
end

local function totals(file, connections, gib)
  local sum, all = {}, records(file)
  for _, name in ipairs(SUMS) do
    sum[name] = 0
    for _, record in ipairs(all) do sum[name] = sum[name] + record[name] end
  end
  print(("%d pieces: %d connections, %.1f GiB, %d resets; %d redirects took %d connections, %.1f GiB in %d"
    .. " messages went past the stack; %d errors"):format(#all, sum.connections, sum.bytes / GIB, sum.resets,
    sum.redirects, sum.taken, sum.redirected_bytes / GIB, sum.redirected_msgs, sum.error_count))
  if sum.error_count > 0 or sum.unfinished > 0 then os.exit(1) end
  os.exit(sum.connections >= connections and sum.bytes >= gib * GIB and 0 or 3)
end

-- Starts and stops the redirect until the command has said something; the sums of its stats.
local function come_and_go(child, piece)
  local sum = { redirects = 0 }
  repeat
    local redirect = bpf.redirect { cgroup = helper.cgroup(), policy = piece.policy }
    bpf.run(piece.seconds)
    redirect:stop(1)
    local stats = redirect:stats()
    redirect:close()
    for name, value in pairs(stats) do
      if type(value) == "number" then sum[name] = (sum[name] or 0) + value end
    end
    sum.redirects = sum.redirects + 1
    bpf.run(0.05)
  until child.stdout() ~= ""
  return sum
end

local function run_piece(file, seconds)
  local number = #records(file) + 1
  local piece = PIECES[(number - 1) % #PIECES + 1]
  local child = helper.start(("sh -c 'echo $$ > %s/cgroup.procs; timeout -s KILL %d %s -s %d %s || echo failed'")
    :format(helper.cgroup(), seconds + 300, helper.out .. "/tests/torture", seconds, piece.args))
  local sum = come_and_go(child, piece)
  child.wait()
  local record = cjson.decode(child.stdout():match("^{.-}\n"))
  for name, value in pairs(sum) do record[name] = value end
  record.piece, record.args, record.policy = number, piece.args, piece.policy
  record.kernel, record.at = helper.sh("uname -r"):match("%S+"), os.date("!%FT%TZ")
  local f = assert(io.open(file, "a"))
  assert(f:write(cjson.encode(record), "\n"))
  f:close()
  for _, text in ipairs(record.errors) do print(text) end
end

if arg[1] == "piece" then
  run_piece(arg[2], math.tointeger(arg[3]))
else
  totals(arg[2], tonumber(arg[3]), tonumber(arg[4]))
end
