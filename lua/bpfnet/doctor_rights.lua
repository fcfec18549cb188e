-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Of `bpfnet doctor`: capabilities, namespaces, seccomp, limits: what this process may do, and see.

local files = require("bpfnet.files")

local rights = {}

local MAX_BYTES = 1 << 16

-- Numbers of include/uapi/linux/capability.h. `main`: without it nothing can be traced;
-- `root_fix`: what to do in place of giving it to the file.
local CAPABILITIES = {
  { name = "CAP_BPF", bit = 39, main = true, need = "loading programs and maps" },
  { name = "CAP_PERFMON", bit = 38, main = true, need = "programs that read the kernel, tracepoints, kprobes" },
  { name = "CAP_NET_ADMIN", bit = 12, need = "redirect", lack = "redirect can't run" },
  { name = "CAP_SYS_ADMIN", bit = 21, need = "seeing redirects of others, tracefs where it is not mounted, fentry in "
    .. "modules", root_fix = "run as root: it is most of what root may do, so nothing to give to a file",
    lack = "bytes that other processes' redirects carried are not known; functions of modules "
    .. "are seen by kprobes" },
  { name = "CAP_SYS_PTRACE", bit = 19, need = "namespaces, executables and descriptors of others' processes",
    lack = "some containers have no name, redirect by process does not work" },
  { name = "CAP_DAC_READ_SEARCH", bit = 2, file = true,
    need = "tracefs and container runtimes' files, which are root's",
    lack = "tracepoints by tracefs, and pods' names from files, are not to be had" },
  { name = "CAP_SYSLOG", bit = 34, need = "addresses in /proc/kallsyms", lack = "stacks show numbers for names" },
}

local DAC_OVERRIDE, SYS_RESOURCE = 1, 24

-- Inode numbers of the namespaces that the kernel starts with (include/linux/proc_ns.h). That of the first
-- network namespace and of the first mount namespace are not the same in all versions.
local FIRST = { cgroup = 0xEFFFFFFB, pid = 0xEFFFFFFC, user = 0xEFFFFFFD }

local function status()
  return files.read("/proc/self/status", MAX_BYTES) or ""
end

local function is_first(kind)
  return files.inode("/proc/self/ns/" .. kind) == FIRST[kind]
end

-- Whether it is that of process 1, which is the host's if we see all processes. nil: can't be told.
local function is_of_first_process(kind)
  local ours, first = files.inode("/proc/self/ns/" .. kind), files.inode("/proc/1/ns/" .. kind)
  if ours and first and is_first("pid") then
    return ours == first
  end
end

local function binary()
  return files.link("/proc/self/exe") or "bpfnet"
end

local NAMES = "BPF,PERFMON,NET_ADMIN,SYS_PTRACE,DAC_READ_SEARCH,SYSLOG"

local function setcap()
  return ("run as root, or: setcap cap_%s+ep %s"):format(NAMES:lower():gsub(",", ",cap_"), binary())
end

-- For Docker, podman and nerdctl, which have the same options.
local function run_flags()
  return "--privileged --pid=host --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:ro -v /run:/run:ro; or, with fewer "
    .. "rights, in place of --privileged: --cap-add " .. NAMES:gsub(",", " --cap-add ")
    .. " --security-opt seccomp=unconfined -v /sys/kernel/tracing:/sys/kernel/tracing:ro. In Kubernetes: hostPID: "
    .. "true and securityContext: {privileged: true}, with hostPath volumes for the same directories"
end

-- Symbols come in ascending order, and the first are of per-CPU variables: 0 may be the truth.
local function kallsyms_hidden()
  local file <close> = io.open("/proc/kallsyms")
  for _ = 1, 64 do
    if file and (file:read("l") or ""):find("^0*[1-9a-f]") then
      return false
    end
  end
  return true
end

