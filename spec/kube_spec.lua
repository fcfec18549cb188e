-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpfnet.kube with the answers of a real API server, recorded (tests/runtime/kube_exchange.json says of which):
-- no Debian release has a kube-apiserver that could run here.

local helper = require "helper"
package.path = helper.root .. "/tests/runtime/?.lua;" .. package.path
local web = require "web"
local kube = require "bpfnet.kube"
local kube_watch = require "bpfnet.kube_watch"

local PREFIX = "/apis/t.bpfnet.io/v1"
local folder, server

-- What a source says, as short lines, and what is logged meanwhile.
local said, logged, records
local real_log

local function short(record)
  if record.gone then
    return "gone " .. (record.pod_uid or record.container_id:gsub("0+", "-")):sub(1, 4)
  elseif record.container_id then
    return ("%s/%s %s %s"):format(record.name, record.container, record.image, record.container_id:sub(-1))
  end
  return ("%s %s %s"):format(record.name, record.labels.app, record.ip)
end

local function sink(record)
  said[#said + 1] = short(record)
  records[short(record)] = record
end

local function source(opts)
  opts = opts or {}
  opts.server = opts.server or "http://kube.test"
  opts.unix_socket = folder .. "/kube.sock"
  opts.token_file = opts.token_file or folder .. "/token"
  opts.prefix, opts.node = PREFIX, "n1"
  return kube.source(opts)
end

-- Runs the loop until f() is true.
local function wait(f, seconds)
  local timer <close> = bpf.every(0.02, function()
    if f() then bpf.stop() end
  end)
  assert.are.equal("stopped", bpf.run(seconds or 15), timer and table.concat(said, "; ") .. " | "
    .. table.concat(logged, "; "))
end

local function pause(seconds)
  local timer <close> = bpf.after(seconds + 60, print)
  assert.are.equal("timeout", bpf.run(seconds), timer)
end

local function set(name, text)
  web.write(folder .. "/" .. name, text or "")
end

local function unset(name)
  os.remove(folder .. "/" .. name)
end

local function requests()
  local list = {}
  for line in io.lines(folder .. "/requests") do list[#list + 1] = line end
  return list
end

local function has(list, part)
  local n = 0
  for _, text in ipairs(list) do
    n = n + (text:find(part, 1, true) and 1 or 0)
  end
  return n
end

local LISTED = {
  "cart-0 cart 10.0.0.1", "cart-0/proxy envoy:1 1", "cart-0/app cart:1 1",
  "cart-1 cart 10.0.0.2", "cart-1/proxy envoy:1 2", "cart-1/app cart:1 2",
  "cart-2 cart 10.0.0.4", "cart-2/proxy envoy:1 4", "cart-2/app cart:1 4",
}
local WATCHED = {
  "cart-3 cart 10.0.0.5", "cart-3/proxy envoy:1 5", "cart-3/app cart:1 5",
  "cart-0 new 10.0.0.1", "cart-0/proxy envoy:1 1", "cart-0/app cart:1 1",
}

describe("bpfnet.kube", function()
  local missing = web.missing("python3 nginx-light openssl")
  if missing ~= "" then
    pending("needs " .. missing .. " (tests/runtime/programs.sh fetch)", function() end)
    return
  end

  before_each(function()
    folder = web.folder()
    set("token", "good\n")
    server = web.kube(folder)
    said, logged, records = {}, {}, {}
    real_log = bpf.log
    rawset(bpf, "log", function(level, format, ...)
      if level ~= "debug" then logged[#logged + 1] = level .. " " .. format:format(...) end
    end)
  end)

  after_each(function()
    rawset(bpf, "log", real_log)
    server.close()
    web.remove(folder)
  end)

  it("lists the pods of its node, page by page, and follows what changes", function()
    local s <close> = source()
    s:start(sink)
    wait(function() return said[18] end)
    local cart2 = records["cart-2 cart 10.0.0.4"].pod_uid
    local want = {}
    for _, text in ipairs(LISTED) do want[#want + 1] = text end
    for _, text in ipairs(WATCHED) do want[#want + 1] = text end
    for _, id in ipairs { "9-4", "-4", cart2:sub(1, 4) } do want[#want + 1] = "gone " .. id end
    helper.same_list(want, said)
    assert.are.same({}, logged)
    local got = requests()
    assert.are.equal(3, #got)
    assert.are.equal("GET " .. PREFIX .. "/pods?fieldSelector=spec.nodeName%3Dn1&limit=250 good", got[1])
    assert.is_truthy(got[2]:find("?continue=eyJ2", 1, true))
    assert.is_truthy(got[3]:find("?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dn1&", 1, true), got[3])
    assert.is_truthy(got[3]:find("&resourceVersion=27&timeoutSeconds=%d+&watch=1 good$"), got[3])
    local record = records["cart-0 new 10.0.0.1"]
    assert.are.equal("shop", record.namespace)
    assert.are.equal("ReplicaSet/cart-5d8", record.owner)
    assert.are.same({ "10.0.0.1", "fd00::1" }, record.ips)
    assert.are.same({ a = "b" }, record.annotations)
    assert.are.same({ { name = "proxy", image = "envoy:1", restartPolicy = "Always" } }, record.spec.initContainers)
    assert.are.same({ { name = "app", image = "cart:1" } }, record.spec.containers)
    local container = records["cart-0/proxy envoy:1 1"]
    assert.are.equal("9" .. ("0"):rep(62) .. "1", container.container_id)
    assert.are.equal(record.pod_uid, container.pod_uid)
    wait(function() return s:stats().watches[1].version == "32" end) -- the bookmark's
    assert.are.equal("watching", s:stats().watches[1].state)
    assert.are.equal("cart-3", s:of_addr("fd00::5").name)
    assert.is_nil(s:of_addr("10.0.0.4"))
  end)

  it("goes on from the bookmark when a watch has had its time", function()
    local s <close> = source()
    s:start(sink)
    wait(function() return s:stats().watches[1].version == "32" end)
    pause(1)
    set("end")
    wait(function() return has(requests(), "resourceVersion=32") == 1 end)
    unset("end")
    pause(0.3)
    assert.are.equal(18, #said)
    assert.are.equal(1, s:stats().watches[1].lists)
  end)

  it("goes on from the last event when a watch breaks off, and says so once", function()
    set("break")
    local s <close> = source()
    s:start(sink)
    wait(function() return said[12] and #logged > 0 end)
    local added = "resourceVersion=" .. s:stats().watches[1].version
    assert.are_not.equal("resourceVersion=27", added)
    unset("break")
    wait(function() return has(requests(), added) > 0 end)
    wait(function() return #logged == 2 end)
    assert.is_truthy(logged[1]:find("^warn Kubernetes API http://kube.test" .. PREFIX:gsub("%p", "%%%0")
      .. "/pods: .*; labels, addresses and owners of pods are missing meanwhile, it is tried again$"), logged[1])
    assert.is_truthy(logged[2]:find("^info .*: is back$"), logged[2])
    assert.are.equal(12, #said)
    assert.are.equal(1, s:stats().watches[1].lists)
  end)

  it("lists anew when its version is too old, and tells of pods that went meanwhile", function()
    local s <close> = source()
    s:start(sink)
    wait(function() return s:stats().watches[1].version == "32" end)
    -- cart-2 is gone, cart-3 there; the recorded list has it the other way round
    local cart3 = records["cart-3 cart 10.0.0.5"].pod_uid
    local one = s.watches[1]
    one.version, one.listed_ns = "3", 0
    one:start()
    wait(function() return has(said, "gone " .. cart3:sub(1, 4)) == 1 end)
    assert.are.equal(2, s:stats().watches[1].lists)
    assert.are.same({}, logged)
    assert.are.equal(2, has(said, "cart-2 cart"))
  end)

  it("does not list again and again what is too old at once", function()
    set("expire")
    local s <close> = source()
    s:start(sink)
    wait(function() return #logged > 0 end)
    pause(0.3)
    assert.is_truthy(logged[1]:find("a version that was just listed is too old for a watch", 1, true))
    assert.is_true(#requests() <= 6)
    unset("expire")
    wait(function() return logged[2] end)
    assert.is_truthy(logged[2]:find("is back", 1, true))
  end)

  it("starts a list again whose second page has expired", function()
    set("expire_page")
    local s <close> = source()
    s:start(sink)
    wait(function() return s:stats().watches[1].state == "watching" end)
    assert.are.equal(2, has(requests(), "&limit=250 good") - has(requests(), "continue="))
    assert.are.same({}, logged)
  end)

  it("says once that a list is cut off, and takes nothing of it for gone", function()
    local s <close> = source()
    s:start(sink)
    wait(function() return said[18] end)
    set("truncate")
    local one = s.watches[1]
    one.version, one.listed_ns = "3", 0
    one:start()
    wait(function() return #requests() >= 7 end)
    assert.are.equal(1, #logged)
    assert.is_truthy(logged[1]:find("^warn .*/pods: not JSON: {"), logged[1])
    assert.are.equal(18, #said)
    unset("truncate")
    wait(function() return logged[2] end)
    assert.is_truthy(logged[2]:find("is back", 1, true))
  end)

  it("is not held up by a server that hangs, nor by one that sends rubbish", function()
    kube_watch.seconds.page = 1.5
    set("hang")
    local s <close> = source()
    local ticks = 0
    local timer <close> = bpf.every(0.01, function() ticks = ticks + 1 end)
    local began = bpf.now()
    s:start(sink)
    assert.is_true(bpf.now() - began < 1.2e9)
    wait(function() return logged[1] end)
    assert.is_truthy(logged[1]:find("timed out", 1, true), logged[1])
    assert.is_true(ticks > 10)
    unset("hang")
    set("status", "503")
    wait(function() return #requests() >= 2 end)
    unset("status")
    set("garbage")
    wait(function() return said[18] and s:stats().watches[1].failures > 0 end)
    unset("garbage")
    wait(function() return logged[#logged]:find("is back", 1, true) and s:stats().watches[1].failures == 0 end)
    kube_watch.seconds.page = 30
    assert.is_truthy(timer)
  end)

  it("tries a token again that was replaced, and says what a wrong one is", function()
    set("token", "bad")
    local s <close> = source()
    s:start(sink)
    wait(function() return logged[1] end)
    assert.is_truthy(logged[1]:find("HTTP status 401: Unauthorized; labels", 1, true), logged[1])
    assert.is_truthy(logged[1]:find("hint: the token or certificate is not valid there", 1, true))
    set("token", "good\n")
    wait(function() return said[9] end)
    assert.is_truthy(logged[2]:find("is back", 1, true))
    assert.are.equal(2, #logged)
  end)

  it("finds a server again that was restarted", function()
    local s <close> = source()
    s:start(sink)
    wait(function() return s:stats().watches[1].version == "32" end)
    server.close()
    wait(function() return logged[1] end)
    pause(2)
    assert.are.equal(1, #logged)
    server = web.kube(folder)
    wait(function() return logged[2] end, 30)
    assert.is_truthy(logged[2]:find("is back", 1, true))
    set("say", '{"type":"DELETED","object":{"metadata":{"uid":"abcdef","resourceVersion":"99"}}}\n')
    wait(function() return said[19] end)
    assert.are.equal("gone abcd", said[19])
    assert.are.equal("99", s:stats().watches[1].version)
  end)

  it("knows the pods and services of the cluster by their addresses, if asked to", function()
    local s <close> = source { peers = "cluster" }
    s:start(sink)
    wait(function() return s:of_addr("10.96.0.10") and s:of_addr("10.0.0.5") end)
    assert.are.same({ kind = "service", namespace = "shop", name = "cart", labels = { app = "cart" },
      ips = { "10.96.0.10", "fd00:96::10" } }, s:of_addr("fd00:96::10"))
    assert.are.equal("n1", s:of_addr("10.0.0.5").node)
    assert.is_nil(s:of_addr("None"))
    assert.is_nil(requests()[1]:find("fieldSelector"))
  end)

  it("speaks TLS as a kubeconfig or a service account says", function()
    web.certificates(folder, "kube.test", "client.test")
    local port = 20000 + bpf.now() // 1000 % 12000
    local nginx = web.nginx(folder, ([[
      server {
        listen unix:nginx.sock; listen 127.0.0.1:%d ssl; ssl_certificate kube.test.pem;
        ssl_certificate_key kube.test.key; ssl_client_certificate ca.pem; ssl_verify_client optional;
        location / {
          proxy_pass http://unix:%s/kube.sock:; proxy_http_version 1.1; proxy_buffering off;
        }
      }]]):format(port, folder), folder .. "/nginx.sock")
    server.close()
    server = web.kube(folder)
    local function base64(name)
      return (helper.sh("base64 -w0 %s/%s", folder, name):gsub("\n", ""))
    end
    web.write(folder .. "/config", ([[
apiVersion: v1
kind: Config
current-context: there
clusters:
- name: other
  cluster: {"server": "https://127.0.0.1:1"}
- name: here
  cluster:
    certificate-authority-data: %s
    server: https://127.0.0.1:%d   # nginx
contexts:
- name: there
  context:
    cluster: here
    user: "me"
users:
- name: me
  user:
    token: good
    client-certificate-data: %s
    client-key: client.test.key
]]):format(base64("ca.pem"), port, base64("client.test.pem")))
    os.execute(("mkdir %s/account && cp %s/ca.pem %s/account/ca.crt && cp %s/token %s/account/token"):format(folder,
      folder, folder, folder, folder))
    for _, opts in ipairs { ("kubeconfig = %q"):format(folder .. "/config"),
      ("account = %q"):format(folder .. "/account") } do
      local text = helper.sh([[KUBECONFIG= KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=%d \
        NODE_NAME=n1 timeout 20 %s run -e %s]], port, helper.bpfnet, helper.quote(([[
          local s = require("bpfnet.kube").source{ prefix = %q, %s }
          local n = 0
          s:start(function(record) n = n + 1 if n == 18 then bpf.stop() end end)
          bpf.after(10, bpf.stop)
          bpf.run()
          print(n, bpf.json(s:stats().watches[1].state))]]):format(PREFIX, opts)))
      assert.are.equal('18\t"watching"\n', text)
    end
    -- an authority that did not sign it
    web.write(folder .. "/ca.crt", web.read(folder .. "/client.test.pem"))
    local s <close> = kube.source { server = "https://127.0.0.1:" .. port, ca_file = folder .. "/ca.crt", node = "n1",
      token = "good" }
    s:start(sink)
    wait(function() return logged[1] end)
    assert.is_truthy(logged[1]:find("certificate", 1, true), logged[1])
    s:stop()
    nginx.close()
  end)

  it("says where it could have looked when there is no server", function()
    local text = helper.sh([[KUBECONFIG= KUBERNETES_SERVICE_HOST= timeout 20 %s run -e %s]], helper.bpfnet,
      helper.quote([[require("bpfnet.kube").source{ account = "/nosuch" }:start(print) print(bpf.run(5))]]))
    assert.is_truthy(text:find("warning: Kubernetes API: no Kubernetes API server is known here", 1, true), text)
    assert.is_truthy(text:find("hint: kube.source{ kubeconfig = PATH }", 1, true), text)
    assert.is_truthy(text:find("idle\n", 1, true), text)
  end)

  it("refuses options that it does not have", function()
    for message, opts in pairs {
      ['kube.source: unknown option "kubecfg", did you mean "kubeconfig"? (known: '] = { kubecfg = "x" },
      ['kube.source: bad option "peers": expected "cluster", got "all"'] = { peers = "all" },
      ['kube.source: bad option "insecure": expected a boolean, got string'] = { insecure = "yes" },
    } do
      local ok, got = pcall(kube.source, opts)
      assert.is_false(ok)
      assert.is_truthy(got:find(message, 1, true), got)
    end
  end)
end)

describe("bpfnet.kube_config", function()
  local config = require "bpfnet.kube_config"
  local path = os.tmpname()

  local HEAD = "current-context: a\ncontexts:\n- name: a\n  context: {\"cluster\": \"c\", \"user\": \"u\"}\n"
  local CLUSTER = "clusters:\n- name: c\n  cluster:\n    server: https://h:1\n"

  local function read(text)
    web.write(path, text)
    return config.read(path)
  end

  it("reads JSON and YAML alike", function()
    local found = assert(read(HEAD .. CLUSTER .. "    certificate-authority: ca.crt\n"
      .. "    insecure-skip-tls-verify: true\nusers:\n- name: u\n  user:\n    tokenFile: /t\n"))
    assert.are.same({ server = "https://h:1", ca_file = path:match("^.*/") .. "ca.crt", insecure = true,
      token_file = "/t" }, found)
    found = assert(read([[{"current-context": "a",
      "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
      "clusters": [{"name": "c", "cluster": {"server": "https://h:2", "certificate-authority-data": "aGk="}}],
      "users": [{"name": "u", "user": {"token": "x"}}]}]]))
    assert.are.same({ server = "https://h:2", ca_data = "hi", token = "x" }, found)
  end)

  it("says what it can't use, and where", function()
    local users = "users:\n- name: u\n  user:\n"
    for text, message in pairs {
      ["a: |\n  x"] = "line 1: a text of several lines (|), which is not read here",
      ["a: &x b"] = "line 1: an anchor (&), which is not read here",
      ["a: 1\n\tb: 2"] = "line 2: a tab at its start, expected blanks",
      ["a:\n   b: 1\n  c: 2"] = "line 3: more indented than what it belongs to",
      [HEAD] = "it names the cluster 'c', which is not there",
      [HEAD .. CLUSTER] = "it names the user 'u', which is not there",
      [HEAD .. CLUSTER .. users .. "    exec:\n      command: aws\n"] =
        "its user logs in by 'exec', which is not done here: a token or a client certificate is",
      [HEAD .. CLUSTER .. users .. "    client-certificate-data: '***'\n"] = "client-certificate-data is not base64",
      ['{"a": '] = "Expected value",
    } do
      local found, got = read(text)
      assert.is_nil(found)
      assert.is_truthy(got:find("kubeconfig '" .. path .. "': ", 1, true), got)
      assert.is_truthy(got:find(message, 1, true), got)
    end
    assert.are.equal("kubeconfig /nosuch: No such file or directory", select(2, config.read("/nosuch")))
    os.remove(path)
  end)

  it("decodes base64", function()
    assert.are.equal("", config.base64(""))
    assert.are.equal("\0\255abc", config.base64("AP9h\nYmM="))
    assert.are.equal("a", config.base64("YQ=="))
    assert.is_nil(config.base64("Y*=="))
  end)
end)
