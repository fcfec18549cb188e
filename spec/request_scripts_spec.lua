-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- sidecar_delay and service_map on pods whose programs have known delays.

local helper = require("helper")
local made = require("request_pods")
local parts = require("bpfnet.pairs_parts")
local pods = require("pods")

local N = made.namespace

describe("scripts about requests:", function()
  local network, node, app, sidecar, front, service, proxy

  setup(function()
    network = assert(pods.up("fw=none"))
    node = made.node(network)
    local cart = node:pod("cart-0", "A")
    app, sidecar = cart:container("app"), cart:container("istio-proxy")
    front = node:pod("front-0", "HOST"):container("web")
  end)

  before_each(function()
    service = node:listen(app, "serve -d 2000 127.0.0.1 0")
    proxy = node:listen(sidecar, ("proxy 127.0.0.1 %d -d 3000 -o 1000 10.1.0.2 0"):format(service.port))
  end)

  after_each(function()
    proxy.stop()
    service.stop()
  end)

  teardown(function()
    if node then
      node:down()
      network:down()
    end
  end)

  local function load(arguments)
    return function()
      local command = ("%s load 10.1.0.2 %d %s"):format(made.requests, proxy.port, arguments)
      local text, status = helper.sh("timeout 60 %s", front(command))
      assert(status == 0, text)
    end
  end

  local rows_of = helper.rows

  local has_dot = select(2, helper.sh("command -v dot")) == 0

  -- The texts in the picture that Graphviz makes of it, each once, in the order of letters; but those of a pattern.
  local function drawn(text, but)
    local file = node.root .. "/map.dot"
    local f = assert(io.open(file, "w"))
    f:write(text)
    f:close()
    local svg, status = helper.sh("dot -Tsvg %s", file)
    assert(status == 0, svg)
    assert(utf8.len(svg), "an SVG that is no UTF-8")
    local texts, seen = {}, {}
    for shown in svg:gmatch("<text [^>]*>([^<]*)</text>") do
      shown = shown:gsub("&(#?%w+);", { lt = "<", gt = ">", quot = '"', amp = "&", ["#45"] = "-", ["#160"] = " " })
      if not seen[shown] and not (but and shown:find(but)) then
        seen[shown], texts[#texts + 1] = true, shown
      end
    end
    table.sort(texts)
    return texts
  end

  it("sidecar_delay tells of each request which one it became, and when", function()
    local rows = rows_of((node:trace("sidecar_delay", "--json --namespace " .. N, load("-c 10 -n 20"), 1)))
    local truth = {}
    for _, request in ipairs(made.truth(proxy.stop(), "proxy")) do
      truth[("%d %d"):format(request.dport, request.nth)] = request
    end
    assert.are.equal(200, #rows)
    for _, row in ipairs(rows) do
      local request = truth[("%d %d"):format(row.dport, row.nth)]
      assert.are.equal(request.up_sport, row.upstream_sport)
      assert.are.same({ N .. "/front-0/web", N .. "/cart-0/istio-proxy", N .. "/cart-0/app", "in", 1 },
        { row.client, row.sidecar, row.service, row.direction, row.tries })
      assert.are.same({ 100, 1000 }, { row.request_bytes, row.response_bytes })
      assert.is_true(row.how == "via" or row.how == "exact")
      -- the program's own moments lie within the kernel's
      local within = request.forward_ns - request.read_ns
      assert.is_true(row.sidecar_in_ns >= within and row.sidecar_in_ns < within + 200000000)
      assert.is_true(row.service_ns >= 2000000 and row.sidecar_out_ns >= request.back_ns - request.answer_ns)
      local sum = 0
      for _, part in ipairs(parts.NAMES) do
        local ns = row[part .. "_ns"]
        sum = sum + (type(ns) == "number" and ns or 0)
      end
      assert.are.equal(row.total_ns, sum)
    end
  end)

  it("sidecar_delay shows those that are slow, and totals", function()
    local text = node:trace("sidecar_delay", "--slower-than 3 --namespace " .. N, load("-c 1 -n 10"), 1)
    assert.matches("^TIME +IN +SVC +OUT +TOTAL +ASKED +GOT +KNOWN BY +CLIENT %-> SIDECAR %-> SERVICE\n", text)
    local line = ("\n%%d%%d:%%d%%d:%%d%%d +[%%d.]+ms [^\n]+ exact +%s/front%%-0/web %%-> "
      .. "%s/cart%%-0/istio%%-proxy %%-> %s/cart%%-0/app"):format(N, N, N)
    assert.are.equal(10, select(2, text:gsub(line, "")), text)
    assert.matches("\n10 requests through sidecars, 10 shown\nknown by: exact 10\nsidecar in: p50 [3-9]%.%dms", text)
    text = node:trace("sidecar_delay", "--csv --slower-than 500 --direction in --namespace " .. N,
      load("-c 1 -n 5"), 1)
    assert.are.equal(1, select(2, text:gsub("\n", "")))
  end)

  it("service_map counts each request once, by pods and containers", function()
    for _, case in ipairs({ { "", N .. "/front-0", N .. "/cart-0" },
      { "--inside", N .. "/front-0/web", N .. "/cart-0/istio-proxy", N .. "/cart-0/app" } }) do
      local text = node:trace("service_map", ("--json --namespace %s %s"):format(N, case[1]), function()
        load("-c 5 -n 20")()
        helper.sh("timeout 5 %s", front(made.requests .. " load 10.1.0.2 9 -c 1 -n 1"))
      end, 2)
      local edges = {}
      for _, row in ipairs(made.totals(text)) do
        edges[("%s %s %d"):format(row.from, row.to, row.port)] = row
      end
      local edge = edges[("%s %s %d"):format(case[2], case[3], proxy.port)]
      assert.are.same({ 100, 100, 0, 10000, 100000 },
        { edge.requests, edge.answered, edge.failed, edge.request_bytes, edge.response_bytes })
      assert.is_true(edge.p50_ns > 6000000 and edge.p50_ns <= edge.p99_ns)
      local failed = edges[("%s %s/cart-0 9"):format(case[2], N)]
      assert.are.same({ 0, 1, { ECONNREFUSED = 1 } }, { failed.requests, failed.failed, failed.errors })
      edge = case[4] and edges[("%s %s %d"):format(case[3], case[4], service.port)]
      assert.are.equal(case[4] and 100, edge and edge.requests)
      local n = 0
      for _ in pairs(edges) do
        n = n + 1
      end
      assert.are.equal(case[4] and 3 or 2, n)
    end
  end)

  it("service_map draws what Graphviz reads", function()
    local text = node:trace("service_map", "--dot --interval 0.3 --namespace " .. N, load("-c 2 -n 10"), 2)
    local edge = ("  \"%s/front%%-0\" %%-> \"%s/cart%%-0\" %%[label=\":%d\\n20 requests\\np50 [%%w.]+, "
      .. "p99 [%%w.]+\"%%];\n}\n$"):format(N, N, proxy.port)
    assert.matches("^digraph bpfnet {\n  rankdir=LR;\n  node %[shape=box%];\n" .. edge, text)
    if not has_dot then return pending("no Graphviz") end
    assert.are.same({ "20 requests", ":" .. proxy.port, N .. "/cart-0", N .. "/front-0" }, drawn(text, "^p50"))
  end)

  it("service_map draws names as they are, whatever is in them", function()
    local names = { [[we\x2dird "q" zoë.service]], [[\N&lt;b>.service]], "no\xff\tutf.service" }
    local connect = "import socket; socket.socket().connect_ex(('127.9.0.1', 9))"
    local text = node:trace("service_map", "--dot --addr 127.9.0.1", function()
      for _, name in ipairs(names) do
        local path = node.top .. "/" .. name
        local run = 'mkdir -p "$0"; (echo 0 >"$0/cgroup.procs"; python3 -c "$1"); sleep 0.1; rmdir "$0"'
        local out, status = helper.sh("sh -c %s %s %s", helper.quote(run), helper.quote(path), helper.quote(connect))
        assert(status == 0, out)
      end
    end, 2)
    if not has_dot then return pending("no Graphviz") end
    assert.are.same({ "0 requests", "127.9.0.1", ":9", "ECONNREFUSED 1", names[2], "no answer", "no??utf.service",
      names[1] }, drawn(text))
  end)

  it("service_map says in the drawing that nothing was there", function()
    local text = node:trace("service_map", "--dot --addr 127.9.0.2", function() end, 2)
    assert.matches('\n  label="nothing in %d+%.%d s";\n}\n$', text)
    if not has_dot then return pending("no Graphviz") end
    assert.matches("^nothing in %d+%.%d s$", drawn(text)[1])
  end)

  it("service_map counts what finds no room, and draws it", function()
    local text = node:trace("service_map", "--dot --addr 127.10.0.0/16", function()
      helper.sh("python3 -c %s", helper.quote("import socket\nfor i in range(4200): "
        .. "socket.socket().connect_ex(('127.10.%d.%d' % (i >> 8, i & 255), 9))"))
    end, 2)
    assert.are.equal(4096, select(2, text:gsub('\n  "[^\n]*" %-> "127.10[%d.]+" %[label=":9\\n0 requests', "")))
    assert.matches('\n  "%(others%)" %-> "%(others%)" %[label="\\n0 requests\\nno answer\\nECONNREFUSED 104", '
      .. "color=red%];\n}\n$", text)
  end)
end)
