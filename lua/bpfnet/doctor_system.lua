-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Of `bpfnet doctor`: the kernel, its types, and which ways to hook work.

local files = require("bpfnet.files")
local mounts = require("bpfnet.doctor_mounts")

local system = {}

local MAX_BYTES = 1 << 16

local function line(path)
  local text = files.read(path, MAX_BYTES)
  return text and text:match("^[^\n]*")
end

local function distribution()
  local text = files.read("/etc/os-release", MAX_BYTES) or files.read("/usr/lib/os-release", MAX_BYTES) or ""
  return text:match('\nPRETTY_NAME="?([^"\n]*)') or text:match('^PRETTY_NAME="?([^"\n]*)')
end

local function add_kernel(add, context)
  local kernel = context.kernel
  local ok, why, fix = context.native.check()
  local old = not ok and why:find("too old", 1, true) ~= nil
  add({ name = "kernel", ok = not old, found = ("%s %s%s"):format(kernel.release, kernel.machine,
    distribution() and ", " .. distribution() or ""), need = "5.8 or newer", why = old and why or nil,
    fix = old and (fix or "a newer kernel") or nil })
end

local function add_btf(add)
  local modules = 0
  for _, name in ipairs(files.list("/sys/kernel/btf") or {}) do
    modules = modules + (name ~= "vmlinux" and 1 or 0)
  end
  local file, _, code = io.open("/sys/kernel/btf/vmlinux")
  if file then
    file:close()
  end
  add({ name = "BTF", ok = file ~= nil, found = file and ("the kernel's, and that of %d modules"):format(modules)
    or "none", need = "without the kernel's types nothing can be attached; those of modules allow fentry there",
    why = not file and (code == 2 and "/sys/kernel/btf/vmlinux is not there" or "it can't be read") or nil,
    fix = not file and "a kernel with CONFIG_DEBUG_INFO_BTF=y, and /sys mounted (mount -t sysfs sysfs /sys)"
      or nil })
end

-- What each way is for, and which of the kernel's settings bring it. `main`: probes do not run without it.
-- `alternative`: there are others for the same.
local WAYS = {
  ringbuf = { need = "all events", config = "CONFIG_BPF_SYSCALL (5.8)", main = true },
  tp_btf = { need = "all TCP probes", config = "CONFIG_BPF_EVENTS, CONFIG_DEBUG_INFO_BTF", main = true },
  iterator = { need = "connections that were there before", config = "CONFIG_BPF_SYSCALL (5.8)", main = true },
  tracepoint = { need = "one way to see connects and accepts",
    config = "CONFIG_BPF_EVENTS, CONFIG_PERF_EVENTS", alternative = true },
  syscall = { need = "one way to see connects and accepts",
    config = "CONFIG_FTRACE_SYSCALLS", alternative = true },
  fentry = { need = "functions, at the least cost", config = "CONFIG_FUNCTION_TRACER, "
    .. "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, CONFIG_BPF_JIT", alternative = true },
  fexit = { need = "functions as they return, at the least cost", config = "the same as fentry", alternative = true },
  kprobe = { need = "functions, where fentry is not to be had",
    config = "CONFIG_KPROBES, CONFIG_KPROBE_EVENTS", alternative = true },
  kretprobe = { need = "functions as they return", config = "CONFIG_KRETPROBES", alternative = true },
  ["kprobe.multi"] = { need = "podnet: a hundred functions at once, in little time",
    config = "CONFIG_FPROBE (5.18)", alternative = true },
  ["attach cookie"] = { need = "podnet: one program for many functions", config = "a kprobe, from 5.15 on",
    alternative = true },
  sockops = { need = "redirect", config = "CONFIG_CGROUP_BPF" },
  sk_msg = { need = "redirect", config = "CONFIG_BPF_STREAM_PARSER, CONFIG_NET_SOCK_MSG" },
}

