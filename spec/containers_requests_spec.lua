-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Requests to a real service in a pod: curl, haproxy as its sidecar, nginx. Each request is seen at all four
-- ends, with the right container, and what the sidecar keeps it for is what it was told to.

local helper = require "helper"
local services = require "services"
local containers = require "containers"
local pod = require "bpfnet.pod"

local APP = 20000 + bpf.now() // 1000 % 10000
local PROXY = APP + 10000
local KEPT_MS = 20
-- How much longer that may take, and how many requests of each curl: all is slower in an emulated machine.
local SECOND = APP + 20000 -- where a second sidecar listens
local guest = (os.getenv("VMRUN") or "") ~= ""
local LATE_MS, EACH = guest and 300 or 15, guest and 25 or 250

local node, quick, slow

-- Which end it is, by name, and who is there.
local function place(side, sport, dport, identity)
  return ("%s %s %s"):format((side == "connect" and dport or sport) == PROXY and "proxy" or "app", side,
    identity.pod and pod.name(identity) or "no pod")
end

local function expected(name, count)
  return { ["proxy connect no pod"] = count, ["proxy accept " .. name .. "/istio-proxy"] = count,
    ["app connect " .. name .. "/istio-proxy"] = count, ["app accept " .. name .. "/app"] = count }
end

-- Attaches tcprequest, fetches, and lets events come until there are so many and none for a while.
local function watch(on_event, fields, count, command)
  local seen = 0
  local probe <close> = bpf.attach("tcprequest", { filter = { port = { APP, PROXY } }, fields = fields },
    function(...)
      seen = seen + 1
      on_event(...)
    end)
  local child = helper.start(node:command(command))
  local last, since = -1, bpf.now()
  local timer <close> = bpf.every(0.05, function()
    if seen ~= last then last, since = seen, bpf.now() end
    if bpf.now() - since > (seen >= count and 1 or 10) * 1e9 then bpf.stop() end
  end)
  bpf.run(60)
  timer:close()
  assert.are.equal(0, child.wait())
  assert.are.equal(0, probe:stats().dropped)
end

local function urls(p, count)
  return ("'http://%s:%d/64?[1-%d]'"):format(p.ip, PROXY, count)
end

