-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- bpf.http with a real server: nginx, with HTTP/1.1, HTTP/2 and TLS. What no real server does: tests/unit/test_http.c.

local helper = require "helper"
package.path = helper.root .. "/tests/runtime/?.lua;" .. package.path
local web = require "web"

local folder, nginx

-- A request from start to end.
local function fetch(opts)
  local got = { body = "", pieces = 0 }
  opts.url = opts.url or "http://server.test/"
  opts.unix_socket = opts.unix_socket or folder .. "/plain.sock"
  opts.hold = true
  opts.timeout = opts.timeout or 20
  opts.on_headers = function(status) got.first_status = status end
  opts.on_data = function(piece)
    got.body, got.pieces = got.body .. piece, got.pieces + 1
  end
  opts.on_done = function(status, headers, trailers, err)
    got.status, got.headers, got.trailers, got.err = status, headers, trailers, err
  end
  bpf.http(opts)
  assert.are.equal("idle", bpf.run(30))
  return got
end

-- The same over TLS, with more options.
local function secure(opts)
  opts.url = opts.url or "https://server.test/"
  opts.unix_socket = folder .. (opts.mutual and "/mutual.sock" or "/tls.sock")
  opts.mutual = nil
  return fetch(opts)
end

local SERVERS = [[
  server {
    listen unix:plain.sock;
    location = /put { dav_methods PUT; }
    location = /kind { return 200 "$content_type $content_length"; }
    location /chunked { ssi on; ssi_types *; }
    location /slow { limit_rate 20k; }
    location = /who { return 200 "$request_method $server_protocol $http_x_a"; }
    location = /no { return 404 "not here"; }
    location = /old { return 301 http://elsewhere.test/; }
  }
  server { listen unix:h2.sock http2; location = /who { return 200 "$request_method $server_protocol $http_x_a"; } }
  server {
    listen unix:tls.sock ssl http2; ssl_certificate server.test.pem; ssl_certificate_key server.test.key;
    location = /who { return 200 "$server_protocol"; }
    location = /put { dav_methods PUT; }
  }
  server {
    listen unix:mutual.sock ssl; ssl_certificate server.test.pem; ssl_certificate_key server.test.key;
    ssl_client_certificate ca.pem; ssl_verify_client on; location = /me { return 200 "$ssl_client_s_dn"; }
  }
]]

describe("bpf.http", function()
  local missing = web.missing("nginx-light openssl")
  if missing ~= "" then
    pending("needs " .. missing .. " (tests/runtime/programs.sh fetch)", function() end)
    return
  end

  setup(function()
    folder = web.folder()
    web.certificates(folder, "server.test", "client.test")
    os.execute("mkdir " .. folder .. "/www")
    web.write(folder .. "/www/big", ("0123456789abcdef"):rep(65536))
    web.write(folder .. "/www/slow", ("s"):rep(60000))
    web.write(folder .. "/www/chunked", 'one <!--#echo var="request_uri" --> two')
    nginx = web.nginx(folder, SERVERS, folder .. "/plain.sock")
  end)

  teardown(function()
    nginx.close()
    web.remove(folder)
  end)

  it("gets status, headers and body", function()
    local got = fetch { url = "http://server.test/who", headers = { ["X-A"] = "b c" } }
    assert.is_nil(got.err)
    assert.are.equal(200, got.status)
    assert.are.equal(200, got.first_status)
    assert.are.equal("GET HTTP/1.1 b c", got.body)
    assert.are.equal("text/plain", got.headers["content-type"])
    assert.are.equal("16", got.headers["content-length"])
    assert.are.same({}, got.trailers)
    got = fetch { url = "http://server.test/no" }
    assert.are.equal(404, got.status)
    assert.are.equal("not here", got.body)
    got = fetch { url = "http://server.test/old" } -- not followed
    assert.are.equal(301, got.status)
    assert.are.equal("http://elsewhere.test/", got.headers.location)
  end)

  it("sends bodies as they are", function()
    local body = ("\0\1\255\r\n"):rep(200000)
    for socket, url in pairs { plain = "http://server.test/put", tls = "https://server.test/put" } do
      assert.are.equal(201, fetch({ url = url, unix_socket = ("%s/%s.sock"):format(folder, socket),
        insecure = true, body = body, method = "PUT" }).status)
      assert.are.equal(body, web.read(folder .. "/www/put"))
      os.remove(folder .. "/www/put")
    end
    assert.are.equal("a/b 3", fetch({ url = "http://server.test/kind", body = "abc",
      headers = { ["content-type"] = "a/b" } }).body)
    assert.are.equal(" 3", fetch({ url = "http://server.test/kind", body = "abc" }).body)
    assert.are.equal("POST HTTP/1.1 ", fetch({ url = "http://server.test/who", body = "x" }).body)
  end)

  it("gets large, chunked and slow bodies whole, and slow ones as they come", function()
    assert.are.equal(("0123456789abcdef"):rep(65536), fetch({ url = "http://server.test/big" }).body)
    local got = fetch { url = "http://server.test/chunked" }
    assert.are.equal("one /chunked two", got.body)
    assert.are.equal("chunked", got.headers["transfer-encoding"])
    local ticks, began = 0, bpf.now()
    local timer <close> = bpf.every(0.05, function() ticks = ticks + 1 end):background()
    got = fetch { url = "http://server.test/slow" }
    assert.are.equal(60000, #got.body)
    assert.is_true(got.pieces > 1)
    assert.is_true(bpf.now() - began > 1e9 and ticks > 10)
    assert.is_truthy(timer)
  end)

  it("speaks HTTP/2 from the first byte where it is told to", function()
    for _ = 1, 2 do
      local got = fetch { url = "http://server.test/who", unix_socket = folder .. "/h2.sock", http2 = "prior",
        headers = { ["x-a"] = "1" } }
      assert.are.equal("GET HTTP/2.0 1", got.body)
      assert.are.equal(200, got.status)
    end
    local got = fetch { url = "http://server.test/who", http2 = "prior" } -- that server doesn't
    assert.is_truthy(got.err)
  end)

  it("believes only who shows a certificate of the given authority for the right name", function()
    local url = "https://server.test/who"
    local authority = web.read(folder .. "/ca.pem")
    for _ = 1, 3 do -- connections are kept: the second one is another way through libcurl
      assert.are.equal("HTTP/2.0", secure({ url = url, ca_file = folder .. "/ca.pem" }).body)
      assert.are.equal("HTTP/2.0", secure({ url = url, ca_data = authority }).body)
      assert.are.equal("HTTP/1.1", secure({ url = url, ca_data = authority, http2 = false }).body)
    end
    assert.are.equal("HTTP/2.0", secure({ url = url, insecure = true }).body)
    assert.is_truthy(secure({ url = url }).err:find("certificate", 1, true))
    local got = secure { url = "https://other.test/who", ca_data = authority }
    assert.is_truthy(got.err:find("other.test", 1, true), got.err)
    assert.is_nil(got.status)
    assert.is_truthy(secure({ url = url, ca_file = "/nosuch/ca.pem" }).err:find("/nosuch/ca.pem", 1, true))
    assert.is_truthy(secure({ url = url, ca_data = "no certificate" }).err)
  end)

  it("shows its own certificate, from files or as data", function()
    local url, ca = "https://server.test/me", folder .. "/ca.pem"
    local cert, key = folder .. "/client.test.pem", folder .. "/client.test.key"
    assert.are.equal("CN=client.test", secure({ mutual = true, url = url, ca_file = ca, cert_file = cert,
      key_file = key }).body)
    assert.are.equal("CN=client.test", secure({ mutual = true, url = url, ca_file = ca,
      cert_data = web.read(cert), key_data = web.read(key) }).body)
    assert.are.equal(400, secure({ mutual = true, url = url, ca_file = ca }).status)
  end)

  it("serves many requests at once", function()
    local done, bytes = 0, 0
    for i = 1, 40 do
      bpf.http { url = "http://server.test/" .. (i % 2 == 0 and "big" or "who"), hold = true,
        unix_socket = folder .. "/plain.sock",
        on_data = function(piece) bytes = bytes + #piece end,
        on_done = function(status, _, _, err)
          assert.is_nil(err)
          assert.are.equal(200, status)
          done = done + 1
        end }
    end
    assert.are.equal("idle", bpf.run(30))
    assert.are.equal(40, done)
    assert.are.equal(20 * 1048576 + 20 * #"GET HTTP/1.1 ", bytes)
  end)

  it("can be closed by hand, by <close>, in each handler and by the collector's end", function()
    local function never() error("called after close()") end
    local opts = { url = "http://server.test/big", unix_socket = folder .. "/plain.sock", on_done = never,
      on_data = never }
    local r = bpf.http(opts)
    assert.are.equal("Request (open)", tostring(r))
    r:close()
    r:close()
    assert.are.equal("Request (closed)", tostring(r))
    do local _ <close> = bpf.http(opts) end
    local closed = 0
    opts.on_data = function() closed = closed + 1 r:close() end
    r = bpf.http(opts)
    local other
    other = bpf.http { url = opts.url, unix_socket = opts.unix_socket, on_headers = function()
      closed = closed + 1
      other:close()
    end, on_data = never, on_done = never }
    bpf.after(0.3, bpf.stop)
    bpf.run(5)
    assert.are.equal(2, closed)
    -- one that is open at the end of its state, and one that nobody refers to: it lives until it is done
    local text, status = helper.code(([[
      local opts = { url = "http://server.test/who", unix_socket = %q, hold = true,
        on_done = function(status) print(status) end }
      bpf.http(opts)
      collectgarbage() collectgarbage()
      bpf.run(5)
      opts.hold = nil
      bpf.http(opts)
    ]]):format(folder .. "/plain.sock"))
    assert.are.equal("200\n", text)
    assert.are.equal(0, status)
  end)

  it("passes errors of handlers on, and what was not told yet after them", function()
    local log = {}
    bpf.http { url = "http://server.test/who", unix_socket = folder .. "/plain.sock", hold = true,
      on_data = function() log[#log + 1] = "data" error("my own") end,
      on_done = function(status) log[#log + 1] = status end }
    local ok, message = pcall(bpf.run, 5)
    assert.is_false(ok)
    assert.is_truthy(message:find("my own", 1, true))
    assert.are.equal("idle", bpf.run(5))
    assert.are.same({ "data", 200 }, log)
  end)

  it("does not keep a script alive, unless it is told to", function()
    local r <close> = bpf.http { url = "http://server.test/slow", unix_socket = folder .. "/plain.sock",
      on_done = function() end }
    assert.are.equal("idle", bpf.run(5))
    assert.are.equal("Request (open)", tostring(r))
  end)

  it("survives a server that goes while a request is under way, and finds the next one", function()
    local err
    bpf.http { url = "http://server.test/slow", unix_socket = folder .. "/plain.sock", hold = true,
      on_done = function(_, _, _, message) err = message end }
    bpf.after(0.3, function() nginx.close() end)
    bpf.run(10)
    assert.is_truthy(err)
    assert.is_truthy(fetch({ url = "http://server.test/who" }).err)
    nginx = web.nginx(folder, SERVERS, folder .. "/plain.sock")
    assert.are.equal(200, fetch({ url = "http://server.test/who" }).status)
  end)
end)

describe("lua/http.md", function()
  it("has examples that run", function()
    local n = 0
    for code in helper.read(helper.root .. "/lua/http.md"):gmatch("```lua\n(.-)```") do
      local text, status = helper.code(code)
      assert.are.equal(0, status, text)
      n = n + 1
    end
    assert.are.equal(3, n)
  end)
end)

describe("bpf.http refuses", function()
  local function none() end

  local cases = {
    { {}, 'bpf.http: bad option "url": expected a string, got nil' },
    { { url = "http://a/" }, 'bpf.http: bad option "on_done": expected a function, got nil' },
    { { url = "ftp://a/", on_done = none }, "bpf.http: URL 'ftp://a/': expected http://... or https://..." },
    { { url = "http://a/", on_done = none, time_out = 1 },
      'bpf.http: unknown option "time_out", did you mean "timeout"?' },
    { { url = "http://a/", on_done = none, timeout = 0 },
      'bpf.http: bad option "timeout": expected seconds from 0.001 to 1e6, got 0' },
    { { url = "http://a/", on_done = none, http2 = true },
      'bpf.http: bad option "http2": expected "prior" or false, got true' },
    { { url = "http://a/", on_done = none, headers = { "x" } },
      'bpf.http: bad option "headers": expected names and values, both strings' },
    { { url = "http://a/", on_done = none, headers = { ["x-a"] = "1\r\nx-b: 2" } },
      "bpf.http: header 'x-a': its value has a line's end in it" },
    { { url = "http://a/\0b", on_done = none }, 'bpf.http: bad option "url": there is a NUL byte in it' },
    { { url = "http://a/", on_done = none, body = 7 }, 'bpf.http: bad option "body": expected a string, got integer' },
  }
  for _, case in ipairs(cases) do
    it("with: " .. case[2], function()
      local ok, message = pcall(bpf.http, case[1])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end)
  end

  -- A node without it: a mount namespace in which the library's folder has all but that.
  it("clearly where libcurl is missing", function()
    local dir = helper.sh("dirname $(ldconfig -p | awk '/libcurl.so.4 / {print $NF; exit}')"):gsub("\n", "")
    local text = helper.sh([[unshare -m sh -c '
      for lib in %s/libcurl.so.4*; do mount --bind /dev/null $lib; done
      exec %s run -e "print(pcall(bpf.http, { url = [=[http://a/]=], on_done = print }))"']], dir, helper.bpfnet)
    assert.is_truthy(text:find("^false\t[^\n]*bpf.http: HTTP needs libcurl: [^\n]*libcurl.so.4"), text)
    assert.is_truthy(text:find("\nhint: install it: Debian's and Ubuntu's package libcurl4", 1, true), text)
  end)
end)
