-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Every example and every command in the project's texts: run on real traffic and stopped like a user stops it, or
-- named here with the reason why not, and then looked at. An example that is in neither way covered fails.

local blocks = require("docs_blocks")
local helper = require("helper")

-- Commands that are not run, by how they begin. What they name must be there all the same: see check_words().
local NOT_RUN = {
  { "make ", "installs packages, builds, or runs all tests and so this one" },
  { "tests/", "takes minutes, or boots machines" },
  { "BPFNET", "likewise" },
  { ".output/bpfnet run spec/", "the tests themselves" },
  { "clang ", "api_spec compiles that file with the tree's headers" },
  { "apt-get ", "installs packages" },
  { "bpfnet redirect", "changes other programs' connections; redirect_cli_spec runs it where it may" },
}

-- What a command or example needs that is not here: what stands for it, how long it runs, what it may say.
local AS = {
  ["run pod_latency"] = { seconds = 5 }, -- what a request belongs to is known only later
  ["dport = 8080, "] = { "" },
  ["--netns blue"] = { "--netns bpfnet-docs" },
  ["| dot -Tsvg"] = { "| cat" },
  ["--between ip_rcv,sock_read"] = { says = "can't be seen here" }, -- where only tracepoints can be hooked
  ["--pod 'shop/cart-*'"] = { says = 'no pod' },
  ["--dot --duration 60"] = { "--dot --duration 2" },
  ["shop.slice"] = { "CGROUP" },
  ["shop/cart-*\" }"] = { says = "no pod" },
  ["/etc/kubernetes/admin.conf"] = { says = "kube" },
}

-- Blocks that are neither Lua nor commands nor a list of functions.
local OTHER = {
  { "engine/README.md", "script.lua ──", "a drawing" },
  { "lua/http.md", "apiVersion:", "for kubectl" },
  { "README.md", "bpf> ", "repl_spec and repl_lua_spec type such lines" },
  { "lua/repl.md", "bpf> ", "entered by repl_lua_spec" },
  { "scripts/README.md", "   5.2ms    17us", "output of packet_path on another kernel" },
}

-- Messages that the texts quote, and what makes the engine say them.
local MESSAGES = {
  ['where "namespace == shop'] = "bpf.load('tcpconnect', { where = 'namespace == shop or dport == 443' })",
  ['where "dprot == 80": '] = 'bpf.load("tcpclose", { where = "dprot == 80" })',
  ["probe 'podnet': pcap: "] = 'bpf.load("podnet", { pcap = "tcp prot 443" })',
}

local SECONDS = 2
local ALL = blocks.all()

local dir, traffic_file, traffic
local jobs = {}

local function id(block) return ("%s:%d"):format(block.file, block.line) end

