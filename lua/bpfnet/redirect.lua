-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- `bpfnet redirect`: bpf.redirect in the foreground or the background, and what others of this host do.
-- `host` is what can't be done in Lua: engine/cmd_redirect_host.c.

local args = require("bpfnet.args")
local nearest = require("bpfnet.nearest")
local report = require("bpfnet.redirect_report")

local redirect = {}

local STOP_SECONDS = 5 -- in which connections are let go
local END_SECONDS = 20 -- in which another process ends, after that
local EPIPE = 32

local PIDS = { type = "integer", list = true, min = 1, max = 0x7fffffff }
local WORDS = { type = "string", list = true }

local OPTIONS = {
  cgroup = WORDS,
  pods = WORDS,
  ports = WORDS,
  pids = PIDS,
  exclude_ports = WORDS,
  exclude_pids = PIDS,
  policy = { type = "word", words = { "turns", "all" }, default = "turns" },
  blocking = { type = "flag" },
  any_kernel = { type = "flag" },
  detach = { type = "string" },
}

local function fail(status, message)
  if not message:find("\nhint: ", 1, true) and status == 2 then
    message = message .. "\nhint: bpfnet help redirect"
  end
  io.stderr:write("bpfnet redirect: ", message, "\n")
  return status
end

-- Wrong ports are told here, where the text is known. nil, or what is wrong
local function check_ports(opt, name)
  for _, text in ipairs(opt[name] or {}) do
    local first, last = text:match("^(%d+)%-?(%d*)$")
    first, last = tonumber(first), tonumber(last) or not text:find("-", 1, true) and tonumber(first)
    if not first or not last or first < 1 or last > 65535 or first > last then
      return ("option \"--%s\": expected ports like 8080 or 9000-9100, got \"%s\""):format(
        name:gsub("_", "-"), text)
    end
  end
end

-- Options, or nil and what is wrong.
local function parse(argv)
  local words = {}
  for i, word in ipairs(argv) do
    words[i] = word == "--detach" and "--detach=default" or word
  end
  local opt, wrong = args.try_parse(words, OPTIONS, {})
  if not opt then
    return nil, wrong
  elseif opt.csv then
    return nil, "unknown option \"--csv\", did you mean \"--json\"?"
  elseif not opt.cgroup and not opt.pods then
    return nil, "which connections? give --cgroup PATH (\"/\" is all of this host) or --pods NAME"
  end
  wrong = check_ports(opt, "ports") or check_ports(opt, "exclude_ports")
  return not wrong and opt or nil, wrong
end

local function policy_of(opt)
  local policy = { blocking = opt.blocking or false }
  if opt.policy == "all" then
    policy.turns, policy.streams = 1, true
  end
  return policy
end

-- Prints a line. When nobody can read any more, all ends.
local function say(state, line)
  local ok, message, code = io.stdout:write(line, "\n")
  if ok then
    ok, message, code = io.stdout:flush()
  end
  if not ok and not state.broken then
    state.broken = code == EPIPE and "" or message
    bpf.stop()
  end
end

local function on_event(state, opt, host, ev)
  report.count(state, ev)
  if opt.json then
    say(state, bpf.json(ev, report.EVENT))
  elseif host.verbose then
    say(state, report.event_line(ev))
  end
end

-- The redirect, shown to other processes, or nil and why not.
local function start(state, opt, host)
  local free, taken = true, nil
  if opt.detach then
    free, taken = host.check(opt.detach)
  end
  if not free then
    return nil, taken
  end
  local ok, r = pcall(bpf.redirect, {
    cgroup = opt.cgroup,
    pods = opt.pods,
    ports = opt.ports,
    pids = opt.pids,
    exclude = { ports = opt.exclude_ports, pids = opt.exclude_pids },
    policy = policy_of(opt),
    any_kernel = opt.any_kernel,
    on_event = function(ev) on_event(state, opt, host, ev) end,
  })
  if not ok then
    local why = r:gsub("^bpf%.redirect: ", ""):gsub("^redirect: ", "")
    return nil, why:find("is not fit for it") and why .. "; --any-kernel does it nevertheless" or why
  end
  local shown, why = host.publish(r, opt.detach, report.scope(opt))
  if not shown then
    r:close()
    return nil, why
  end
  return r
end

-- Lets all go, and says what it was good for.
local function finish(state, r, opt, host)
  local stats, whys = r:stats(), report.let_go(state, r:connections())
  stats.left = r:stop(STOP_SECONDS)
  r:close()
  if state.broken then
    return state.broken == "" and 0 or fail(1, "can't write: " .. state.broken)
  elseif opt.json then
    say(state, bpf.json(report.summary(stats, whys, state.refused), report.SUMMARY))
  elseif not host.quiet then
    say(state, report.summary_line(stats, whys, state.refused))
  end
  return 0
