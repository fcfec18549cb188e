-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What is made of the command table: help, the man page, completion in a real bash and a real zsh.

local cjson = require "cjson"
local helper = require "helper"

local base = os.tmpname()

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end

local function bpfnet(args)
  local text, status = helper.sh("%s %s", helper.bpfnet, args)
  assert.are.equal(0, status, text)
  return text
end

-- The names of the commands, and the options that each one's help tells of.
local function commands()
  local list = {}
  for name in bpfnet("help"):gmatch("\n  (%l+) +%S") do
    local options = {}
    for line in bpfnet("help " .. name):gmatch("\n  (%-[^\n]*)") do
      for option in (line:match("^(.-)  ") or line):gmatch("%-%-?%a[%a-]*") do
        options[#options + 1] = option
      end
    end
    list[name] = options
  end
  return list
end

local function as_set(text)
  local set = {}
  for word in text:gmatch("%S+") do set[word] = true end
  return set
end

describe("bpfnet help", function()
  it("explains each command", function()
    local all = commands()
    assert.is_truthy(all.run and all.probes and all.redirect and all.help)
    for name in pairs(all) do
      assert.is_truthy(bpfnet("help " .. name):find("^usage: bpfnet " .. name), name)
      assert.are.equal(bpfnet("help " .. name), bpfnet(name .. " --help"))
    end
  end)

  it("refuses what it does not know", function()
    local function refused(args, want)
      local text, status = helper.sh("%s help %s", helper.bpfnet, args)
      assert.are.equal(2, status)
      assert.are.equal(want, text)
    end
    refused("--completion fish",
      'bpfnet help: option "--completion": expected bash or zsh, got "fish"\nhint: bpfnet help help\n')
    refused("--completion",
      'bpfnet help: option "--completion": expected bash or zsh, got nothing\nhint: bpfnet help help\n')
    refused("--mna", 'bpfnet help: unknown option "--mna"\nhint: bpfnet help help\n')
    refused("prob", 'bpfnet: unknown command "prob", did you mean "probes"?\nhint: bpfnet help\n')
  end)
end)

describe("what make install puts in its place", function()
  local dir = base .. ".install"

  it("is there, and works from there", function()
    local text, status = helper.sh("make -C %s install DESTDIR=%s PREFIX=/p", helper.root, dir)
    assert.are.equal(0, status, text)
    assert.are.equal(bpfnet("help --man"), helper.read(dir .. "/p/share/man/man8/bpfnet.8"))
    assert.are.equal(bpfnet("help --completion bash"),
      helper.read(dir .. "/p/share/bash-completion/completions/bpfnet"))
    assert.are.equal(bpfnet("help --completion zsh"), helper.read(dir .. "/p/share/zsh/site-functions/_bpfnet"))
    assert.is_truthy(helper.sh("man -M %s/p/share/man -w bpfnet", dir):find("man8/bpfnet.8", 1, true))
  end)

  it("has the annotations, and tells an editor where", function()
    local function library(binary)
      local text, status = helper.sh("%s help --luarc", binary)
      assert.are.equal(0, status, text)
      local settings = cjson.decode(text)
      assert.are.equal("Lua 5.4", settings["runtime.version"])
      return settings["workspace.library"][1]
    end
    assert.are.equal(dir .. "/p/share/bpfnet/lua", library(dir .. "/p/bin/bpfnet"))
    assert.are.equal(helper.root .. "/lua", library(helper.bpfnet))
    for path in helper.sh("ls %s/lua/bpfnet/_meta*.lua", helper.root):gmatch("[^/\n]+%.lua") do
      assert.is_truthy(helper.read(dir .. "/p/share/bpfnet/lua/bpfnet/" .. path), path)
    end
    helper.sh("mkdir -p %s/alone/bin && mv %s/p/bin/bpfnet %s/alone/bin/", dir, dir, dir)
    local text, status = helper.sh("%s/alone/bin/bpfnet help --luarc", dir)
    assert.are.equal(1, status)
    assert.are.equal(("bpfnet help: the annotations are neither in %s/alone/lua nor in %s/alone/share/bpfnet/lua\n"
      .. "hint: make install puts them there\n"):format(dir, dir), text)
  end)
end)

describe("the man page", function()
  write(base .. ".8", bpfnet("help --man"))

  it("is right for groff", function()
    local text, status = helper.sh("groff -ww -man -Tutf8 -z %s.8", base)
    assert.are.equal(0, status, text)
    assert.are.equal("", text)
  end)

  it("has every command, option and shipped script", function()
    local text, status = helper.sh("MANWIDTH=100 MANPAGER=cat LC_ALL=C man -l %s.8", base)
    assert.are.equal(0, status, text)
    text = text:gsub(".\b", "")
    for name, options in pairs(commands()) do
      assert.is_truthy(text:find("\n   " .. name .. "\n       bpfnet " .. name, 1, true), name)
      for _, option in ipairs(options) do
        assert.is_truthy(text:find("%f[%-]" .. option:gsub("%-", "%%-") .. "%f[^%a-]"), option)
      end
    end
    for script in helper.sh("ls %s/scripts/*.lua", helper.root):gmatch("([%w_]+)%.lua") do
      assert.is_truthy(text:find("\n       " .. script .. "%s"), script)
    end
    assert.is_truthy(text:find("--policy turns|all", 1, true))
    assert.is_truthy(text:find('--detach[=NAME]\n              go to the background; NAME is "default" if not given',
      1, true))
    assert.is_truthy(text:find("bpfnet redirect stop [NAME]\n", 1, true))
  end)
end)

-- Words as bash has them, "=" by itself, where the last one is completed. A word of its own: "_" is empty.
local function bash(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = helper.quote(word == "_" and "" or word) end
  local text, status = helper.sh([[cd %s && bash --norc -c '
    . %s.bash
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _bpfnet 2>&1
    ((${#COMPREPLY[@]})) && printf "%%s\n" "${COMPREPLY[@]}"
    complete -p bpfnet' bash %s %s]], helper.root .. "/scripts", base, helper.bpfnet, table.concat(words, " "))
  assert.are.equal(0, status, text)
  text = assert(text:match("^(.-)complete %-F _bpfnet bpfnet\n$"), text)
  return (text:gsub("\n", " "):gsub(" $", ""))
end

describe("completion in bash", function()
  write(base .. ".bash", bpfnet("help --completion bash"))

  it("knows commands and every option of each", function()
    local all = as_set(bash("_"))
    for name, options in pairs(commands()) do
      assert.is_true(all[name], name)
      local known = as_set(bash(name .. " -"))
      for _, option in ipairs(options) do assert.is_true(known[option], name .. " " .. option) end
      assert.is_true(known["--help"])
    end
    assert.are.equal("run", bash("ru"))
    assert.are.equal("--limit-time --limit-mem", bash("run --lim"))
    assert.are.equal("", bash("nosuch _"))
  end)

  it("knows scripts, and what each one takes", function()
    assert.is_true(as_set(bash("run _"))["tcplife"])
    assert.are.equal("tcplife tcplife.lua", bash("run --limit-mem 64 tcpl")) -- we are in scripts/
    assert.are.equal("./tcplife.lua", bash("run -v ./tcpl"))
    assert.are.equal("--side --sidecar", bash("run tcplife --si"))
    assert.are.equal("connect accept", bash("run tcplife --side _"))
    assert.are.equal("accept", bash("run tcplife --side = ac"))
    assert.are.equal("connect accept", bash("run tcplife --side ="))
    assert.are.equal("--interval", bash("run -v ./pod_latency.lua --int"))
    assert.are.equal("", bash("run - --"))
  end)

  it("knows probes, the redirect's commands, words and directories", function()
    assert.are.equal("tcpaccept tcpclose tcpconnect tcprequest", bash("probes tcp"))
    assert.are.equal("status stop clean bench", bash("redirect _"))
    assert.are.equal("turns all", bash("redirect --policy _"))
    assert.are.equal("turns", bash("redirect --policy = t"))
    assert.are.equal("../scripts", bash("redirect --cgroup ../scr"))
    assert.are.equal("", bash("redirect --ports _"))
    assert.are.equal("bash zsh", bash("help --completion _"))
    assert.are.equal("redirect", bash("help redi"))
  end)
end)

-- What the line becomes when Tab is pressed behind it: zsh takes what all candidates begin with.
local function zsh(lines)
  write(base .. ".zsh", ([[
    zmodload zsh/zpty
    zpty z 'TERM=dumb zsh -f -i'
    zpty -w z 'PS1= PS2= RPS1='
    zpty -w z 'fpath=(%s /usr/share/zsh/functions/Completion{,/Base,/Unix,/Zsh} $fpath[-1])'
    zpty -w z 'path=(%s $path); cd %s; autoload -Uz compinit; compinit -u -D'
    zpty -w z 'setopt no_beep no_auto_list'
    zpty -w z 'show() { print -r -- "{$BUFFER}"; BUFFER=; zle accept-line }; zle -N show; bindkey "^X" show'
    zpty -w z 'print REA""DY'
    zpty -r -m z text '*READY*'
    for line in "$@"; do
      zpty -w -n z "$line"$'\t\x18'
      zpty -r -m z text '*{*}*'
      print -r -- "${${text##*\{}%%%%\}*}"
    done
    zpty -d z]]):format(base .. ".d", helper.out, helper.root .. "/scripts"))
  local words = {}
  for _, line in ipairs(lines) do words[#words + 1] = helper.quote(line) end
  local text, status = helper.sh("timeout 30 zsh -f %s.zsh %s", base, table.concat(words, " "))
  assert.are.equal(0, status, text)
  return text
end

describe("completion in zsh", function()
  helper.sh("mkdir -p %s.d", base)
  write(base .. ".d/_bpfnet", bpfnet("help --completion zsh"))

  it("is the same", function()
    local cases = {
      { "bpfnet ru", "bpfnet run " },
      { "bpfnet run --limit-t", "bpfnet run --limit-time=" },
      { "bpfnet run tcpl", "bpfnet run tcplife" },
      { "bpfnet run tcplife --dur", "bpfnet run tcplife --duration " },
      { "bpfnet run tcplife --side ac", "bpfnet run tcplife --side accept " },
      { "bpfnet probes tcpr", "bpfnet probes tcprequest " },
      { "bpfnet redirect stat", "bpfnet redirect status " },
      { "bpfnet redirect --policy=t", "bpfnet redirect --policy=turns " },
      { "bpfnet help redi", "bpfnet help redirect " },
      { "bpfnet help --completion z", "bpfnet help --completion zsh " },
    }
    local lines, want = {}, {}
    for i, case in ipairs(cases) do lines[i], want[i] = case[1], case[2] end
    assert.are.equal(table.concat(want, "\n") .. "\n", (zsh(lines)))
    helper.sh("rm -rf %s.*", base)
  end)
end)
