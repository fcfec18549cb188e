-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The filter by container: from the words of a script (`filter = {pod = "shop/cart*"}`) to a verdict for
-- each cgroup, kept up to date as containers come and go. The engine calls it; scripts need not.

local pod = require("bpfnet.pod")

local pod_filter = {}

local WORDS = { "pod", "namespace", "container", "image", "runtime", "sidecar", "label" }

-- enum pod_verdict of bpf/filter.h
local UNDECIDED, WANTED, UNWANTED, NONE = 0, 1, 2, 3

local function spec_of(filter)
  local spec = {}
  for _, word in ipairs(WORDS) do
    spec[word] = filter[word]
  end
  return pod.check(spec)
end

-- A cgroup that is no container's says nothing of who uses the socket: the task's cgroup is asked. One
-- whose name is not known is asked about again with each event, until it is.
local function verdict_of(identity, spec)
  if not identity or identity.runtime == "unknown" then
    return UNDECIDED
  elseif pod.matches(identity, spec) then
    return WANTED
  end
  return identity.container and UNWANTED or NONE
end

---Begins to decide for a probe. The table of verdicts is kept up to date, and the kernel told, until
---another filter is in force or the probe is gone.
---@param probe bpf.Probe
---@param filter table as in the option `filter`; raises what pod.check() raises
---@return table<integer, integer> verdicts by cgroup id
---@return fun(cgroup: integer, task_cgroup: integer, netns: integer, netns_cookie: integer): boolean judge
---  for an event of a cgroup without one
function pod_filter.begin(probe, filter)
  local spec = spec_of(filter)
  pod.start()
  local verdicts = {}
  -- weak: what follows the containers must not keep a probe alive that the script has dropped
  local of = setmetatable({ probe = probe }, { __mode = "v" })
  local handle, begun
  handle = pod.follow(function(cgroup, identity)
    local verdict = verdict_of(identity, spec)
    if (verdicts[cgroup] or UNDECIDED) == verdict then
      return
    end
    verdicts[cgroup] = verdict ~= UNDECIDED and verdict or nil
    if begun and not (of.probe and of.probe:_verdict(verdicts, cgroup, verdict)) then
      handle:close()
    end
  end)
  begun = true
  return verdicts, function(cgroup, task_cgroup, netns, netns_cookie)
    return pod.matches(pod.of(cgroup, task_cgroup, netns, netns_cookie), spec)
  end
end

return pod_filter
