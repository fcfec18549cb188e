-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpfnet.cri with a real containerd and real pods; sockets that hang, die, or are something else. The wire
-- format below it, with bytes from the specification.

local helper = require "helper"
local containers = require "containers"
local cri = require "bpfnet.cri"
local grpc = require "bpfnet.grpc"
local pod = require "bpfnet.pod"
local protobuf = require "bpfnet.protobuf"
package.path = helper.root .. "/tests/runtime/?.lua;" .. package.path
local web = require "web"

local said, logged, real_log

local function sink(record)
  said[#said + 1] = record
end

local function start(opts)
  local s = cri.source(opts)
  s:start(sink)
  return s
end

-- Runs the loop until f() is true.
local function wait(f, seconds)
  local timer <close> = bpf.every(0.02, function()
    if f() then bpf.stop() end
  end)
  assert.are.equal("stopped", bpf.run(seconds or 20), timer and table.concat(logged, "; "))
end

-- The last record in which these members are so.
local function find(want)
  for i = #said, 1, -1 do
    local all = true
    for key, value in pairs(want) do all = all and said[i][key] == value end
    if all then return said[i] end
  end
end

local function catch_log()
  said, logged, real_log = {}, {}, bpf.log
  rawset(bpf, "log", function(level, format, ...)
    if level ~= "debug" then logged[#logged + 1] = level .. " " .. format:format(...) end
  end)
end

local function release_log()
  rawset(bpf, "log", real_log)
end

local function sleeper(name, more)
  local spec = { namespace = "shop", name = name, labels = { app = name, tier = "front" },
    annotations = { note = "of " .. name },
    containers = { { name = "app", command = { "sleep", "inf" } } } }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

describe("bpfnet.cri with containerd", function()
  local node, first

  setup(function()
    if containers.missing() ~= "" then return end
    node = containers.up()
    first = node:pod(sleeper("cart-0"))
  end)
  teardown(function()
    if node then node:down() end
  end)
  before_each(catch_log)
  after_each(release_log)

  local function test(name, f)
    it(name, function()
      if not node then return pending("needs what `make deps` fetches: " .. containers.missing()) end
      f()
    end)
  end

  local function source()
    return start { socket = node.dir .. "/containerd.sock" }
  end

  test("tells of pods that are there: labels, annotations, addresses, images", function()
    local s <close> = source()
    wait(function() return find { pod_uid = first.uid, ip = first.ip } end)
    local record = find { pod_uid = first.uid, ip = first.ip }
    assert.are.equal("shop", record.namespace)
    assert.are.equal("cart-0", record.name)
    assert.are.equal("front", record.labels.tier)
    assert.are.equal("of cart-0", record.annotations.note)
    wait(function() return find { container_id = first.containers.app.id, ip = first.ip } end)
    local container = find { container_id = first.containers.app.id }
    assert.are.equal("app", container.container)
    assert.are.equal(containers.APP, container.image)
    assert.are.equal(first.uid, container.pod_uid)
    assert.are.equal("cart-0", container.labels.app)
    assert.is_true(find({ container_id = first.sandbox_id }).sandbox)
    local stats = s:stats()
    assert.are.equal("alive", stats.state)
    assert.are.equal(1, stats.pods)
    assert.are.equal(1, stats.containers)
    assert.is_truthy(stats.runtime:find("^containerd [12]%."), stats.runtime)
    assert.is_truthy(stats.mode:find("events", 1, true), stats.mode)
    assert.are.same({}, logged)
  end)

  test("tells of pods as they come and go, and of nothing twice", function()
    local s <close> = source()
    wait(function() return find { pod_uid = first.uid, ip = first.ip } end)
    local began = bpf.now()
    local second = node:pod(sleeper("cart-1"))
    wait(function() return find { pod_uid = second.uid, ip = second.ip } end)
    wait(function() return find { container_id = second.containers.app.id, name = "cart-1", ip = second.ip } end)
    second:restart("app")
    wait(function() return find { container_id = second.containers.app.id, name = "cart-1" } end)
    second:remove()
    local third = node:pod(sleeper("cart-2")) -- its start shows the rest of it
    wait(function() return find { pod_uid = third.uid, ip = third.ip } end)
    wait(function() return find { pod_uid = second.uid, gone = true } end)
    assert.is_truthy(find { container_id = second.containers.app.id, gone = true })
    assert.is_true(bpf.now() - began < 55e9) -- by events, not by the list of each minute
    third:remove()
    local times = 0
    for _, record in ipairs(said) do
      if record.pod_uid == first.uid and not record.container_id then times = times + 1 end
    end
    assert.is_true(times <= 2, times) -- without its address, with it
    assert.are.same({}, logged)
    assert.are.equal("alive", s.state)
  end)

  test("gives labels and addresses to what cgroups and bundles named", function()
    release_log()
    local s = cri.source { socket = node.dir .. "/containerd.sock" }
    pod.start()
    pod.add_source(s)
    local identity
    catch_log()
    wait(function()
      identity = pod.of(first.containers.app.cgroup)
      return identity.labels and identity.ip
    end)
    assert.are.equal("shop/cart-0/app", pod.name(identity))
    assert.are.equal("front", identity.labels.tier)
    assert.are.equal(first.ip, identity.ip)
    assert.is_true(pod.matches(identity, { label = { app = "cart-*" } }))
    assert.are.equal("shop/cart-0", pod.of_addr(first.ip).pod)
    pod.stop()
    assert.are.equal("stopped", s.state)
  end)
end)

describe("bpfnet.cri", function()
  local folder
  before_each(function()
    folder = web.folder()
    catch_log()
  end)
  after_each(function()
    release_log()
    web.remove(folder)
  end)

  -- A containerd without pods, of our own.
  local function containerd(without)
    web.write(folder .. "/config.toml", ([[
version = 2
root = "%s/root"
state = "%s/state"
disabled_plugins = [%s]
[grpc]
  address = "%s/c.sock"
[ttrpc]
  address = "%s/c.ttrpc"
]]):format(folder, folder, without or "", folder, folder))
    -- unpacked, or the machine's own
    return web.start(("env PATH=%s/containers/usr/bin:$PATH containerd -c %s/config.toml"):format(helper.out, folder),
      folder, folder .. "/c.sock")
  end

  it("finds a runtime again that was away, and says so once", function()
    if containers.missing() ~= "" then
      return pending("needs what `make deps` fetches: " .. containers.missing())
    end
    local server = containerd()
    local s <close> = start { socket = folder .. "/c.sock" }
    wait(function() return s.state == "alive" end)
    server.close()
    wait(function() return s.state == "dead" end)
    local retries = s.again.failures
    wait(function() return s.again.failures >= retries + 2 end)
    assert.are.equal(1, #logged)
    assert.is_truthy(logged[1]:find("^warn " .. folder:gsub("%p", "%%%0") .. "/c.sock: .*; labels and addresses of "
      .. "pods are missing meanwhile, it is tried again$"), logged[1])
    server = containerd()
    wait(function() return s.state == "alive" end, 40)
    assert.are.equal(2, #logged)
    assert.is_truthy(logged[2]:find("^info .*/c.sock: is back$"), logged[2])
    server.close()
  end)

  it("also speaks the older name of the interface, and polls where there are no events", function()
    if containers.missing() ~= "" then
      return pending("needs what `make deps` fetches: " .. containers.missing())
    end
    local server = containerd('"io.containerd.grpc.v1.events"')
    local names = cri.services
    cri.services = { "runtime.v99.RuntimeService", names[2] }
    cri.seconds.poll = 0.3
    local lists, real_call = 0, grpc.call
    grpc.call = function(call)
      if call.method == names[2] .. "/ListContainers" then lists = lists + 1 end
      return real_call(call)
    end
    local s <close> = start { socket = folder .. "/c.sock" }
    wait(function() return lists >= 4 end)
    grpc.call, cri.services, cri.seconds.poll = real_call, names, 10
    assert.are.equal("polling", s.mode)
    assert.are.equal("alive", s.state)
    assert.are.same({}, logged)
    s:ask() -- too soon after the last list
    assert.is_nil(s.open.soon)
    s.listed_ns = 0
    s:ask()
    assert.is_truthy(s.open.soon or s.again_soon) -- the latter while the fourth list is under way
    server.close()
  end)

  it("is not held up by a socket that hangs", function()
    local server = web.start(("python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); "
      .. "s.bind(\"%s/hang.sock\"); s.listen(8); time.sleep(200)'"):format(folder), folder, folder .. "/hang.sock")
    cri.seconds.answer = 1.5
    local ticks = 0
    local timer <close> = bpf.every(0.01, function() ticks = ticks + 1 end)
    local began = bpf.now()
    local s <close> = start { socket = folder .. "/hang.sock" }
    assert.is_true(bpf.now() - began < 1.2e9, timer)
    wait(function() return logged[1] end)
    cri.seconds.answer = 5
    assert.is_truthy(logged[1]:find("hang.sock: timed out;", 1, true), logged[1])
    assert.is_true(ticks > 15)
    assert.are.equal("dead", s.state)
    server.close()
  end)

  it("says what is no CRI socket", function()
    if web.missing("nginx-light") ~= "" then return pending("needs nginx-light") end
    os.execute("mkdir " .. folder .. "/www")
    local server = web.nginx(folder, "server { listen unix:plain.sock; } server { listen unix:h2.sock http2; }",
      folder .. "/plain.sock")
    -- on a busy machine libcurl loses the status each time
    for socket, message in pairs { h2 = "h2.sock: .*HTTP.*: not a gRPC server%?",
      plain = "plain.sock: Empty reply from server", nosuch = "nosuch.sock: .*[Cc]onnect" } do
      logged = {}
      local s <close> = start { socket = ("%s/%s.sock"):format(folder, socket) }
      wait(function() return logged[1] end)
      assert.is_truthy(logged[1]:find(message), logged[1])
      assert.are.equal("dead", s.state)
    end
    server.close()
  end)

  it("looks where runtimes have their sockets", function()
    local s <close> = start { root = folder }
    assert.is_truthy(logged[1]:find("container runtime: no CRI socket was found; labels", 1, true))
    assert.is_truthy(logged[1]:find("(looked for /run/containerd/containerd.sock, /run/k3s/", 1, true))
    os.execute(("mkdir -p %s/run/crio %s/run/k3s/containerd"):format(folder, folder))
    local server = web.start(("python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); "
      .. "s.bind(\"%s/run/crio/crio.sock\"); s.listen(8); time.sleep(200)'"):format(folder), folder,
      folder .. "/run/crio/crio.sock")
    wait(function() return s.path end)
    assert.are.equal(folder .. "/run/crio/crio.sock", s.path)
    server.close()
  end)

  it("does not keep a script alive", function()
    local s <close> = start { socket = "/nosuch" }
    assert.are.equal("idle", bpf.run(5))
    assert.is_truthy(s)
  end)

  it("refuses options that it does not have", function()
    for message, opts in pairs {
      ['cri.source: unknown option "path" (known: root, socket)'] = { path = "/x" },
      ['cri.source: bad option "socket": expected a path, got boolean'] = { socket = true },
    } do
      local ok, got = pcall(cri.source, opts)
      assert.is_false(ok)
      assert.is_truthy(got:find(message, 1, true), got)
    end
  end)
end)

describe("bpfnet.grpc", function()
  it("takes messages apart, however they come", function()
    local stream = grpc.frame("one") .. grpc.frame("") .. grpc.frame(("x"):rep(70000))
    for _, size in ipairs { 1, 3, 5, 8, 1000, #stream } do
      local feed, is_between = grpc.reader()
      local got = {}
      for at = 1, #stream, size do
        for _, message in ipairs(assert(feed(stream:sub(at, at + size - 1)))) do got[#got + 1] = message end
      end
      assert.are.same({ "one", "", ("x"):rep(70000) }, got)
      assert.is_true(is_between())
      assert.are.same({}, feed("\0\0"))
      assert.is_false(is_between())
    end
  end)

  it("refuses what can't be right", function()
    assert.are.equal("a compressed message, which was not asked for", select(2, grpc.reader()("\1\0\0\0\1x")))
    assert.are.equal("a message of 4294967295 bytes, expected at most 67108864",
      select(2, grpc.reader()("\0\255\255\255\255")))
  end)
end)

describe("bpfnet.protobuf", function()
  local Inner = { [1] = { "a", "int" } }
  local Outer = {
    [1] = { "number", "int" }, [2] = { "text", "string" }, [3] = { "inner", Inner }, [4] = { "yes", "bool" },
    [5] = { "names", "string", repeated = true }, [6] = { "map", "map" }, [7] = { "ns", "fixed64" },
    [8] = { "share", "double" },
  }

  -- The examples of protobuf.dev, "Encoding".
  it("has the specification's bytes", function()
    assert.are.equal("\x08\x96\x01", protobuf.encode(Outer, { number = 150 }))
    assert.are.equal("\x12\x07testing", protobuf.encode(Outer, { text = "testing" }))
    assert.are.equal("\x1a\x03\x08\x96\x01", protobuf.encode(Outer, { inner = { a = 150 } }))
    assert.are.equal("\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", protobuf.encode(Outer, { number = -2 }))
  end)

  it("reads what it writes, with all of 64 bits", function()
    local message = { number = math.mininteger, text = "\0\255", inner = { a = 0 }, yes = true,
      names = { "x", "" }, map = { a = "1", [""] = "2" }, ns = 1795364500123456789, share = 0.1 }
    assert.are.same(message, protobuf.decode(Outer, protobuf.encode(Outer, message)))
    assert.are.same({ names = {}, map = {} }, protobuf.decode(Outer, ""))
  end)

  it("skips what it does not know", function()
    local more = "\xf8\x01\x05" .. "\xf9\x0112345678" .. "\xfa\x01\x02ab" .. "\xfd\x011234"
    assert.are.same({ number = 1, names = {}, map = {} }, protobuf.decode(Outer, more .. "\x08\x01" .. more))
  end)

  it("says what is wrong with other bytes", function()
    for bytes, message in pairs {
      ["\x08"] = "a number is cut off at byte 2",
      ["\x08" .. ("\xff"):rep(10) .. "\x01"] = "a number of more than 64 bits at byte 12",
      ["\x12\x05abc"] = "a field of 5 bytes is cut off at byte 2",
      ["\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] = "a field of 18446744073709551615 bytes is cut off at byte 2",
      ["\x0b"] = "field 1 (number) has wire type 3, expected 0",
      ["\xfb\x01"] = "wire type 3 at byte 3",
      ["\x39\x01"] = "a number is cut off at byte 3",
      ["\xf9\x01\x01"] = "a number is cut off at byte 4",
      ["\x1a\x02\x08"] = "a field of 2 bytes is cut off at byte 2",
    } do
      local got, err = protobuf.decode(Outer, bytes)
      assert.is_nil(got)
      assert.are.equal(message, err)
    end
    local Deep = {}
    Deep[1] = { "deeper", Deep }
    local bytes = ""
    for _ = 1, 40 do bytes = "\x0a" .. string.pack("s1", bytes) end
    assert.are.equal("messages in messages, more than 32 deep", select(2, protobuf.decode(Deep, bytes)))
  end)
end)