end

-- Runs until a signal. Returns the exit status.
local function run(argv, host)
  local opt, wrong = parse(argv)
  if not opt then
    return fail(2, wrong)
  end
  local state = report.new()
  local r, why = start(state, opt, host)
  if not r then
    return fail(1, why)
  end
  say(state, opt.json and bpf.json({ event = "on", scope = report.scope(opt), name = opt.detach },
    report.EVENT) or ("redirect: on (%s)"):format(report.scope(opt)))
  if host.detached then
    state.broken = not host.ready() and "" or nil
  else
    host.watch_output()
  end
  if not state.broken and bpf.run(opt.duration) == "stopped" then
    state.broken = state.broken or ""
  end
  return finish(state, r, opt, host)
end

-- The only argument of a subcommand, or nil and what is wrong. What is in `flags` may be there too.
local function one_name(argv, flags)
  local name
  local given = {}
  for i = 2, #argv do
    local text = argv[i]
    if flags[text] then
      given[text] = true
    elseif text:find("^%-") then
      local known = { "--verbose", "--quiet" }
      for flag in pairs(flags) do
        known[#known + 1] = flag
      end
      local near = nearest(text, known)
      return nil, ("%s: unknown option \"%s\"%s"):format(argv[1], text,
        near and (", did you mean \"%s\"?"):format(near) or "")
    elseif name then
      return nil, ("%s: unexpected argument \"%s\""):format(argv[1], text)
    else
      name = text
    end
  end
  return { name = name, json = given["--json"] }
end

local function no_such_name(list, name)
  local names = {}
  for _, one in ipairs(list) do
    names[#names + 1] = one.name
  end
  local near = nearest(name, names)
  return ("no redirect is called \"%s\"%s"):format(name, near
    and (", did you mean \"%s\"?"):format(near)
    or #names > 0 and (" (there are: %s)"):format(table.concat(names, ", ")) or "")
end

local function named(list, name)
  for _, one in ipairs(list) do
    if one.name == name then
      return { one }
    end
  end
end

local commands = {}

function commands.status(argv, host)
  local opt, wrong = one_name(argv, { ["--json"] = true })
  if not opt then
    return fail(2, wrong)
  end
  local all, hidden = host.list()
  local list = opt.name and named(all, opt.name) or not opt.name and all
  if not list then
    return fail(1, no_such_name(all, opt.name))
  end
  for _, one in ipairs(list) do
    report.amend(one)
    print(opt.json and report.status_json(one, host.verbose) or report.status(one, host.verbose))
  end
  if hidden and not opt.name then
    return fail(1, hidden)
  elseif #list == 0 and not opt.json then
    print("no redirect is on")
  end
  return 0
end

function commands.stop(argv, host)
  local opt, wrong = one_name(argv, {})
  if not opt then
    return fail(2, wrong)
  end
  local name = opt.name or "default"
  local ended, why = host.stop(name, END_SECONDS)
  if not ended then
    local unknown = why:find("^no redirect is called")
    return fail(1, unknown and no_such_name(host.list(), name) or why)
  end
  if not host.quiet then
    print(report.ended(ended, "stopped"))
  end
  return 0
end

function commands.clean(argv, host)
  local opt, wrong = one_name(argv, {})
  if not opt or opt.name then
    return fail(2, wrong or ("clean: unexpected argument \"%s\""):format(opt.name))
  end
  local list, why = host.clean(STOP_SECONDS)
  if not list then
    return fail(1, why)
  end
  for _, ended in ipairs(list) do
    print(report.ended(ended, "removed"))
  end
  if #list == 0 and not host.quiet then
    print("nothing to remove")
  end
  return 0
end

---The command.
---@param argv string[] its arguments, without those that are the same for all commands
---@param host table what can't be done in Lua: engine/cmd_redirect_host.c
---@return integer status 0, 1 for a failure, 2 for wrong usage
function redirect.main(argv, host)
  local word = argv[1] or ""
  if commands[word] then
    return commands[word](argv, host)
  elseif word ~= "" and not word:find("^%-") then
    local near = nearest(word, { "status", "stop", "clean", "bench" })
    return fail(2, ("unexpected argument \"%s\"%s"):format(word,
      near and (", did you mean \"%s\"?"):format(near) or ""))
  end
  return run(argv, host)
end

return redirect
