-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Pods that are gone at once, on a node that is there:  bpfnet run churn.lua DIR COUNT TOGETHER IP PORT PORT
--
-- Each has two containers, `app` and `istio-proxy`; each of those fetches one page, from the first port and
-- from the second, and ends; then the pod is removed. TOGETHER of them come and go at the same time. Prints
-- a line for each: its address, its name, and how long its containers were there, in milliseconds.

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local containers = require "containers"

local node = containers.open(arg[1])
local total, together = math.tointeger(arg[2]), math.tointeger(arg[3])
local ip, ports = arg[4], { arg[5], arg[6] }

local function fetch(name, image, port)
  return { name = name, image = image, command = { "wget", "-qO-", ("http://%s:%s/"):format(ip, port) } }
end

local function spec(i)
  return { namespace = "jobs", name = "churn-" .. i, brief = true, containers = {
    fetch("app", containers.APP, ports[1]), fetch("istio-proxy", containers.PROXY, ports[2]),
  } }
end

for first = 1, total, together do
  local specs = {}
  for i = first, math.min(first + together - 1, total) do specs[#specs + 1] = spec(i) end
  local pods = node:pods(specs)
  local since = bpf.now()
  node:wait(pods, 60)
  node:remove(pods)
  for _, p in ipairs(pods) do
    print(p.ip, p.namespace .. "/" .. p.name, (bpf.now() - since) // 1000000)
  end
  io.stdout:flush()
end