---@class bpfnet.doctor.Rights
---@field uid integer
---@field seccomp integer 0 none, 1 strict, 2 a filter
---@field container boolean
---@field first_user boolean the user namespace is the host's; likewise first_pid, first_cgroup
---@field host_net? boolean nil: can't be told; likewise host_mnt
---@field memlock? string bytes, or "unlimited"
---@field memlock_is_short boolean and can't be raised
---@field fix string how to get what is missing
local Rights = {}
Rights.__index = Rights

---@param name string "CAP_BPF"
---@return boolean
function Rights:has(name)
  for _, one in ipairs(CAPABILITIES) do
    if one.name == name then
      return self.effective & 1 << one.bit ~= 0
    end
  end
  return false
end

---Whether files that are root's can be read.
---@return boolean
function Rights:reads_files()
  return self.uid == 0 or self:has("CAP_DAC_READ_SEARCH") or self.effective & 1 << DAC_OVERRIDE ~= 0
end

local IS_NET = { sockops = true, sk_msg = true }
local IS_TRACEFS = { tracepoint = true, syscall = true }

---What the kernel asks for, of what we lack.
---@param way string see doctor_try.c
---@return string? missing "lacks CAP_BPF"
function Rights:for_way(way)
  local missing = {}
  if not self.first_user then
    return "rights in a user namespace do not count"
  end
  for _, name in ipairs({ "CAP_BPF", IS_NET[way] and "CAP_NET_ADMIN" or way ~= "ringbuf" and "CAP_PERFMON" or nil }) do
    if not self:has(name) and not self:has("CAP_SYS_ADMIN") then
      missing[#missing + 1] = name
    end
  end
  if #missing == 0 and IS_TRACEFS[way] and not self:reads_files() then
    missing[1] = "CAP_DAC_READ_SEARCH"
  end
  return #missing > 0 and "lacks " .. table.concat(missing, ", ") or nil
end

local function fix_of(self)
  if not self.first_user then
    return "run it outside of this user namespace: as root of the host, not in a rootless container"
  end
  return self.container and "start the container with " .. run_flags() or setcap()
end

---What is known before anything is tried.
---@return bpfnet.doctor.Rights
function rights.read()
  local text = status()
  local self = setmetatable({
    effective = tonumber(text:match("CapEff:%s*(%x+)") or "0", 16),
    uid = tonumber(text:match("Uid:%s*%d+%s+(%d+)")),
    seccomp = tonumber(text:match("Seccomp:%s*(%d)")) or 0,
    first_user = is_first("user"), first_pid = is_first("pid"), first_cgroup = is_first("cgroup"),
    host_net = is_of_first_process("net"), host_mnt = is_of_first_process("mnt"),
    kallsyms_hidden = kallsyms_hidden(),
    paranoid = tonumber((files.read("/proc/sys/kernel/perf_event_paranoid", MAX_BYTES))),
    memlock = (files.read("/proc/self/limits", MAX_BYTES) or ""):match("Max locked memory%s+(%S+)"),
    seccomp_fix = "--security-opt seccomp=unconfined; in Kubernetes seccompProfile: {type: Unconfined}",
    memlock_fix = "CAP_SYS_RESOURCE, or ulimit -l unlimited (as root), LimitMEMLOCK=infinity in a systemd unit, or "
      .. "--ulimit memlock=-1 for a container",
  }, Rights)
  self.container = not self.first_pid or not self.first_user or self.host_mnt == false
  self.memlock_is_short = self.memlock ~= "unlimited" and self.effective & 1 << SYS_RESOURCE == 0
  self.fix = fix_of(self)
  return self
end

-- CAP_SYS_ADMIN stands for those that were split off from it, and for CAP_NET_ADMIN in what BPF asks.
local function stands_in(self, one)
  return (one.main or one.name == "CAP_NET_ADMIN") and self:has("CAP_SYS_ADMIN")
end

local function add_capability(add, self, one)
  local check = { name = one.name, ok = true, found = "held", need = one.need }
  local held = self:has(one.name) or stands_in(self, one)
  if not self.first_user then
    check.found = held and "held, in this user namespace only" or "missing"
    check.ok, check.why = not one.main and "partly", "the kernel asks for rights outside of it"
  elseif not held and one.file and self:reads_files() then
    check.found = "missing; not needed by " .. (self.uid == 0 and "root" or "who has CAP_DAC_OVERRIDE")
  elseif not held then
    check.found, check.ok = "missing", not one.main and "partly"
    check.why = one.lack or "nothing can be traced"
  elseif not self:has(one.name) then
    check.found = "held as part of CAP_SYS_ADMIN"
  end
  check.fix = check.ok ~= true and (one.root_fix and not self.container and one.root_fix or self.fix) or nil
  add(check)
end

---@param add fun(check: table)
---@param context table
function rights.add(add, context)
  local self = context.rights
  add({ name = "user", ok = true, found = self.uid == 0 and "root" or "uid " .. tostring(self.uid),
    need = "reading what is root's; all else is decided by capabilities" })
  for _, one in ipairs(CAPABILITIES) do
    add_capability(add, self, one)
  end
  rights.add_memlock(add, context)
  rights.add_seccomp(add, context)
end

---Only before 5.11, where maps are counted as locked memory; libbpf raises the limit if it may.
---@param add fun(check: table)
---@param context table
function rights.add_memlock(add, context)
  local self, counts = context.rights, context.memcg == false
  local bad = counts and self.memlock_is_short
  add({ name = "memlock", ok = not bad or "partly", found = ("%s%s"):format(self.memlock or "not known",
    context.memcg and ", does not count here" or counts and not bad and ", can be raised" or ""),
    need = "room for maps, on kernels before 5.11, where they are counted as locked memory",
    why = bad and "maps may not fit (EPERM), and raising it needs CAP_SYS_RESOURCE" or nil,
    fix = bad and self.memlock_fix or nil })
end

---@param add fun(check: table)
---@param context table
function rights.add_seccomp(add, context)
  local self, names = context.rights, { [0] = "off", "strict", "a filter" }
  local ring = context.hooks.ways and context.hooks.ways[1]
  local blocked = self.seccomp == 2 and self.first_user and (self:has("CAP_BPF") or self:has("CAP_SYS_ADMIN"))
    and ring and (ring.error == "EPERM" or ring.error == "ENOSYS")
  add({ name = "seccomp", ok = not blocked, found = names[self.seccomp], need = "bpf() and perf_event_open(), which a "
    .. "container's profile may forbid", why = blocked and "bpf() is refused though CAP_BPF is held" or nil,
    fix = blocked and self.seccomp_fix or nil })
end

local SPACES = {
  { name = "user namespace", key = "first_user", lost = "capabilities held here do not count: nothing can be traced",
    main = true },
  { name = "pid namespace", key = "first_pid", flag = "--pid=host", kube = "hostPID: true",
    lost = "events have the host's process numbers, which are not those seen here: no names of containers "
      .. "and network namespaces by process" },
  { name = "cgroup namespace", key = "first_cgroup", flag = "--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:ro",
    kube = "a hostPath volume for /sys/fs/cgroup", lost = "paths of cgroups begin at this container's own" },
  { name = "net namespace", key = "host_net", flag = "--network=host", kube = "hostNetwork: true",
    lost = "the whole host is traced nevertheless, but \"host\" and names of interfaces mean this container's" },
  { name = "mount namespace", key = "host_mnt", flag = "-v /run:/run:ro", kube = "a hostPath volume for /run",
    lost = "files of container runtimes are found only where they are mounted, or through /proc/1/root" },
}

---@param add fun(check: table)
---@param context table
function rights.add_spaces(add, context)
  local self = context.rights
  for _, space in ipairs(SPACES) do
    local host = self[space.key]
    local check = { name = space.name, ok = host ~= false, found = host and "the host's" or host == nil
      and "not known: the host's process 1 can't be looked at" or "one of its own", need = "names of what is seen" }
    if host == false then
      check.ok, check.why = not space.main and "partly", space.lost
      check.fix = space.flag and ("%s; in Kubernetes %s"):format(space.flag, space.kube) or self.fix
    end
    add(check)
  end
end

return rights