describe("requests to a real service", function()
  local missing = services.missing()
  setup(function()
    if missing ~= "" then return end
    node = containers.up(services.images())
    quick = node:pod(services.pod { namespace = "shop", name = "api-0", port = APP, proxy_port = PROXY })
    slow = node:pod(services.pod { namespace = "shop", name = "slow-0", port = APP, proxy_port = PROXY,
      delay_ms = KEPT_MS })
    for _, p in ipairs { quick, slow } do services.wait(p, { APP, PROXY }) end
    pod.start()
  end)
  teardown(function()
    pod.stop()
    if node then node:down() end
  end)

  local function test(name, f)
    it(name, function()
      if not node then return pending("needs what `make deps` fetches: " .. missing) end
      f()
    end)
  end

  test("are seen at all four ends, with their names, each once", function()
    local counts = {}
    watch(function(cgroup, task_cgroup, netns, netns_cookie, side, sport, dport)
      local at = place(side, sport, dport, pod.of(cgroup, task_cgroup, netns, netns_cookie))
      counts[at] = (counts[at] or 0) + 1
    end, { "cgroup", "task_cgroup", "netns", "netns_cookie", "side", "sport", "dport" }, 16 * EACH,
      ("for i in 1 2 3 4; do curl -s -o /dev/null %s & done; wait"):format(urls(quick, EACH)))
    assert.are.same(expected("shop/api-0", 4 * EACH), counts)
  end)

  test("are kept by the sidecar for as long as it was told to, each told from the others", function()
    local counts, at_app, via, kept = {}, {}, {}, {}
    watch(function(ev)
      local at = place(ev.side, ev.sport, ev.dport, pod.of_event(ev))
      counts[at] = (counts[at] or 0) + 1
      if at == "app connect shop/slow-0/istio-proxy" then
        at_app[("%d %d"):format(ev.via_cookie, ev.via_nth)] = ev
      elseif at == "proxy accept shop/slow-0/istio-proxy" then
        via[#via + 1] = ev
      end
    end, nil, 4 * 30, "curl -s -o /dev/null " .. urls(slow, 30))
    assert.are.same(expected("shop/slow-0", 30), counts)
    for _, ev in ipairs(via) do
      local onward = at_app[("%d %d"):format(ev.cookie, ev.nth)]
      assert.is_truthy(onward, "request " .. ev.nth .. " went nowhere")
      kept[#kept + 1] = (onward.start_ns - ev.start_ns) / 1e6
      assert.is_true(onward.ttfb_ns <= ev.ttfb_ns)
    end
    -- The middle one: haproxy counts from when it looked at the clock last, which may have been a while.
    table.sort(kept)
    local middle = kept[15]
    assert.is_true(middle > KEPT_MS - 1.5 and middle < KEPT_MS + LATE_MS, "kept for " .. middle .. " ms")
  end)

  test("have the name of who asks in the service map, also of one that the filter leaves out", function()
    local caller = node:pod { namespace = "other", name = "caller-0",
      containers = { { name = "app", command = { "sleep", "inf" } } } }
    local child = helper.start(helper.bpfnet .. " run -v service_map --json --namespace shop")
    helper.wait(30, function() return child.stderr():find("tcprequest'?: attached") end)
    for _ = 1, 5 do
      local _, status = caller:exec("app", { "wget", "-qO-", ("http://%s:%d/64"):format(quick.ip, PROXY) })
      assert.are.equal(0, status)
    end
    os.execute("sleep 0.5")
    child.kill("INT")
    assert.are.equal(0, child.wait(), child.stderr())
    caller:remove()
    local total = {}
    for _, row in ipairs(helper.rows(child.stdout())) do
      if row.span == "total" then total[#total + 1] = { row.from, row.to, row.port, row.requests } end
    end
    assert.are.same({ { "other/caller-0", "shop/api-0", PROXY, 5 } }, total)
  end)

  test("go through two sidecars, each with its own delay", function()
    local name = "two-" .. APP
    local spec = services.pod { namespace = "shop", name = name, port = APP, proxy_port = PROXY, delay_ms = 5 }
    local outer = services.pod { namespace = "shop", name = name, port = PROXY, proxy_port = SECOND, delay_ms = 15 }
    spec.containers[3] = outer.containers[2]
    spec.containers[3].name = "linkerd-proxy"
    local two = node:pod(spec)
    services.wait(two, { APP, PROXY, SECOND })
    local child = helper.start(helper.bpfnet .. " run -v sidecar_delay --json --pod shop/" .. name)
    helper.wait(30, function() return child.stderr():find("tcprequest'?: attached") end)
    local _, status = node:exec(("curl -s -o /dev/null 'http://%s:%d/64?[1-20]'"):format(two.ip, SECOND))
    assert.are.equal(0, status)
    os.execute("sleep 0.5")
    child.kill("INT")
    assert.are.equal(0, child.wait(), child.stderr())
    two:remove()
    local kept = { ["in"] = {}, inside = {} }
    for _, row in ipairs(helper.rows(child.stdout())) do
      local ends = row.direction == "in" and { "linkerd-proxy", "istio-proxy" } or { "istio-proxy", "app" }
      assert.are.same(ends, { row.sidecar:match("/([^/]+)$"), row.service:match("/([^/]+)$") })
      table.insert(kept[row.direction], row.sidecar_in_ns / 1e6)
    end
    for direction, least in pairs { ["in"] = 15, inside = 5 } do
      table.sort(kept[direction])
      assert.are.equal(20, #kept[direction])
      local middle = kept[direction][10]
      assert.is_true(middle > least - 1.5 and middle < least + LATE_MS, direction .. ": " .. middle .. " ms")
    end
  end)
end)
