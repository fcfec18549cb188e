-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- `bpfnet doctor` on this kernel, as root: the ways to hook that there are, and each probe. For guests, too.

local agree = require "doctor_agree"
local helper = require "helper"

-- Which ways the test kernels have (tests/vm/KERNELS.md); others are not judged by this.
local KNOWN = {
  ["5.10"] = { fentry = true, kprobe = true, ["kprobe.multi"] = false, ["attach cookie"] = false },
  ["6.1"] = { fentry = true, kprobe = true, ["kprobe.multi"] = false, ["attach cookie"] = true },
  ["6.12"] = { fentry = true, kprobe = true, ["kprobe.multi"] = true, ["attach cookie"] = true },
  ["7.2"] = { fentry = true, kprobe = true, ["kprobe.multi"] = true, ["attach cookie"] = true },
}

describe("doctor", function()
  it("is right about root, and knows the ways of this kernel", function()
    local said = agree.check({})
    assert.is_true(said.verdict.ok)
    local release = helper.sh("uname -r")
    local known = release:find("cloud", 1, true) and KNOWN[release:match("^%d+%.%d+")]
    for way, works in pairs(known or {}) do
      assert.are.equal(works, said[way].ok == true, way)
    end
    for _, way in ipairs { "ringbuf", "tp_btf", "tracepoint", "syscall", "iterator", "sockops", "sk_msg" } do
      assert.is_true(said[way].ok, way)
    end
  end)
end)