local function not_run(command)
  for _, row in ipairs(NOT_RUN) do
    if command:sub(1, #row[1]) == row[1] then return row[2] end
  end
end

-- A job for the shell, with what stands for things that are not here.
local function job_of(shell)
  local job = { seconds = SECONDS }
  -- the pods of the texts are not here: then all that is here is looked at
  shell = shell:gsub(" %-%-namespace shop", ""):gsub(" %-%-pod shop/[%w-]+", "")
  for text, as in pairs(AS) do
    local from, to = shell:find(text, 1, true)
    if from then
      job.seconds, job.says = as.seconds or job.seconds, as.says
      shell = as[1] and shell:sub(1, from - 1) .. as[1] .. shell:sub(to + 1) or shell
    end
  end
  -- what gets the signal has to be bpfnet, not a shell
  job.piped = shell:find(" | ", 1, true) ~= nil
  job.shell = (job.piped and "" or "exec ") .. shell:gsub("CGROUP", (helper.cgroup()))
  return job
end

local function lua_job(block)
  local code = table.concat(block.lines, "\n")
  if code:find("\n?tcp%l+[{(:]") or code:find("podnet[{(:]") then
    return job_of("bpfnet run -e " .. helper.quote(code))
  end
  local path = ("%s/cwd/%s-%d.lua"):format(dir, block.file:gsub("/", "-"), block.line)
  local f = assert(io.open(path, "w"))
  f:write((code:gsub("shop%.slice", helper.cgroup())))
  f:close()
  local job = job_of("bpfnet run " .. path)
  for text, as in pairs(AS) do
    job.says = job.says or code:find(text, 1, true) and as.says
  end
  return job
end

-- What is wrong with a job that has run; nil: nothing.
local function wrong_with(job)
  if job.says and job.err:find(job.says, 1, true) then return nil end
  for line in job.err:gmatch("[^\n]+") do
    if not line:find("warning") and not line:find("^hint") then return "it says: " .. job.err end
  end
  if job.status ~= 0 and not (job.piped and job.status == 130) then
    return ("it ends with status %s"):format(job.status)
  end
  local got = {}
  for line in job.out:gmatch("[^\n]+") do got[#got + 1] = line end
  local have = {}
  for _, titles in ipairs(blocks.titles(got)) do have[titles] = true end
  for _, titles in ipairs(blocks.titles(job.output or {})) do
    if not have[titles] then return ("no table %q in its output:\n%s"):format(titles, job.out) end
  end
  if #(job.output or {}) > 0 and #got == 0 then return "it prints nothing" end
end

local function check(job)
  local wrong = wrong_with(job)
  assert(not wrong, job.shell .. "\n" .. (wrong or ""))
end

local function prepare()
  dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -p %s/cwd"):format(dir)))
  helper.compile("spec/example/tcpretrans.bpf.c", dir .. "/cwd/tcpretrans.bpf.o")
  helper.sh("ip netns add bpfnet-docs")
  for _, block in ipairs(ALL) do
    if block.kind == "lua" then
      jobs[id(block)] = lua_job(block)
    elseif block.kind == "commands" then
      for _, c in ipairs(blocks.commands(block)) do
        if not not_run(c.command) then
          local job = job_of(c.command)
          job.output = c.output
          jobs[("%s:%d"):format(block.file, c.line)] = job
        end
      end
    end
  end
end

-- Connections, refused ones, some that send again, requests, and datagrams that nobody takes, for as long as
-- a file is there.
local function start_traffic()
  traffic_file = dir .. "/traffic"
  local path = dir .. "/traffic.sh"
  local f = io.open(path, "w")
  f:write((([[
    touch FILE
    while [ -e FILE ]; do TRAFFIC -c 1 dead_peer >/dev/null 2>&1; done &
    while [ -e FILE ]; do
      TRAFFIC -c 3 echo4 echo6 bulk refused4 linger_rst >/dev/null 2>&1
      echo x >/dev/udp/127.0.0.1/9
      ip netns exec bpfnet-docs bash -c 'ip link set lo up; echo x >/dev/udp/127.0.0.1/9'
      sleep 0.1
    done
    wait
  ]]):gsub("FILE", traffic_file):gsub("TRAFFIC", helper.traffic)))
  f:close()
  traffic = helper.start("bash " .. path)
end

setup(function()
  prepare()
  start_traffic()
  local list = {}
  for _, job in pairs(jobs) do list[#list + 1] = job end
  blocks.run(list, dir)
  -- a busy machine may have needed all that time only to start
  local again = {}
  for _, job in ipairs(list) do
    if wrong_with(job) then
      job.seconds = 20
      again[#again + 1] = job
    end
  end
  blocks.run(again, dir)
end)

teardown(function()
  os.remove(traffic_file)
  traffic.wait()
  helper.sh("ip netns del bpfnet-docs; rm -rf %s", dir)
end)

-- Things that a command names: targets of make, files, commands and options of bpfnet, scripts.
local helps = {}

local function help_of(command)
  helps[command] = helps[command] or helper.sh("%s %s", helper.bpfnet, command)
  return helps[command]
end

local function exists(path)
  return os.execute(("test -e %s/%s"):format(helper.root, path))
end

local function check_bpfnet(words)
  local name = words[2]
  local help = help_of("help " .. name)
  assert(not help:find("unknown command"), "no command " .. name)
  local script = name == "run" and words[3] and not words[3]:find("^%-") and words[3]:match("^[%l_]+$")
  if script then
    help = help_of("run " .. script .. " --help")
    assert(not help:find("no shipped script"), help)
  end
  for _, word in ipairs(words) do
    local option = word:match("^%-%-[%l-]+")
    assert(not option or option == "--help" or help:find(option, 1, true), ("%s: no option %s"):format(name, option))
  end
end

local function check_words(command)
  local words = {}
  for word in command:gmatch("%S+") do words[#words + 1] = word end
  while words[1]:find("=") do table.remove(words, 1) end
  local program = words[1]
  if program == "make" then
    for i = 2, #words do
      local target = words[i]:match("^%l+$")
      assert(not target or helper.read(helper.root .. "/Makefile"):find("\n" .. target .. ":"), "no target "
        .. words[i])
    end
  elseif program:find("^tests/") then
    assert(exists(program), program .. " is not there")
  elseif program == ".output/bpfnet" then
    for _, word in ipairs(words) do
      assert(not word:find("^spec/") or exists(word), word .. " is not there")
    end
  elseif program == "bpfnet" then
    check_bpfnet(words)
  end
end

describe("each Lua example", function()
  for _, block in ipairs(ALL) do
    if block.kind == "lua" then
      it(("runs: %s"):format(id(block)), function() check(jobs[id(block)]) end)
    end
  end
end)

describe("each command", function()
  for _, block in ipairs(ALL) do
    for _, c in ipairs(block.kind == "commands" and blocks.commands(block) or {}) do
      local at = ("%s:%d"):format(block.file, c.line)
      if not_run(c.command) then
        it(("names what there is: %s %s"):format(at, c.command), function() check_words(c.command) end)
      else
        it(("runs: %s %s"):format(at, c.command), function() check(jobs[at]) end)
      end
    end
  end
end)

-- Whose functions a list names: NAME.f or NAME:f.
local function objects()
  local probe = bpf.load("tcpclose")
  local agg, timer = bpf.aggregate({ by = "comm" }), bpf.after(1000, print)
  local counted = require("bpfnet.short_view")
  timer:close()
  return { bpf = bpf, probe = probe, agg = agg, timer = timer, pod = require("bpfnet.pod"), c = counted.class,
    r = debug.getregistry()["bpf.Redirect"].__index }
end

describe("each list of functions", function()
  for _, block in ipairs(ALL) do
    if block.kind == "reference" then
      it(("names what there is: %s"):format(id(block)), function()
        local known, n = objects(), 0
        for _, line in ipairs(block.lines) do
          for object, name in line:gmatch("(%a+)[.:]([%a_]+)%(") do
            n = n + 1
            assert(known[object], "what is " .. object .. "?")
            assert(known[object][name], ("%s has no %s"):format(object, name))
          end
        end
        assert.is_true(n > 3)
      end)
    end
  end
end)

local function message_for(block)
  for begin, code in pairs(MESSAGES) do
    if block.lines[1]:sub(1, #begin) == begin then return code end
  end
end

local function other(block)
  for _, row in ipairs(OTHER) do
    if row[1] == block.file and block.lines[1]:sub(1, #row[2]) == row[2] then return row[3] end
  end
end

describe("each other block", function()
  for _, block in ipairs(ALL) do
    if block.kind == "other" then
      it(("is known: %s"):format(id(block)), function()
        local code = message_for(block)
        if code then
          local text = helper.code(code)
          local quoted = block.lines[1]:gsub("%.%.%.%)?$", "")
          assert.is_truthy(text:find(quoted, 1, true), text)
        elseif block.lang == "c" then
          local source = helper.read(helper.root .. "/spec/example/tcpretrans.bpf.c")
          assert.is_truthy(source:find(table.concat(block.lines, "\n"), 1, true), "not as in spec/example")
        else
          assert.is_truthy(other(block), table.concat(block.lines, "\n"))
        end
      end)
    end
  end
end)

describe("each command in running text", function()
  for _, file in ipairs(blocks.files()) do
    it("names what there is: " .. file, function()
      local text = helper.read(helper.root .. "/" .. file):gsub("\n```.-\n```", "")
      for command in text:gmatch("`(bpfnet %l[^`\n]*)`") do check_words(command) end
      for command in text:gmatch("`(make [^`\n]*)`") do check_words(command) end
    end)
  end

  it("is in a file that is there, when a text refers to it", function()
    for _, file in ipairs(blocks.files()) do
      local folder = file:match("^(.*/)") or ""
      for path in helper.read(helper.root .. "/" .. file):gmatch("%]%(([%w_./-]+)%)") do
        assert(exists(folder .. path), ("%s refers to %s"):format(file, path))
      end
    end
  end)
end)
