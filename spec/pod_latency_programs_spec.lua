-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- pod_latency on programs that everybody uses: haproxy and nginx as sidecars of an nginx, and ab as the
-- client, which measures its own requests. (What wrk prints is corrected for requests that it did not make.)

local helper = require("helper")
local made = require("request_pods")
local pods = require("pods")

local PROGRAMS = helper.out .. "/programs"
local BODY = 256 * 1024 -- bytes of each answer, so that one takes a while
local REQUESTS = 3000

local NGINX = [[
daemon off; master_process off; user root; pid DIR/NAME.pid; error_log DIR/NAME.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000; root DIR/www; default_type application/octet-stream;
  client_body_temp_path DIR/NAME.b; proxy_temp_path DIR/NAME.p; fastcgi_temp_path DIR/NAME.f;
  uwsgi_temp_path DIR/NAME.u; scgi_temp_path DIR/NAME.s; proxy_buffering off;
  PARTS
}
]]

local NGINX_SIDECAR = [[
upstream app { server 127.0.0.1:8080; keepalive 64; }
server {
  listen 10.1.0.2:15006;
  location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
}]]

local HAPROXY_SIDECAR = [[
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend in
  bind 10.1.0.2:15006
  default_backend app
backend app
  http-reuse always
  server app 127.0.0.1:8080
]]

-- What a program is called by, wherever it is.
local function path_of(name)
  for _, directory in ipairs({ PROGRAMS .. "/usr/sbin", PROGRAMS .. "/usr/bin", "/usr/sbin", "/usr/bin" }) do
    if select(2, helper.sh("test -x %s/%s", directory, name)) == 0 then
      return directory .. "/" .. name
    end
  end
end

local function command(name, arguments)
  local machine = helper.sh("uname -m"):match("%S+")
  return ("env LD_LIBRARY_PATH=%s/usr/lib/%s-linux-gnu:%s/lib/%s-linux-gnu %s %s"):format(PROGRAMS, machine,
    PROGRAMS, machine, path_of(name), arguments)
end

describe("pod_latency", function()
  local network, node, app, sidecar, front, missing

  setup(function()
    for _, name in ipairs({ "nginx", "haproxy", "ab" }) do
      missing = missing or not path_of(name) and name
    end
    if missing then
      return
    end
    network = assert(pods.up("fw=none"))
    node = made.node(network)
    local cart = node:pod("cart-0", "A")
    app, sidecar = cart:container("app"), cart:container("istio-proxy")
    front = node:pod("front-0", "HOST"):container("ab")
    helper.sh("mkdir %s/www && head -c %d /dev/urandom > %s/www/file", node.root, BODY, node.root)
  end)

  teardown(function()
    if node then
      node:down()
      network:down()
    end
  end)

  local function write(name, text)
    local file = assert(io.open(node.root .. "/" .. name, "w"))
    file:write(text)
    file:close()
    return node.root .. "/" .. name
  end

  local function nginx(run, name, parts)
    local text = NGINX:gsub("%u+", { DIR = node.root, NAME = name, PARTS = parts })
    return node:start(run(command("nginx", ("-c %s -e %s/%s.log"):format(write(name .. ".conf", text), node.root,
      name))))
  end

  local function haproxy(run, name, config)
    return node:start(run(command("haproxy", "-db -f " .. write(name .. ".conf", config))))
  end

  -- What ab says of its requests: ns by percentage.
  local function ab(requests, connections)
    local file = node.root .. "/ab.csv"
    local text, status = helper.sh("timeout 100 %s", front(command("ab",
      ("-q -k -n %d -c %d -e %s http://10.1.0.2:15006/file"):format(requests, connections, file))))
    if status ~= 0 then
      return nil, text
    end
    local times = {}
    for q, ms in helper.read(file):gmatch("\n(%d+),([%d.]+)") do
      times[tonumber(q)] = tonumber(ms) * 1e6
    end
    return { times = times, failed = tonumber(text:match("Failed requests: +(%d+)")), text = text }
  end

  local function row_of(rows, pod, direction)
    for _, row in ipairs(rows) do
      if row.name == made.namespace .. "/" .. pod and row.direction == direction then
        return row
      end
    end
    error(("no row of %s %s"):format(pod, direction))
  end

  -- 10%, and what a process may be kept from running between the kernel's moment and its own
  local function is_near(truth, got, what)
    assert.is_true(math.abs(got - truth) <= math.max(0.1 * truth, 100000),
      ("%s: %.0f ns, ab says %.0f"):format(what, got, truth))
  end

  for _, case in ipairs({ { "haproxy", haproxy, HAPROXY_SIDECAR }, { "nginx", nginx, NGINX_SIDECAR } }) do
    it("agrees with ab about an nginx behind " .. case[1], function()
      if missing then
        pending("no " .. missing .. " here (hint: tests/runtime/programs.sh fetch)")
        return
      end
      local service = nginx(app, "app", "server { listen 127.0.0.1:8080; sendfile on; }")
      local proxy = case[2](sidecar, "sidecar", case[3])
      helper.wait(20, function() return ab(1, 1) end)
      local load
      local text, stderr = node:trace("pod_latency", "--json --namespace " .. made.namespace, function()
        load = assert(ab(REQUESTS, 4))
      end, 4)
      proxy.stop()
      service.stop()
      assert.are.equal(0, load.failed, load.text)
      assert.is_nil(stderr:find("lost"), stderr)
      local rows = made.totals(text)
      local into, out = row_of(rows, "cart-0", "in"), row_of(rows, "front-0", "out")
      assert.are.same({ REQUESTS, REQUESTS, REQUESTS }, { into.requests, into.proxied, out.requests })
      assert.is_true(into.sent_on >= 0.99 * REQUESTS, ("%d sent on"):format(into.sent_on))
      for _, row in ipairs({ into, out }) do
        for _, q in ipairs({ 50, 90, 99 }) do
          is_near(load.times[q], row[("p%d_ns"):format(q)], ("p%d %s"):format(q, row.direction))
        end
      end
    end)
  end
end)
