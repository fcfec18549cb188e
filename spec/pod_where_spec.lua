-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What `where` says of containers, told from what the kernel decides; and what it means.

local pod = require "bpfnet.pod"
local pod_where = require "bpfnet.pod_where"

describe("where and pods", function()
  for text, case in pairs {
    ["duration_ns > 1ms"] = { "duration_ns > 1ms", nil },
    ["comm == pod"] = { "comm == pod", nil },
    ["pod == 'shop/cart' and duration_ns > 1ms"] = { "duration_ns > 1ms", "pod == 'shop/cart'" },
    ['a > 1 && (b == 80 or c == 80) and container in {"app", web}'] =
      { "a > 1 and (b == 80 or c == 80)", 'container in {"app", web}' },
    ["!sidecar&&not old"] = { "not old", "!sidecar" },
    ["comm == 'pod and x' and pod == \"a*\""] = { "comm == 'pod and x'", 'pod == "a*"' },
    ["comm == 'it\\'s pod' and pod == a"] = { "comm == 'it\\'s pod'", "pod == a" },
    ["(pod != x or namespace == y) and dport == 80"] = { "dport == 80", "(pod != x or namespace == y)" },
    ["not (pod == x or dport == 80 or sport == 80)"] = { "not (dport == 80) and not (sport == 80)", "not (pod == x)" },
    ["((pod == x and dport == 80) and comm == y)"] = { "dport == 80 and comm == y", "pod == x" },
    ["not not (pod == x and dport in {80, 81})"] = { "dport in {80, 81}", "pod == x" },
  } do
    it("are split: " .. text, function()
      local rest, pods = pod_where.split(text)
      assert.are.same({ case[1], case[2] }, { rest, pods })
    end)
  end

  for _, text in ipairs {
    "pod == a or dport == 80", "not (pod == a and dport == 80)", "dport == 80 or (comm == x and pod == y)",
    "comm == x and (dport == 80 or not sidecar)",
  } do
    it("can't be split: " .. text, function()
      local ok, message = pcall(pod_where.split, text)
      assert.is_false(ok)
      assert.is_truthy(message:find("^where .* they can be joined by `and` only\nhint: "), message)
    end)
  end

  local cart = { pod = "shop/cart", namespace = "shop", name = "cart", container = "app", sidecar = false,
    runtime = "crio" }
  local host = { runtime = "host" }
  for text, case in pairs {
    ['pod == "shop/*"'] = { true, false },
    ["pod == c*t"] = { true, false },
    ["pod != cart"] = { false, true },
    ["pod ~= 'shop/x' and namespace not in {a, b}"] = { true, true },
    ["namespace == a or container in {app} and runtime != host"] = { true, false },
    ["not namespace == shop"] = { false, true },
    ["sidecar"] = { false, false },
    ["not sidecar"] = { true, false },
    ["sidecar != true"] = { true, true },
    ["not (sidecar == false)"] = { false, true },
    ["pod != nil && !(container == 'is*')"] = { true, false },
    ["pod starts 'shop/c'"] = { true, false },
    ["runtime == h*"] = { false, true },
  } do
    it("means: " .. text, function()
      local spec = pod.check { where = text }
      assert.are.same(case, { pod.matches(cart, spec), pod.matches(host, spec) })
    end)
  end

  for text, expected in pairs {
    ["pod ="] = 'behind pod, got "="',
    ["pod =="] = "expected a name, got the end",
    ["(pod == a"] = 'expected ")", got the end',
    ["pod == a 'b'"] = 'expected `and`, `or` or the end, got "b"',
    ["container in 'app'"] = 'behind `in`, got "app"',
    ["container in {app; web}"] = 'in the list, got ";"',
    ["dport == 80 and pod"] = "behind pod, got the end",
    ["pod == a and"] = "image, runtime, sidecar, got the end",
    ["sidecar == 3"] = 'not "3"',
    ["runtime != dokcer"] = 'did you mean "docker"',
    ["pod == a/b/c"] = 'expected "NAMESPACE/NAME" or "NAME"',
  } do
    it("are told what is wrong with: " .. text, function()
      local ok, message = pcall(bpf.load, "tcpconnect", { where = text })
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
    end)
  end

  it("are not asked by a probe's own where", function()
    local probe <close> = bpf.load("tcpconnect")
    local ok, message = pcall(probe.where, probe, 'dport == 1 and pod == "a"')
    assert.is_false(ok)
    assert.is_truthy(message:find('probe:filter{ where = "pod == \\"a\\"" }', 1, true), message)
    assert.are.equal("dport == 1", probe:where("dport == 1"))
  end)
end)