local NOT_PERMITTED = { EPERM = true, EACCES = true }

-- These are perf events, which Debian and Ubuntu let nobody but CAP_SYS_ADMIN have if that is above 2.
local PERF = { tracepoint = true, syscall = true, kprobe = true, kretprobe = true, ["attach cookie"] = true }

local TRACEFS = { tracepoint = true, syscall = true }

-- What else they need.
local NOT_THERE = {
  sockops = { "cgroup v2 is not mounted" },
  tracepoint = { "tracefs is not mounted, or can't be read" },
  syscall = { "tracefs is not mounted or can't be read, or the kernel has no CONFIG_FTRACE_SYSCALLS" },
}
NOT_THERE.tracepoint[2], NOT_THERE.syscall[2] = mounts.TRACEFS_FIX, mounts.TRACEFS_FIX

-- Why it is not permitted, as far as that can be told from the outside, and what to do; nil if nothing is missing.
local function not_permitted(way, context)
  local own = context.rights
  local missing = own:for_way(way.name)
  if missing then
    return "not permitted: " .. missing, own.fix
  elseif own.seccomp == 2 and context.way("ringbuf").error then
    return ("not permitted (%s): the seccomp filter forbids it"):format(way.error), own.seccomp_fix
  elseif TRACEFS[way.name] and way.error == "EPERM" and not own:has("CAP_SYS_ADMIN") then
    return NOT_THERE[way.name][1] .. "; mounting it needs CAP_SYS_ADMIN", NOT_THERE[way.name][2]
  elseif context.memcg == false and own.memlock_is_short and way.error == "EPERM" then
    return ("not permitted (%s): the limit of locked memory is too low"):format(way.error), own.memlock_fix
  elseif PERF[way.name] and own.paranoid and own.paranoid > 2 and not own:has("CAP_SYS_ADMIN") then
    return ("not permitted (%s): perf_event_paranoid is %d"):format(way.error, own.paranoid),
      "sysctl kernel.perf_event_paranoid=2, or CAP_SYS_ADMIN"
  end
end

-- One of these is enough. Where none works, this is what to do.
local FUNCTIONS = { "fentry", "kprobe", "kprobe.multi" }
system.FUNCTION_FIX = "a kernel with fentry (" .. WAYS.fentry.config .. ") or kprobes (" .. WAYS.kprobe.config
  .. ", and for many at once " .. WAYS["kprobe.multi"].config .. ")"

local function any_function(context)
  for _, name in ipairs(FUNCTIONS) do
    if context.way(name) and not context.way(name).error then
      return true
    end
  end
  return false
end

local function reason(way, use, context)
  local why, fix
  if NOT_PERMITTED[way.error] then
    why, fix = not_permitted(way, context)
  elseif way.error == "ENOENT" and NOT_THERE[way.name] then
    why, fix = NOT_THERE[way.name][1], NOT_THERE[way.name][2] or mounts.cgroup_fix()
  end
  if why then
    return why, fix
  end
  -- kernels without ftrace say EPERM to fentry
  why = ("this kernel refuses it (%s); it comes with %s"):format(way.error, use.config)
  if use.alternative then
    return why, not any_function(context) and system.FUNCTION_FIX or nil
  end
  return why, "a kernel with " .. use.config
end

---Judges what was tried: sets `why` and `fix` of each way of context.hooks.ways that does not work.
---@param context table
function system.judge_ways(context)
  for _, way in ipairs(context.hooks.ways or {}) do
    if way.error then
      way.why, way.fix = reason(way, WAYS[way.name], context)
    end
  end
end

---What to do so that more ways work, of those without which a probe may have none left.
---@param context table
---@return string? fix
function system.any_fix(context)
  for _, name in ipairs({ "ringbuf", "tp_btf", "iterator", "syscall", "kprobe" }) do
    local way = context.way(name)
    if way and way.fix then
      return way.fix
    end
  end
end

