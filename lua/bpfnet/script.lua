-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What every script for a user does besides its own work: attach, fail in one line, tell of losses.

local script = {}

---Returns the name by which the user started the script, without folder and ".lua".
---@return string
function script.name()
  local name = arg and arg[0] or "script"
  return name:match("([^/]+)%.lua$") or name:match("([^/]+)/*$") or name
end

---Ends the program with one line on stderr: "bpfnet: NAME: MESSAGE".
---@param message string may go on with "\nhint: ..."
---@param status? integer exit status, default 1; 2 is for wrong usage
function script.fail(message, status)
  io.stdout:flush()
  io.stderr:write("bpfnet: ", script.name(), ": ", message, "\n")
  os.exit(status or 1, true) -- true closes the state, which detaches what is attached
end

-- What a failure says, without the name of the function that failed.
local function plain(message)
  return (message:gsub("^bpf%.%a+: ", ""):gsub("^probe:%a+: ", ""))
end

---bpf.attach, but a failure ends the program with one line instead of a traceback.
---@param name string
---@param opts? bpf.Opts
---@param on_event? function
---@return bpf.Probe
function script.attach(name, opts, on_event)
  local probe, message = bpf.try_attach(name, opts, on_event)
  if not probe then
    script.fail(plain(message))
  end
  bpf.log("info", "%s: attached", name)
  return probe
end

---bpf.load, likewise; script.start() attaches.
---@param name string
---@param opts? bpf.Opts
---@return bpf.Probe
function script.load(name, opts)
  local ok, probe = pcall(bpf.load, name, opts)
  if not ok then
    script.fail(plain(probe))
  end
  return probe
end

---Attaches a probe that was loaded, likewise.
---@param probe bpf.Probe
function script.start(probe)
  local ok, message = pcall(probe.attach, probe)
  if not ok then
    script.fail(plain(message))
  end
  bpf.log("info", "%s: attached", probe.name)
end

local function tell(name, stats)
  if stats.dropped > 0 then
    bpf.log("warn", "probe '%s': %d of %d events were lost, so the output is incomplete (hint: "
      .. "filter, or a larger --buffer)", name, stats.dropped, stats.dropped + stats.events)
  end
  if stats.untracked > 0 then
    bpf.log("warn", "probe '%s': %d %s", name, stats.untracked, name:find("^podnet")
      and "packets were too many to be followed: they are missing (hint: filter)"
      or "sockets were too many to be followed: their owner is unknown")
  end
  if stats.limited > 0 then
    bpf.log("warn", "probe '%s': %d events above the rate were left out", name, stats.limited)
  end
  if stats.malformed > 0 then
    bpf.log("warn", "probe '%s': %d events could not be decoded", name, stats.malformed)
  end
end

---Tells on stderr what the probes lost, if anything. To be called last.
---@param ... bpf.Probe
function script.losses(...)
  for _, probe in ipairs({ ... }) do
    tell(probe.name, probe:stats())
  end
end

return script
