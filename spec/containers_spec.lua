-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Real pods, run by containerd and runc: every event of their connections has the right pod and container,
-- also of pods that were there before, that are gone at once, that are gone already.

local containers = require "containers"
local helper = require "helper"
local pod = require "bpfnet.pod"
local watch = require "containers_watch"

local HOST = "10.89.77.1"
-- A port of the application and one of its sidecar, for this run.
local APP = 20000 + bpf.now() // 1000 % 10000
local PROXY = APP + 10000

local node, server, watched

-- A web server, and a sidecar that carries what comes to the other port there.
local function web(name, more)
  local spec = { namespace = "shop", name = name, labels = { app = name }, containers = {
    { name = "app", command = { "httpd", "-f", "-p", tostring(APP), "-h", "/etc" } },
    { name = "istio-proxy", image = containers.PROXY,
      command = { "nc", "-ll", "-p", tostring(PROXY), "-e", "nc", "127.0.0.1", tostring(APP) } },
  } }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

local function idle(namespace, name, more)
  local spec = { namespace = namespace, name = name,
    containers = { { name = "app", command = { "sleep", "inf" } } } }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

local function url(address, port)
  return ("http://%s:%d/image"):format(address, port)
end

-- Somebody has to listen first; seen without a connection.
local function wait_for(container, port)
  helper.wait(30, function()
    return helper.sh("nsenter --net=/proc/%d/ns/net ss -Hltn 'sport = :%d'", container.pid, port):find("LISTEN")
  end)
end

local function from_host(address, port)
  local text, status = node:exec("wget -qO- " .. url(address, port))
  assert.are.same({ containers.APP .. "\n", 0 }, { text, status })
end

local function from_pod(client, container, address, port)
  local text, status = client:exec(container, { "wget", "-qO-", url(address, port) })
  assert.are.same({ containers.APP .. "\n", 0 }, { text, status })
end

-- Of a connection to the sidecar, and of the one that this makes to the application.
local function proxied(address, client, to)
  return watch.text(address, client, to .. "/istio-proxy"),
    watch.text("127.0.0.1", to .. "/istio-proxy", to .. "/app")
end