---@param add fun(check: table)
---@param context table
function system.add_ways(add, context)
  if not context.hooks.ways then
    add({ name = "ways to hook", ok = false, found = "not tried", need = "all probes", why = context.hooks.why })
  end
  for _, way in ipairs(context.hooks.ways or {}) do
    local use = WAYS[way.name]
    add({ name = way.name, ok = not way.error or not use.main and "partly", found = way.error and "no" or "works",
      need = use.need, why = way.why, fix = way.fix })
  end
end

local function add_lockdown(add)
  local text = line("/sys/kernel/security/lockdown")
  local mode = text and text:match("%[(%w+)%]")
  local bad = mode == "confidentiality"
  add({ name = "lockdown", ok = not bad, found = mode or "not known (securityfs is not mounted)",
    need = "reading the kernel's memory, which \"confidentiality\" forbids",
    why = bad and "programs may not read the kernel's memory" or nil,
    fix = bad and "boot with lockdown=integrity, or without Secure Boot" or nil })
end

-- The number in a file; "not readable" if it is there, else "not there".
local function setting(path)
  local value = line(path)
  local _, _, code = files.inode(path)
  return tonumber(value), value or (code and "not there" or "not readable by this user")
end

local function add_settings(add, context)
  local hidden = context.rights.kallsyms_hidden
  local _, restrict = setting("/proc/sys/kernel/kptr_restrict")
  add({ name = "kallsyms", ok = not hidden or "partly",
    found = ("%s, kptr_restrict %s"):format(hidden and "addresses hidden" or "readable", restrict),
    need = "names of functions in stacks and of where packets were dropped",
    why = hidden and "addresses show as numbers; redirect --blocking is not to be had" or nil,
    fix = hidden and (restrict == "2" and "sysctl kernel.kptr_restrict=1" or context.rights.fix) or nil })
  local _, text = setting("/proc/sys/kernel/perf_event_paranoid")
  add({ name = "perf_event_paranoid", ok = true, found = text, need = "tracepoints and kprobes by users without "
    .. "CAP_PERFMON; above 2 older kernels of Debian and Ubuntu want CAP_SYS_ADMIN" })
  _, text = setting("/proc/sys/kernel/unprivileged_bpf_disabled")
  add({ name = "unprivileged_bpf_disabled", ok = true, found = text,
    need = "nothing: bpfnet needs CAP_BPF in any case" })
  local jit = setting("/proc/sys/net/core/bpf_jit_enable")
  add({ name = "JIT", ok = jit ~= 0 or "partly",
    found = jit == 0 and "off" or jit and "on" or "not known here: only the host's net namespace shows it",
    need = "the cost of each event", why = jit == 0 and "programs are interpreted: several times the cost" or nil,
    fix = jit == 0 and "sysctl net.core.bpf_jit_enable=1" or nil })
  local stats
  stats, text = setting("/proc/sys/kernel/bpf_stats_enabled")
  add({ name = "BPF stats", ok = (stats or 0) == 0 or "partly",
    found = stats == 0 and "off" or stats and "on" or text, need = "nothing; on, each run of a program costs more",
    why = (stats or 0) ~= 0 and "each run of each BPF program on this node is timed" or nil,
    fix = (stats or 0) ~= 0 and "sysctl kernel.bpf_stats_enabled=0 when nobody needs it" or nil })
end

local function add_clock(add)
  local name = line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
  local slow = name == "hpet" or name == "acpi_pm"
  add({ name = "clock", ok = not slow or "partly", found = name or "not known",
    need = "each event reads it twice or more", why = slow and "a read of it takes a microsecond or more" or nil,
    fix = slow and "find out from the kernel's log why it does not use tsc" or nil })
end

---@param add fun(check: table)
---@param context table
function system.add(add, context)
  add_kernel(add, context)
  add_btf(add)
  add_lockdown(add)
  add_settings(add, context)
  add_clock(add)
end

return system
