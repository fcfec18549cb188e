-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What probes can do more while there is a session: p:watch(), and p:last() without p:keep() before.

local repl_made = require("bpfnet.repl_made")
local watch = require("bpfnet.watch")

-- As they are now: a line may put something else there, and the session has to be closed all the same.
local ipairs, pairs, pcall, setmetatable = ipairs, pairs, pcall, setmetatable

local repl_probe = {}

local KEPT, KEPT_BYTES = 1000, 1 << 20
local RECORD_BYTES = 300 -- of most events; those of podnet_path are larger
local LARGE = { podnet_path = 5000, podnet = 600 }

-- The session whose line runs: methods belong to all probes of the state, not to a session.
local current
local sessions = 0

local function methods()
  return debug.getregistry()["bpf.Probe"].methods
end

---@class bpfnet.repl.Probes
---@field private session bpfnet.repl.Session
---@field private kept table<bpf.Probe, true> whose events are kept for this session
---@field private watching? bpfnet.Watch
local Probes = {}
Probes.__index = Probes

---Keeps a probe's last events, unless that is done already.
---@param probe bpf.Probe
function Probes:keep(probe)
  if probe.kept == 0 then
    probe:keep(math.min(KEPT, KEPT_BYTES // (LARGE[probe.name] or RECORD_BYTES)))
    self.kept[probe] = true
  end
end

-- Puts the watch's lines above the prompt, or writes them where there is no such place.
local function shower(session)
  if session.opts.above then
    return session.opts.above
  end
  local ok, terminal = pcall(require, "bpfnet.terminal")
  if ok and session.opts.tty then
    return terminal.above
  end
  return function(lines)
    for _, line in ipairs(lines or {}) do
      session:say(line)
    end
  end
end

-- p:watch([opts]) -> p; p:watch(false) -> p
local function l_watch(probe, opts)
  if not current then
    error("probe:watch: only at a prompt", 2)
  elseif type(probe) ~= "userdata" or opts ~= nil and opts ~= false and type(opts) ~= "table" then
    error("probe:watch: expected a table of options, or false to end it", 2)
  end
  current.probes:watch(probe, opts)
  return probe
end

---Begins to watch a probe, or ends it.
---@param probe bpf.Probe
---@param opts? bpfnet.watch.Opts|false
function Probes:watch(probe, opts)
  if self.watching then
    self.watching:close()
    self.watching = nil
  end
  if opts == false then
    return
  end
  local session = self.session
  self:keep(probe)
  self.watching = watch.new(probe, opts, shower(session), function() return session:width() end, session.paint)
end

---Makes this session the one that p:watch() is about while f runs; returns what f returns.
---@generic T
---@param f fun(): T
---@return T
function Probes:during(f)
  local outer <close> = setmetatable({ current }, { __close = function(t) current = t[1] end })
  current = self.session
  return f(outer)
end

---@param session bpfnet.repl.Session
---@return bpfnet.repl.Probes
function repl_probe.new(session)
  local self = setmetatable({ session = session, kept = setmetatable({}, { __mode = "k" }) }, Probes)
  sessions = sessions + 1
  methods().watch = l_watch
  repl_made.each(function(object, class)
    if class == "Probe" and object.state ~= "closed" then
      self:keep(object)
    end
  end)
  return self
end

---Ends watches, and what was kept for the session.
function Probes:close()
  if self.watching then
    pcall(self.watching.close, self.watching)
    self.watching = nil
  end
  for probe in pairs(self.kept) do
    if probe.state ~= "closed" then
      probe:keep(0)
    end
  end
  sessions = sessions - 1
  if sessions == 0 then
    methods().watch = nil
  end
end

return repl_probe
