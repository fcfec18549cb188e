-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Pods with a service as people run them: nginx in the container `app`, haproxy before it in `istio-proxy`,
-- and wrk as load. The programs are those of programs.sh.
--
--     local services = require "services"
--     local node = require("containers").up(services.images())
--     local pod = node:pod(services.pod { namespace = "shop", name = "api-0", port = 8080, proxy_port = 8000 })
--     services.wait(pod, { 8080, 8000 })
--     local done = services.load(node, ("http://%s:8000/64"):format(pod.ip), { seconds = 1, connections = 4 })

local containers = require "containers"

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local unpacked = here .. "/../../.output/programs"

local services = { APP = "registry.test/shop/nginx:1" }

local function sh(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("a")
  local _, _, code = p:close()
  return text, code
end

---What is missing of the packages, "" if nothing.
function services.missing()
  local text, status = sh(here .. "/programs.sh missing nginx-light haproxy wrk")
  assert(status == 0, text)
  return (text:gsub("%s+$", "")) .. containers.missing()
end

-- An unpacked program before an installed one.
local function program(name)
  local path, status = sh(("PATH=%s/usr/sbin:%s/usr/bin:/usr/sbin:/usr/bin; p=$(command -v %s) && realpath $p")
    :format(unpacked, unpacked, name))
  assert(status == 0, "no " .. name)
  return path:match("[^\n]+")
end

---The images of such pods, for containers.up().
function services.images()
  return { [services.APP] = { program("nginx") }, [containers.PROXY] = { program("haproxy") } }
end

local NGINX = [[daemon off; master_process off; user root; pid /tmp/pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000; default_type text/plain; root /www;
  client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u;
  scgi_temp_path /tmp/s; server { listen %d; } }]]

local HAPROXY = [[%sdefaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend in
  bind :%d
  %s
  default_backend app
backend app
  http-reuse always
  server app 127.0.0.1:%d
]]

-- In haproxy: each request waits for so long.
local DELAY = "core.register_action('delay', { 'http-req' }, function() core.msleep(%d) end)"

-- A container that writes a file or two and then becomes the program.
local function configured(name, image, files, before, command)
  local script, argv = before, { "sh" }
  for path, text in pairs(files) do
    argv[#argv + 1] = text
    script = ("%sprintf '%%s' \"$%d\" >%s; "):format(script, #argv - 1, path)
  end
  return { name = name, image = image, command = { "sh", "-c", script .. "exec " .. command, table.unpack(argv) } }
end

local function haproxy(opts)
  local files, head, rule = {}, "", ""
  if opts.delay_ms then
    head, rule = "global\n  lua-load /tmp/delay.lua\n", "http-request lua.delay"
    files["/tmp/delay.lua"] = DELAY:format(opts.delay_ms)
  end
  files["/tmp/conf"] = HAPROXY:format(head, opts.proxy_port, rule, opts.port)
  return configured("istio-proxy", containers.PROXY, files, "", "haproxy -db -f /tmp/conf")
end

---What node:pod() takes for one.
---@param opts table {namespace=, name=, port= nginx's, proxy_port= haproxy's?, delay_ms?= how long haproxy keeps
---  each request, and whatever else node:pod() takes}. nginx has the files /64, /64k and /1m, of so many bytes
---@return table
function services.pod(opts)
  local files = "for n in 64 64k 1m; do head -c $n /dev/zero | tr '\\0' x >/www/$n; done; "
  local spec = {}
  for key, value in pairs(opts) do spec[key] = value end
  spec.port, spec.proxy_port, spec.delay_ms = nil, nil, nil
  spec.containers = { configured("app", services.APP, { ["/tmp/conf"] = NGINX:format(opts.port) }, files,
    "nginx -c /tmp/conf -e /dev/null") }
  if opts.proxy_port then spec.containers[2] = haproxy(opts) end
  return spec
end

---Waits until all that a pod's containers are to listen on is there; no connection is made.
---@param ports integer[]
function services.wait(pod, ports)
  local deadline = bpf.now() + 30e9
  for _, port in ipairs(ports) do
    local look = ("nsenter --net=/proc/%d/ns/net ss -Hltn 'sport = :%d'"):format(pod.sandbox.pid, port)
    while not sh(look):find("LISTEN") do
      if bpf.now() > deadline then
        error(("nobody listens on %d: %s"):format(port, pod:log("app")))
      end
      os.execute("sleep 0.02")
    end
  end
end

---The command that loads an address, to be run by node:exec() or helper.start(node:command()).
---@param opts? table {seconds=1, connections=4}
function services.load_command(url, opts)
  opts = opts or {}
  local machine = sh("uname -m"):match("%S+")
  return ("LD_LIBRARY_PATH=%s/usr/lib/%s-linux-gnu %s -t 1 -c %d -d %ds %s"):format(unpacked, machine,
    program("wrk"), opts.connections or 4, opts.seconds or 1, url)
end

---What wrk printed, read.
---@return table {requests= answered, errors= others}
function services.load_result(text)
  local requests = assert(text:match("(%d+) requests in"), text)
  local errors = 0
  for n in (text:match("Socket errors: ([^\n]*)") or ""):gmatch("%d+") do errors = errors + n end
  return { requests = math.tointeger(requests),
    errors = errors + (text:match("Non%-2xx or 3xx responses: (%d+)") or 0) }
end

---Loads an address from the node and waits until that is done.
function services.load(node, url, opts)
  local text = node:exec(services.load_command(url, opts))
  return services.load_result(text)
end

return services
