-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Servers for specs of HTTP: nginx as it is in Debian, and the answers of a Kubernetes API server as they were
-- recorded (kube_replay.py), both on unix sockets in a folder of the test's own. A thing that is not installed
-- may be unpacked by programs.sh.

local web = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local root = here .. "/../.."

local function sh(fmt, ...)
  local p = assert(io.popen(fmt:format(...) .. " 2>&1"))
  local text = p:read("a")
  local _, _, code = p:close()
  return text, code
end

-- Programs that were unpacked before those of the machine.
local function env()
  local programs = sh("realpath -m %s/.output/programs", root):gsub("\n", "")
  local libs = ("%s/usr/lib/%s-linux-gnu"):format(programs, sh("uname -m"):gsub("\n", ""))
  return ("env PATH=%s/usr/sbin:%s/usr/bin:$PATH:/usr/sbin LD_LIBRARY_PATH=%s"):format(programs, programs, libs)
end

---Which of these packages are neither installed nor unpacked: one line, or nothing.
function web.missing(names)
  return (sh("%s/tests/runtime/programs.sh missing %s", root, names):gsub("\n", ""))
end

---A folder of the test's own; to be removed with web.remove().
function web.folder()
  return (sh("mktemp -d /tmp/bpfnet-web.XXXXXX"):gsub("\n", ""))
end

function web.remove(folder)
  sh("rm -r %s", folder)
end

function web.write(path, text)
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
end

function web.read(path)
  local f <close> = assert(io.open(path))
  return f:read("a")
end

-- The file is there from bind() on, but takes connections only from listen() on: flag __SO_ACCEPTCON.
local function listens(path)
  for line in io.lines("/proc/net/unix") do
    local flags, name = line:match("^%x+: %x+ %x+ (%x+) %x+ %x+ +%d+ (.+)$")
    if flags == "00010000" and (name == path or name == path:match("[^/]+$")) then return true end
  end
end

---Starts a command in the background and waits for its socket; it ends in 5 minutes by itself at the latest.
---@return table server server.close()
function web.start(command, folder, socket)
  local pid = sh("cd %s && { %s timeout 300 %s >>%s/log 2>&1 </dev/null & echo $!; }", folder, env(), command,
    folder):match("%d+")
  for _ = 1, 200 do
    if listens(socket) then
      return { close = function()
        -- its child, the server; timeout goes with it
        os.execute(("kill -KILL $(cat /proc/%s/task/%s/children 2>/dev/null) 2>/dev/null"):format(pid, pid))
      end }
    end
    os.execute("sleep 0.05")
  end
  error(command .. " did not start: " .. web.read(folder .. "/log"))
end

---An authority, and what it signs for each name and 127.0.0.1: FOLDER/ca.pem, NAME.pem, NAME.key.
function web.certificates(folder, ...)
  local text = sh([[cd %s && key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; } &&
    key ca && openssl req -x509 -key ca.key -subj /CN=authority -days 2 -out ca.pem]], folder)
  for _, name in ipairs({ ... }) do
    text = text .. sh([[cd %s && openssl ecparam -name prime256v1 -genkey -noout -out %s.key &&
      openssl req -new -key %s.key -subj /CN=%s -out %s.csr && echo subjectAltName=DNS:%s,IP:127.0.0.1 >%s.ext &&
      openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile %s.ext -out %s.pem]],
      folder, name, name, name, name, name, name, name, name, name)
    assert(#web.read(folder .. "/" .. name .. ".pem") > 0, text)
  end
end

---Starts nginx. `servers` is its configuration inside of http{}; paths in it are from the folder.
function web.nginx(folder, servers, socket)
  sh("rm -f %s/*.sock", folder) -- of one that was killed
  web.write(folder .. "/nginx.conf", ([[
    daemon off; master_process off; user root; pid nginx.pid; error_log nginx.log;
    events { worker_connections 256; }
    http {
      access_log off; root www; default_type text/plain; client_max_body_size 8m;
      client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
      %s
    }]]):format(servers))
  return web.start(("nginx -p %s -c %s/nginx.conf -e %s/nginx.log"):format(folder, folder, folder), folder, socket)
end

---Starts the server that answers as a Kubernetes API server was recorded to, on FOLDER/kube.sock. What it does
---otherwise is said by files in FOLDER: see kube_replay.py.
function web.kube(folder)
  os.remove(folder .. "/kube.sock")
  return web.start(("python3 %s/kube_replay.py %s %s/kube_exchange.json"):format(sh("realpath %s", here):gsub("\n", ""),
    folder, sh("realpath %s", here):gsub("\n", "")), folder, folder .. "/kube.sock")
end

return web
