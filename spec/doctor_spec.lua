-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- `bpfnet doctor` says what then really happens: under each condition everything is attached and compared.

local agree = require "doctor_agree"
local cjson = require "cjson"
local helper = require "helper"

local bpfnet, caps, doctor = agree.bpfnet, agree.caps, agree.doctor

local NEEDED = "bpf perfmon net_admin sys_ptrace dac_read_search syslog"

describe("doctor", function()
  it("is right about a user with the capabilities that it names, and no more", function()
    local said = agree.check({ prefix = caps(NEEDED, 1000) })
    assert.are.equal("partly", said.CAP_SYS_ADMIN.ok)
    assert.is_truthy(said.CAP_SYS_ADMIN.fix:find("^run as root: "), said.CAP_SYS_ADMIN.fix) -- no list that lacks it
    assert.is_true(said.CAP_BPF.ok and said.CAP_PERFMON.ok)
    if not said.tcpconnect.ok then -- no functions here, and tracefs is not mounted
      assert.are.equal(said.tracefs.fix, said.tcpconnect.fix)
      assert.is_truthy(said.tcpconnect.fix:find("mount -t tracefs none /sys/kernel/tracing", 1, true))
    end
  end)

  it("is right about a user without any", function()
    local said = agree.check({ prefix = caps("", 1000) })
    assert.is_false(said.verdict.ok)
    assert.is_false(said.CAP_BPF.ok)
    assert.is_truthy(said.tcpclose.why:find("CAP_BPF, CAP_PERFMON", 1, true), said.tcpclose.why)
    assert.is_truthy(said.tcpclose.fix:find("setcap cap_bpf,cap_perfmon,", 1, true), said.tcpclose.fix)
  end)

  it("is right about a container that lacks one", function()
    -- namespaces of its own, as a runtime makes them, and a bounding set
    local said = agree.check({ prefix = "unshare -mpnC --fork --mount-proc " .. caps("bpf net_admin", 0) })
    assert.is_false(said.CAP_PERFMON.ok)
    assert.is_true(said.CAP_BPF.ok)
    assert.are.equal("partly", said["pid namespace"].ok)
    assert.are.equal("partly", said["cgroup namespace"].ok)
    assert.is_truthy(said.tcpclose.fix:find("--privileged --pid=host", 1, true), said.tcpclose.fix)
    assert.are.equal("not permitted: lacks CAP_PERFMON", said.tp_btf.why)
    assert.is_true(said.sockops.ok)
  end)

  it("is right inside of a container of runc's, as it is made, and with what it says that is needed", function()
    local runc = helper.root .. "/.output/containers/usr/sbin/runc"
    if not io.open(runc) then return pending("needs what `make deps` fetches: runc") end
    local script = agree.dir .. "/runc"
    local f = assert(io.open(script, "w"))
    f:write((([[#!/usr/bin/env python3
# runc CAPABILITIES COMMAND... - in a container whose files are the host's; with tracefs if it has more capabilities
import json, os, subprocess, sys, tempfile
bundle = tempfile.mkdtemp(dir="DIR")
subprocess.run(["RUNC", "spec"], cwd=bundle, check=True)
with open(bundle + "/config.json") as f:
    spec = json.load(f)
spec["root"] = {"path": bundle + "/root", "readonly": True}
spec["mounts"] = [m for m in spec["mounts"] if m["type"] != "cgroup"]
process = spec["process"]
process.update(terminal=False, args=sys.argv[2:])
for kind in process["capabilities"]:
    process["capabilities"][kind] = process["capabilities"][kind] + sys.argv[1].split()
if sys.argv[1]:
    spec["mounts"].append({"destination": "/sys/kernel/tracing", "type": "bind", "source": bundle + "/tracing",
        "options": ["rbind", "ro"]})
with open(bundle + "/config.json", "w") as f:
    json.dump(spec, f)
os.mkdir(bundle + "/root")
os.mkdir(bundle + "/tracing")
run = f"mount --rbind / root && mount -t tracefs none tracing && exec RUNC --root {bundle}/state run {bundle[-8:]}"
sys.exit(subprocess.run(["unshare", "-m", "sh", "-c", run], cwd=bundle).returncode)
]]):gsub("RUNC", runc):gsub("DIR", agree.dir)))
    f:close()
    local said = agree.check({ prefix = "python3 " .. script .. " ''" })
    assert.is_false(said.verdict.ok)
    assert.is_false(said.CAP_BPF.ok)
    assert.are.equal("partly", said["pid namespace"].ok)
    assert.is_truthy(said.tcpclose.fix:find("--cap-add BPF --cap-add PERFMON", 1, true), said.tcpclose.fix)
    assert.is_truthy(said.tcpclose.fix:find("-v /sys/kernel/tracing:/sys/kernel/tracing:ro", 1, true))
    local wanted = {}
    for name in said.tcpclose.fix:gmatch("%-%-cap%-add (%u[%u_]+)") do wanted[#wanted + 1] = "CAP_" .. name end
    said = agree.check({ prefix = ("python3 %s '%s'"):format(script, table.concat(wanted, " ")) })
    assert.is_true(said.CAP_BPF.ok and said.CAP_PERFMON.ok)
    assert.is_true(said.verdict.ok)
  end)

  it("names what is not mounted", function()
    local said = agree.check({ prefix = "unshare -m", before = "umount -a -t cgroup2,bpf; mount -t tmpfs none /mnt" })
    assert.are.equal("partly", said["cgroup v2"].ok)
    assert.is_truthy(said["cgroup v2"].fix:find("mount -t cgroup2", 1, true))
    assert.is_false(said.redirect.ok)
    assert.are.equal(said["cgroup v2"].fix, said.sockops.fix) -- where v1 is, beside it
    if not said.redirect.why:find("not fit for it", 1, true) then
      assert.are.equal("cgroup v2 is not mounted", said.redirect.why)
    end
    assert.are.equal("mount -t bpf bpf /sys/fs/bpf", said.bpffs.fix)
    assert.is_true(said.verdict.ok)
  end)

  it("knows that tracefs is not mounted, and cannot be", function()
    local umount = "umount -l /sys/kernel/debug/tracing /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; exec \"$@\""
    local said = agree.check({ prefix = ("unshare -m sh -c '%s' -- %s"):format(umount, caps("bpf perfmon sys_ptrace",
      0)) })
    assert.are.equal("partly", said.tracefs.ok)
    assert.are.equal("partly", said.tracepoint.ok)
    assert.is_truthy(said.tracepoint.why:find("tracefs is not mounted", 1, true), said.tracepoint.why)
    assert.is_truthy(said.tracefs.fix:find("mount -t tracefs none /sys/kernel/tracing", 1, true))
  end)

  it("knows that capabilities of a user namespace do not count", function()
    local said = doctor({ prefix = "unshare -Ur" })
    assert.is_false(said["user namespace"].ok)
    assert.is_false(said.CAP_BPF.ok)
    assert.are.equal("held, in this user namespace only", said.CAP_BPF.found)
    assert.are.equal(1, said.status)
  end)

  it("knows that there are no types", function()
    local said = doctor({ prefix = "unshare -m", before = "mount -t tmpfs none /sys/kernel" })
    assert.is_false(said.BTF.ok)
    assert.is_truthy(said.BTF.fix:find("CONFIG_DEBUG_INFO_BTF", 1, true))
    assert.is_truthy(said.tcpclose.why:find("BTF", 1, true))
    assert.are.equal(1, said.status)
  end)

  it("reads the kernel's lockdown", function()
    -- of the file only what it says is made up: no kernel here can be locked down and unlocked again
    local said = doctor({ prefix = "unshare -m", before = "mount -t tmpfs none /sys/kernel/security; "
      .. "echo 'none integrity [confidentiality]' >/sys/kernel/security/lockdown" })
    assert.is_false(said.lockdown.ok)
    assert.are.equal("confidentiality", said.lockdown.found)
    assert.is_truthy(said.lockdown.fix:find("lockdown=integrity", 1, true))
  end)

  it("knows that locked memory is short, where it counts", function()
    local condition = { prefix = caps(NEEDED, 1000), before = "ulimit -l 64" }
    local said = agree.check(condition)
    assert.is_truthy(said.memlock.found:find("^65536"), said.memlock.found)
    if said.memlock.found:find("does not count", 1, true) then
      assert.is_true(said.memlock.ok)
    else
      assert.are.equal("partly", said.memlock.ok)
      assert.is_truthy(said.tcpclose.ok or said.tcpclose.fix:find("ulimit -l", 1, true))
      local text = helper.sh("%s sh -c %s", caps(NEEDED, 1000), helper.quote("ulimit -l 64; " .. bpfnet
        .. [[ run -e 'bpf.attach("tcpclose")']]))
      assert.is_truthy(text:find("of which this process may have 64 KiB: raise that with ulimit -l", 1, true), text)
    end
  end)

  it("knows that a seccomp filter forbids bpf()", function()
    -- load the system call's number; if it is bpf: EPERM; else allow
    local filter = agree.dir .. "/filter.py"
    local f = assert(io.open(filter, "w"))
    f:write([[
import ctypes, os, struct, sys
nr = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
code = b"".join(struct.pack("HBBI", *row) for row in
    [(0x20, 0, 0, 0), (0x15, 0, 1, nr), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)])
text = ctypes.create_string_buffer(code)
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(text)))
assert ctypes.CDLL(None).prctl(22, 2, prog, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
]])
    f:close()
    local said = agree.check({ prefix = "python3 " .. filter })
    assert.is_false(said.seccomp.ok)
    assert.is_false(said.verdict.ok)
    assert.are.equal(said.seccomp.fix, said.tcpclose.fix)
    assert.is_truthy(said.tp_btf.why:find("seccomp", 1, true), said.tp_btf.why)
  end)

  it("does not wait for a runtime that hangs", function()
    -- a socket that takes connections and never answers, in a /run of its own
    local python = "import socket, subprocess; s = socket.socket(socket.AF_UNIX); "
      .. 's.bind("/run/containerd/containerd.sock"); s.listen(5); '
      .. 'print(subprocess.run(["' .. bpfnet .. '", "doctor", "--json"], capture_output=True, text=True).stdout)'
    local text = helper.sh("unshare -m sh -c %s", helper.quote("mount -t tmpfs none /run && mkdir /run/containerd && "
      .. "exec python3 -c " .. helper.quote(python)))
    local found = cjson.decode(text)
    assert.are.equal("containerd", found.runtimes[1].name)
    assert.is_false(found.runtimes[1].answers)
    assert.are.equal("partly", found.runtimes[1].ok)
    assert.is_true(found.verdict.ok)
  end)

  it("leaves nothing in the kernel", function()
    -- what its processes hold is written down while they run
    local file, doctor_run = agree.dir .. "/held", helper.start(bpfnet .. " doctor")
    helper.sh("while [ -e /proc/%d ]; do for p in $(cat /proc/%d/task/*/children); do cat /proc/$p/fdinfo/*; done;"
      .. " sleep 0.02; done >%s 2>/dev/null", doctor_run.pid, doctor_run.pid, file)
    assert.are.equal(0, doctor_run.wait())
    local ids, count = helper.held(file)
    assert.is_true(count > 20, count)
    assert.are.equal("0 ", table.concat({ helper.still_there(ids) }, " "))
  end)

  it("prints a page with the verdict last, without colour into a pipe", function()
    local text, status = helper.sh("%s doctor", bpfnet)
    assert.are.equal(0, status)
    assert.is_truthy(text:find("\n  %S+ +tcpclose +works"), text)
    assert.is_truthy(text:find("\nverdict: [^\n]*\n$"), text)
    assert.is_nil(text:find("\27", 1, true))
    for line in text:gmatch("[^\n]+") do
      assert.is_true(#line <= 100 or not line:find(" ", 40, true), line)
    end
  end)

  it("shows marks in colour on a terminal, unless told not to", function()
    local text = helper.sh("TERM=xterm script -qec '%s doctor' /dev/null </dev/null", bpfnet)
    assert.is_truthy(text:find("\n  \27%[3[23]m%l+ *\27%[0m tcpclose"), text)
    text = helper.sh("NO_COLOR=1 TERM=xterm script -qec '%s doctor' /dev/null </dev/null", bpfnet)
    assert.is_nil(text:find("\27", 1, true))
  end)

  it("refuses what it does not know", function()
    local text, status = helper.sh("%s doctor --jsn", bpfnet)
    assert.are.equal(2, status)
    assert.are.equal('bpfnet doctor: unknown option "--jsn", did you mean "--json"?\nhint: bpfnet help doctor\n', text)
    text, status = helper.sh("%s doctor now", bpfnet)
    assert.are.equal(2, status)
    assert.is_truthy(text:find('unexpected argument "now"', 1, true), text)
  end)

  it("says in one line that it was interrupted", function()
    local child = helper.start(bpfnet .. " doctor")
    os.execute("sleep 0.2")
    child.kill("INT")
    assert.are.equal(1, child.wait())
    assert.are.equal("bpfnet: doctor: interrupted\n", child.stderr())
    assert.are.equal("", child.stdout())
  end)

  it("is a module, too, in the middle of a running loop", function()
    local text = helper.code([[
      bpf.after(0, function()
        local found = require("bpfnet.doctor").run()
        print(found.verdict.ok, #found.probes, found.seconds < 60)
        bpf.stop()
      end)
      bpf.run()
    ]], "--limit-time 0")
    assert.are.equal("true\t7\ttrue\n", text)
  end)
end)
