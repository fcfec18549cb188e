-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Annotations for editors: that they are right, that they have all that the engine has and no more, and that
-- those made of BTF are current.

local helper = require "helper"
local luacats = require "luacats"

local function texts_of(pattern)
  local texts = {}
  for path in helper.sh("ls %s/%s", helper.root, pattern):gmatch("%S+") do
    texts[path:match("[^/]+$")] = helper.read(path)
  end
  return texts
end

local _, meta = luacats.read(texts_of("lua/bpfnet/_meta*.lua"))

local function keys(...)
  local list = {}
  for _, set in ipairs { ... } do
    for key in pairs(set) do
      if key:sub(1, 1) ~= "_" then list[#list + 1] = key end
    end
  end
  table.sort(list)
  return list
end

-- The functions of a class by the name that they are written with: "bpf.", "Probe:".
local function functions_of(prefix)
  local set = {}
  for name in pairs(meta.functions) do
    if name:sub(1, #prefix) == prefix then set[name:sub(#prefix + 1)] = true end
  end
  return set
end

-- What a function says that it knows when it gets an option that nobody has.
local function known(f, ...)
  local ok, why = pcall(f, ...)
  assert.is_false(ok)
  local set = {}
  for name in assert(why:match("%(known: (.-)%)"), why):gmatch("[%w_]+") do set[name] = true end
  return set
end

describe("annotations", function()
  it("are well-formed, and of types that there are", function()
    local wrong = luacats.read(texts_of("lua/bpfnet/*.lua"))
    assert.are.equal("", table.concat(wrong, "\n"))
  end)

  it("are read strictly", function()
    local function says(line, want)
      local wrong = luacats.read { x = line }
      assert.are.equal(want, table.concat(wrong, "\n"))
    end
    says("---@param a string|integer[] text", "")
    says("---@param a strin", "x:1: nothing defines the type strin")
    says("---@param a { b: string", "x:1: } expected at \"\"")
    says("---@field a string", "x:1: a field without a class")
    says("---@retrun string", "x:1: unknown tag @retrun")
    says("---@param a string\nfunction f(b) end", "x:2: f has the parameters b, documented are a")
    says("---@overload fun(a: string b)", "x:1: %) expected at \" b)\"")
    says("---@class A\n---@field b string\n---@field b string", "x:3: field b is there twice")
  end)

  it("have every function of bpf and nothing else", function()
    assert.are.same(keys(bpf), keys(functions_of("bpf."), meta.fields.bpf))
  end)

  it("have every method of what bpf gives", function()
    local registry, files = debug.getregistry(), require("bpfnet.files")
    local classes = { Probe = "bpf.Probe", Timer = "bpf.Timer", Redirect = "bpf.Redirect",
      Request = "bpf.Request", Held = "bpfnet.files.Held" }
    for name, class in pairs(classes) do
      local methods = assert(registry[class], class).methods
      assert.are.same(keys(methods), keys(functions_of(name .. ":")), class)
    end
    assert.are.same({ "clear" }, keys(functions_of("Map:")))
    local agg = bpf.aggregate {}
    assert.are.same(keys(getmetatable(agg).__index), keys(functions_of("Aggregate:")))
    for name in pairs(meta.fields["bpf.Aggregate"]) do assert.is_not_nil(agg[name], name) end
    assert.are.same(keys(files), keys(functions_of("files.")))
    local p <close> = bpf.load("podnet")
    for name in pairs(meta.fields["bpf.Probe"]) do assert.is_not_nil(p[name], name) end
    assert.are.same(keys(p:stats()), keys(meta.fields["bpf.Stats"]))
  end)

  it("have every option", function()
    local wrong = { zzzzzzzzzzzzzzzzzzzz = 1 }
    assert.are.same(keys(known(bpf.load, "tcpclose", wrong)), keys(meta.fields["bpf.Opts"]))
    assert.are.same(keys(known(bpf.aggregate, wrong)), keys(meta.fields["bpf.AggregateOpts"]))
    local agg = bpf.aggregate {}
    assert.are.same(keys(known(agg.rows, agg, wrong)), keys(meta.fields["bpf.AggregateView"]))
    assert.are.same(keys(known(bpf.http, wrong)), keys(meta.fields["bpf.HttpOpts"]))
    assert.are.same(keys(known(bpf.redirect, wrong)), keys(meta.fields["bpf.RedirectOpts"]))
    assert.are.same(keys(known(bpf.redirect, { cgroup = "/", policy = wrong })),
      keys(meta.fields["bpf.RedirectPolicy"]))
  end)

  it("have what bpf.probes() tells, and every probe's events, filters and handlers", function()
    local filters, ways = {}, {}
    for _, probe in ipairs(bpf.probes()) do
      local class = ("_" .. probe.name):gsub("_(%l)", string.upper)
      for name in pairs(probe) do assert.is_true(meta.fields["bpf.ProbeInfo"][name], name) end
      for _, field in ipairs(probe.fields) do
        assert.is_true(meta.fields["bpf." .. class .. "Event"][field.name], field.name)
        for name in pairs(field) do assert.is_true(meta.fields["bpf.FieldInfo"][name], name) end
        for _, member in ipairs(field.entry or {}) do
          assert.is_true(meta.fields["bpf.PodnetPath.Hops"][member.name], member.name)
        end
      end
      for _, name in ipairs(probe.filters) do
        assert.is_true(meta.fields["bpf." .. class .. "Filter"][name], name)
        filters[name] = true
      end
      for name in pairs(probe.ways[1] or {}) do ways[name] = true end
    end
    assert.are.same(keys(filters), keys(meta.fields["bpf.Filter"]))
    assert.are.same(keys(ways), keys(meta.fields["bpf.WayInfo"]))
  end)
end)

describe("annotations of probes", function()
  it("are what `make meta` makes now", function()
    local made = require("bpfnet.probes_meta").files()
    local kept = texts_of("lua/bpfnet/_meta_probe*.lua")
    assert.are.same(keys(made), keys(kept))
    for name, text in pairs(made) do
      assert.are.equal(text, kept[name], name .. " is out of date: make meta")
    end
  end)

  it("give a handler's event its type, in both forms of the call", function()
    local text = helper.read(helper.root .. "/lua/bpfnet/_meta_probes.lua")
    for _, form in ipairs {
      '---@overload fun(name: "tcpclose", on_event?: fun(ev: bpf.TcpcloseEvent, ...: any)): bpf.TcpcloseProbe\n',
      '---@overload fun(name: "tcpclose", opts?: bpf.TcpcloseOpts, on_event?: fun(ev: bpf.TcpcloseEvent, ...: any)):'
        .. " bpf.TcpcloseProbe\n" } do
      assert.is_truthy(text:find(form .. ".-\nfunction bpf.attach") or text:find(form, 1, true), form)
    end
    text = helper.read(helper.root .. "/lua/bpfnet/_meta_probe_tcpclose.lua")
    for _, line in ipairs {
      "---@field duration_ns? integer SYN sent (or connection accepted by the kernel) to the end\n",
      '---@field closed_by "unknown"|"local"|"remote"|"kernel" whose FIN or RST came first; kernel: it timed out\n',
      "---@field on_event fun(self: bpf.TcpcloseProbe, on_event?: fun(ev: bpf.TcpcloseEvent, ...: any)): "
        .. "bpf.TcpcloseProbe\n",
    } do assert.is_truthy(text:find(line, 1, true), line) end
  end)
end)
