-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Containers that podman and crun run, one alone and two in a pod: every event of their connections has
-- the right name. What a pod of podman is called is in its database alone. In guests: podman has files and
-- networks all over a machine, and needs CAP_SYS_RESOURCE.

local helper = require "helper"
local pod = require "bpfnet.pod"
local watch = require "containers_watch"

local IMAGE = "registry.test/app:1"
local WEB, CART = 20080, 20081
local PODMAN = helper.root .. "/tests/runtime/podman.sh"

local ready, watched

local function podman(fmt, ...)
  local text, status = helper.sh("bash %s run %s", PODMAN, fmt:format(...))
  assert.are.equal(0, status, text)
  return text
end

-- Events are handled while it runs: it is gone soon after.
local function fetch(name, port)
  local client = helper.start(("bash %s run run --rm --pod shop --name %s %s wget -qO- http://127.0.0.1:%d/image")
    :format(PODMAN, name, IMAGE, port))
  watched:until_true(60, function() return not helper.read(("/proc/%d/stat"):format(client.pid)) end)
  assert.are.same({ IMAGE .. "\n", 0 }, { client.stdout(), client.wait() })
end

local function why_not()
  if not watch.guest then return "runs in guests" end
  local missing = helper.sh("bash %s missing", PODMAN)
  return missing ~= "" and "needs what `make deps` fetches: " .. missing
end

describe("containers of podman", function()
  setup(function()
    if why_not() then return end
    local text, status = helper.sh("bash %s up %s", PODMAN, IMAGE)
    assert.are.equal(0, status, text)
    pod.start()
    ready = true
  end)
  teardown(function()
    pod.stop()
    if ready then podman("rm -f -t 0 web") podman("pod rm -f -t 0 shop") end
  end)

  it("have their names, alone and in a pod, also when they are gone at once", function()
    if not ready then return pending(why_not()) end
    watched = watch.attach { WEB, CART }
    local serve = IMAGE .. " httpd -f -p %d -h /etc"
    podman("run -d --net=host --name web " .. serve, WEB)
    -- without systemd podman 4.3 forbids all devices to the cgroup of a pod, and no runtime starts in that
    podman("pod create --share-parent=false --name shop")
    podman("run -d --pod shop --name cart " .. serve, CART)
    helper.wait(30, function() return helper.sh("ss -Hltn 'sport = :%d'", WEB):find("LISTEN") end)
    local text, status = helper.sh("wget -qO- http://127.0.0.1:%d/image", WEB)
    assert.are.same({ IMAGE .. "\n", 0 }, { text, status })
    fetch("client", CART)
    watched:settle(8)
    local conns = watched:take {
      watch.text("127.0.0.1", "no pod", "podman:web"),
      watch.text("127.0.0.1", "podman:client", "podman:cart"),
    }
    watched:close()
    for _, c in ipairs(conns) do
      local identity = c.accept_identity
      assert.are.same({ "podman", IMAGE }, { identity.runtime, identity.image })
    end
  end)
end)
