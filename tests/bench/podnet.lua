-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- podnet.lua FORM PROTO [WAY]: podnet in one of its modes, for the packets of tests/bench/hops.
-- Prints `ready` once it is attached, and when it is interrupted `seen N lost N`: of how many
-- events the kernel or the handler knows, and how many found no room.

local form, proto, way = table.unpack(arg)
local count = 0

-- options, what is done with an event, and what the kernel adds up instead
local forms = {
  nothing = { { filter = { port = 1 } }, function() end },
  hist = { {}, nil, { by = { "from", "point" }, hist = "delta_ns" } },
  span = {
    { between = { "net_dev_queue", "netif_receive_skb" } },
    nil,
    { by = { "from", "to" }, hist = "span_ns" },
  },
  slow = { { slower_than = 1000 }, function() count = count + 1 end },
  paths = {
    { paths = true },
    function(duration_ns) count = count + (duration_ns and 1 or 0) end,
  },
  events = { {}, function(delta_ns) count = count + (delta_ns and 1 or 0) end },
}

local opts, handler, adds = table.unpack(forms[form], 1, 3)
opts.way = way
opts.filter = opts.filter or { proto = proto, port = proto ~= "icmp" and 7777 or nil }
local probe = bpf.load("podnet", opts, handler)
local agg = adds and probe:aggregate(adds)
probe:attach()
print("ready")
io.stdout:flush()
bpf.run()
for _, row in ipairs(agg and agg:rows() or {}) do
  count = count + row.count
end
local stats = probe:stats()
print(("seen %d lost %d"):format(count, stats.dropped + stats.untracked))
