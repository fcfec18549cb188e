-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Trying again what others may deny us for a while: later each time, and said once.
--
--   local again = retry.new({ what = "containerd", without = "there are no labels meanwhile",
--     action = connect })
--   ... again:failed("connection refused")   -- one warning; connect() in 1 s, then 2, 4, ... 30 s
--   ... again:worked()                       -- "containerd: is back", if it was away

local retry = {}

---@class bpfnet.Retry
---@field failures integer since the last success
local Retry = {}
Retry.__index = Retry

---@class bpfnet.RetryOpts
---@field what string whom messages name
---@field without string what is missing meanwhile, for the warning
---@field action fun() to try again
---@field first? number seconds before the second try, default 1
---@field most? number seconds between two tries, default 30

---@param opts bpfnet.RetryOpts
---@return bpfnet.Retry
function retry.new(opts)
  return setmetatable({ opts = opts, failures = 0 }, Retry)
end

-- Half to all of the time, so that a cluster's nodes don't come all at once.
local function delay(self)
  local seconds = (self.opts.first or 1) * 2 ^ math.min(self.failures - 1, 20)
  return math.min(seconds, self.opts.most or 30) * (0.5 + math.random() / 2)
end

---It has failed: says so, unless it did since the last success, and tries again after a while.
---@param message string may end with "\nhint: ..."
---@param hint? string
function Retry:failed(message, hint)
  local text, own = message:match("^(.-)\nhint: (.*)$")
  message, hint = text or message, own or hint
  self:stop()
  self.failures = self.failures + 1
  local first = self.failures == 1
  bpf.log(first and "warn" or "debug", "%s: %s; %s, it is tried again%s", self.opts.what, message,
    self.opts.without, hint and "\nhint: " .. hint or "")
  self.timer = bpf.after(delay(self), function()
    self.timer = nil
    self.opts.action()
  end):background()
end

---It works.
function Retry:worked()
  self:stop()
  if self.failures > 0 then
    bpf.log("info", "%s: is back", self.opts.what)
  end
  self.failures = 0
end

---Tries no more, until the next failure.
function Retry:stop()
  if self.timer then
    self.timer:close()
    self.timer = nil
  end
end

return retry
