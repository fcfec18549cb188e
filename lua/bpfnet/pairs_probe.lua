-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What scripts about requests have in common: the probe tcprequest with a pairing behind it, and the pods
-- that a user names.
--
--   local requests = require("bpfnet.pairs_probe").new({ filter = opt.filter, proxy = opt.proxy }, on_request)
--   requests:start()
--   bpf.run()
--   requests.probe:detach()
--   requests:settle()

local pairing = require("bpfnet.pairs")
local pod = require("bpfnet.pod")
local script = require("bpfnet.script")

local pairs_probe = {}

local SETTLE_EVERY = 0.25

---@class bpfnet.pairs.Probe
---@field probe bpf.Probe
---@field pairing bpfnet.Pairs
local Requests = {}
Requests.__index = Requests

-- A sidecar by the rules of bpfnet.pod, or a process that the user calls a proxy.
local function proxy_test(names)
  local named = {}
  for _, name in ipairs(names or {}) do
    named[name] = true
  end
  return function(who, ev)
    return who.sidecar == true or named[ev.comm] == true
  end
end

---Loads the probe; it is attached by start(). What is wrong ends the program with one line.
---@param opts { filter: table?, proxy: string[]?, plain: boolean? } proxy: names of processes that pass requests
---  on; plain: nobody does, a sidecar's requests are like any other's
---@param on_request fun(r: bpfnet.pairs.Request)
---@return bpfnet.pairs.Probe
function pairs_probe.new(opts, on_request)
  local self = setmetatable({}, Requests)
  self.pairing = pairing.new({
    identify = pod.of_event, on_request = on_request,
    is_proxy = opts.plain and function() return false end or proxy_test(opts.proxy),
  })
  self.probe = script.load("tcprequest", { filter = opts.filter })
  self.probe:on_event(function(ev)
    self.pairing:add(ev)
  end)
  return self
end

---Attaches it, and settles requests from time to time.
function Requests:start()
  script.start(self.probe)
  bpf.every(SETTLE_EVERY, function()
    self:settle()
  end)
end

---Settles what is due; once the probe is detached, all.
function Requests:settle()
  if self:is_over() then
    self.pairing:flush()
  else
    self.pairing:settle(bpf.now())
  end
end

---True once the probe is detached: settle() then settles all.
---@return boolean
function Requests:is_over()
  return self.probe.state ~= "attached"
end

---Tells on stderr what the pairing could not do. To be called last.
function Requests:losses()
  local stats = self.pairing:stats()
  if stats.hurried > 0 then
    bpf.log("warn", "%d of %d events were paired before all that belongs to them was there: they came too fast "
      .. "(hint: filter)", stats.hurried, stats.events)
  end
end

return pairs_probe