describe("real containers", function()
  setup(function()
    local missing = containers.missing()
    if missing ~= "" then return end
    node = containers.up()
    -- there before bpfnet looks
    server = node:pod(web("cart-0"))
    wait_for(server.containers.app, APP)
    wait_for(server.containers.app, PROXY)
    pod.start()
  end)
  teardown(function()
    pod.stop()
    if node then node:down() end
  end)
  before_each(function()
    if node then watched = watch.attach { APP, PROXY } end
  end)
  after_each(function()
    if watched then watched:close() end
    watched = nil
  end)

  local function test(name, f)
    it(name, function()
      if not node then return pending("needs what `make deps` fetches: " .. containers.missing()) end
      f()
    end)
  end

  test("have their names at both ends, through a sidecar, from before and from now", function()
    local client = node:pod(idle("shop", "web-0", { cgroups = "slice" }))
    from_host(server.ip, APP)
    from_host(server.ip, PROXY)
    from_pod(client, "app", server.ip, PROXY)
    from_pod(server, "istio-proxy", "127.0.0.1", APP)
    watched:settle(24)
    local to = "shop/cart-0"
    local a, b = proxied(HOST, "no pod", to)
    local c, d = proxied(client.ip, "shop/web-0/app", to)
    local conns = watched:take { watch.text(HOST, "no pod", to .. "/app"), a, b, c, d,
      watch.text("127.0.0.1", to .. "/istio-proxy", to .. "/app") }
    local app, proxy = conns[1].accept_identity, conns[2].accept_identity
    assert.are.same({ server.containers.app.id, server.uid, false, containers.APP, "containerd" },
      { app.container_id, app.pod_uid, app.sidecar, app.image, app.runtime })
    assert.are.same({ server.containers["istio-proxy"].id, server.uid, true, containers.PROXY },
      { proxy.container_id, proxy.pod_uid, proxy.sidecar, proxy.image })
    assert.are.equal(server.containers.app.cgroup, conns[1].accept_event.cgroup)
    for p, named in pairs { [server] = to, [client] = "shop/web-0" } do
      assert.are.same({ named, named }, { pod.name(pod.of_addr(p.ip)), pod.name(pod.of_addr(pod.of(
        p.containers.app.cgroup).ip)) })
    end
    client:remove()
  end)

  test("keep their names when they are started again", function()
    local before = server.containers.app.id
    server:restart("app")
    wait_for(server.containers.app, APP)
    from_host(server.ip, PROXY)
    watched:settle(8)
    local conns = watched:take { proxied(HOST, "no pod", "shop/cart-0") }
    assert.are_not.equal(before, server.containers.app.id)
    for _, c in ipairs(conns) do
      if c.address == "127.0.0.1" then
        assert.are.equal(server.containers.app.id, c.accept_identity.container_id)
      end
    end
  end)

  test("have their names when they are gone at once", function()
    local total = watch.guest and 2 or 24
    local churn = helper.start(("%s run %s/tests/runtime/churn.lua %s %d 3 %s %d %d"):format(helper.bpfnet,
      helper.root, node.dir, total, server.ip, APP, PROXY))
    watched:until_true(watch.guest and 200 or 60, function()
      return not helper.read(("/proc/%d/stat"):format(churn.pid))
    end)
    assert.are.same({ "", 0 }, { churn.stderr(), churn.wait() })
    watched:settle(12 * total)
    local expected = {}
    for address, name in churn.stdout():gmatch("(%S+)\t(%S+)\t%d+\n") do
      table.insert(expected, watch.text(address, name .. "/app", "shop/cart-0/app"))
      table.insert(expected, (proxied(address, name .. "/istio-proxy", "shop/cart-0")))
      table.insert(expected, (select(2, proxied("", "", "shop/cart-0"))))
    end
    assert.are.equal(3 * total, #expected)
    watched:take(expected)
  end)

  test("have their names in the host's network", function()
    local port = APP
    local host = node:pod { namespace = "kube-system", name = "agent-x", host_network = true,
      containers = { { name = "agent", command = { "httpd", "-f", "-p", tostring(port), "-h", "/etc" } } } }
    wait_for(host.containers.agent, port)
    from_host(HOST, port)
    from_pod(server, "app", HOST, port)
    from_pod(host, "agent", server.ip, APP)
    watched:settle(12)
    watched:take {
      watch.text(HOST, "no pod", "kube-system/agent-x/agent"),
      watch.text(server.ip, "shop/cart-0/app", "kube-system/agent-x/agent"),
      watch.text(HOST, "kube-system/agent-x/agent", "shop/cart-0/app"),
    }
    host:remove()
  end)

  test("have their names when their connections end later than they do", function()
    if watch.guest then return end -- where removing a pod takes longer than TCP tries
    local client = node:pod(idle("shop", "gone-0"))
    -- after so many tries of the FIN, 0.2 + 0.4 + 0.8 seconds, TCP gives up
    for p, tries in pairs { [client] = 3, [server] = 1 } do
      helper.sh("nsenter --net=/proc/%d/ns/net sysctl -qw net.ipv4.tcp_orphan_retries=%d", p.sandbox.pid, tries)
    end
    client:exec("app", { "sh", "-c", ("(sleep inf | nc %s %d) >/dev/null 2>&1 &"):format(server.ip, APP) })
    watched:settle(2)
    helper.sh("nsenter --net=/proc/%d/ns/net ip route replace blackhole %s", client.sandbox.pid, server.ip)
    local pid = client.containers.app.pid
    client:remove()
    local removed = bpf.now()
    assert.is_nil(helper.read(("/proc/%d/stat"):format(pid)))
    server:restart("app")
    wait_for(server.containers.app, APP)
    watched:settle(4, 20)
    local conns = watched:take { watch.text(client.ip, "shop/gone-0/app", "shop/cart-0/app") }
    local late = conns[1].close_client_event
    assert.is_true(late.ts_ns > removed, "ended " .. (removed - late.ts_ns) .. " ns before")
    assert.are.equal(client.uid, conns[1].close_client_identity.pod_uid)
  end)

  -- The pod that its network namespace alone tells of, and the event it was told for.
  local function by_netns(client)
    local name = ("%s/%s/app"):format(client.namespace, client.name)
    from_pod(client, "app", server.ip, APP)
    watched:settle(4)
    local ev = watched:take({ watch.text(client.ip, name, "shop/cart-0/app") })[1].connect_event
    return pod.of(nil, nil, ev.netns, ev.netns_cookie).pod, ev
  end

  test("are told from who has the number of their network namespace next", function()
    if watch.guest then return end
    local first = node:pod(idle("shop", "first-0"))
    local name, old = by_netns(first)
    assert.are.equal("shop/first-0", name)
    first:remove()
    local all, now = {}, nil
    for i = 1, 10 do
      all[i] = node:pod(idle("shop", "next-" .. i))
      name, now = by_netns(all[i])
      assert.are.equal("shop/next-" .. i, name)
      if now.netns == old.netns then break end
    end
    node:remove(all)
    assert.are.equal(old.netns, now.netns, "the number was not used again")
    if old.netns_cookie ~= 0 then
      assert.are_not.equal(old.netns_cookie, now.netns_cookie)
      assert.are.equal("shop/first-0", pod.of(nil, nil, old.netns, old.netns_cookie).pod)
    end
  end)

  test("are what filters by pod let through, and nothing else, also of pods that come later", function()
    if watch.guest then return end
    local seen, probes = {}, {}
    for what, filter in pairs { sidecars = { sidecar = true }, jobs = { namespace = "job*", container = "app" },
      cart = { pod = "shop/cart-?", image = containers.APP } } do
      filter.port = { APP, PROXY }
      seen[what] = {}
      probes[#probes + 1] = bpf.attach("tcpaccept", { filter = filter }, function(ev)
        table.insert(seen[what], ev.probe .. " " .. pod.name(pod.of_event(ev)))
      end)
      probes[#probes + 1] = bpf.attach("tcpconnect", { filter = filter }, function(ev)
        table.insert(seen[what], ev.probe .. " " .. pod.name(pod.of_event(ev)))
      end)
    end
    local client = node:pod(idle("jobs", "later-0"))
    from_host(server.ip, PROXY)
    from_pod(client, "app", server.ip, APP)
    watched:settle(12)
    for _, probe in ipairs(probes) do probe:close() end
    for _, list in pairs(seen) do table.sort(list) end
    assert.are.same({
      sidecars = { "tcpaccept shop/cart-0/istio-proxy", "tcpconnect shop/cart-0/istio-proxy" },
      jobs = { "tcpconnect jobs/later-0/app" },
      cart = { "tcpaccept shop/cart-0/app", "tcpaccept shop/cart-0/app" },
    }, seen)
    client:remove()
  end)

  -- Its files, its cgroups, its processes. The pattern is none of a text that has it itself, as ours has.
  local function traces_of(other)
    local folder, name = other:match("^(.*)/n([^/]+)$")
    return helper.sh("find %s $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts) -maxdepth 1 -name '[n]%s*';"
      .. " grep -la '[n]%s' /proc/[0-9]*/cmdline /proc/[0-9]*/mounts 2>/dev/null; :", folder, name, name)
  end

  test("are gone when who started them is killed", function()
    if watch.guest then return end -- where the machine is
    local code = [[package.path = "%s/tests/runtime/?.lua;" .. package.path
      local node = require("containers").up()
      node:pod { namespace = "shop", name = "x-0", containers = { { name = "app", command = { "sleep", "inf" } } } }
      print(node.dir) io.stdout:flush()
      bpf.run(60)]]
    local child = helper.start(("%s run -e %s"):format(helper.bpfnet, helper.quote(code:format(helper.root))))
    local other = helper.wait(30, function() return child.stdout():match("(%S+)\n") end)
    assert.is_truthy(traces_of(other):find("/sys/fs/cgroup", 1, true))
    child.kill("KILL")
    pcall(helper.wait, 20, function() return traces_of(other) == "" end)
    assert.are.equal("", traces_of(other))
  end)
end)
