-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The node with pods (pods.sh) and the packets in it (packets), for specs.
--
-- With "neigh" this is all that appears where; the order in each namespace is the packets' own:
--
--   A to B      A eth0 out, HOST va in, HOST vb out, B eth0 in
--   A to HOST   A eth0 out, HOST va in, HOST br0 in
--   A to PEER   A eth0 out, HOST va in, HOST br0 in, HOST vp out, PEER eth0 in
--   PEER to A   PEER eth0 out, HOST vp in, HOST br0 out, HOST va out, A eth0 in
--
-- and the answers the same way back. Left of vp are the addresses that pods see, from vp on those of
-- the network, where they are translated.

local pods = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local script = here .. "/pods.sh"
local tool = here .. "/../../.output/tests/packets"

pods.names = { "HOST", "A", "B", "PEER" }

---Where a packet passes, by its way.
pods.ways = {
  ["A-B"] = { "A eth0 out", "HOST va in", "HOST vb out", "B eth0 in" },
  ["A-HOST"] = { "A eth0 out", "HOST va in", "HOST br0 in" },
  ["A-PEER"] = { "A eth0 out", "HOST va in", "HOST br0 in", "HOST vp out", "PEER eth0 in" },
  ["PEER-A"] = { "PEER eth0 out", "HOST vp in", "HOST br0 out", "HOST va out", "A eth0 in" },
}

---The packets of each kind of traffic: whether it is the client's, what it is, bytes of payload.
pods.exchanges = {
  ping = { { true, "request1", 56 }, { false, "reply1", 56 } },
  udp = { { true, "-", 56 }, { false, "-", 56 } },
  tcp = {
    { true, "S", 0 }, { false, "SA", 0 }, { true, "A", 0 },
    { true, "PA", 100 }, { false, "A", 0 },
    { false, "PA", 200 }, { true, "A", 0 },
    { true, "FA", 0 }, { false, "A", 0 },
    { false, "FA", 0 }, { true, "A", 0 },
  },
}

local function sh(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("a")
  local _, kind, code = p:close()
  return text, kind == "signal" and 128 + code or code
end

local function facts_of(text)
  local facts = {}
  for key, value in text:gmatch("([^\n=]+)=([^\n]*)") do
    facts[key] = math.tointeger(tonumber(value)) or value
  end
  return facts
end

---Whether the kernel has a feature; see pods.sh.
function pods.has(feature)
  local text, status = sh(script .. " has " .. feature)
  assert(status < 2, text)
  return status == 0
end

local world = {}
world.__index = world
local count = 0

---Builds one.
---@param options string as for `pods.sh up`
---@return table|nil world {name=, facts=}; nil, message, exit status if that fails
function pods.up(options)
  count = count + 1
  local w = setmetatable({ name = ("p%dx%d"):format(bpf.now() // 1000, count) }, world)
  local text, status = sh(("PODS=%s timeout -s KILL 60 %s up %s"):format(w.name, script, options))
  if status ~= 0 then
    w:down()
    return nil, text, status
  end
  w.facts = facts_of(text)
  return w
end

---Takes it down, with all that runs in it.
function world:down()
  local text, status = sh(("PODS=%s %s down"):format(self.name, script))
  assert(status == 0 and text == "", text)
end

---Path of a namespace.
function world:ns(name)
  return ("/run/netns/%s-%s"):format(self.name, name)
end

---Runs a shell command in a namespace.
---@return string output, integer status
function world:exec(name, command)
  return sh(("PODS=%s %s exec %s sh -c '%s'"):format(self.name, script, name,
    command:gsub("'", "'\\''")))
end

---The command line of packets with these arguments, in which namespaces have their short names.
function world:command(args)
  return tool .. " " .. (args:gsub("%f[%w](%l+)=(%u+)", function(key, name)
    return key .. "=" .. self:ns(name)
  end))
end

---Runs packets.
---@return table facts, integer status
function world:packets(args)
  local text, status = sh("timeout -s KILL 60 " .. self:command(args))
  assert(status == 0 or status == 4, text)
  return facts_of(text), status
end

---Runs packets several times and sees what passes.
---@param options string of packets tap, as "show" or "dev=va ring"; "show" for the second result
---@param names table of the namespaces to look at
---@param runs table of arguments for packets
---@return table facts of each run, table texts by namespace, table facts of the tap
function world:tap(options, names, runs)
  local paths, commands, all, seen = {}, {}, {}, {}
  for i, name in ipairs(names) do
    paths[i] = self:ns(name)
    seen[name] = {}
  end
  for i, args in ipairs(runs) do commands[i] = self:command(args) end
  local text, status = sh(("timeout -s KILL 120 %s tap %s %s -- sh -c '%s; :'"):format(tool, options,
    table.concat(paths, " "), table.concat(commands, "; ")))
  assert(status == 0, text)
  for run in text:match("^(.-)tap_pid="):gmatch("(mode=.-answered=%d)") do
    all[#all + 1] = facts_of(run)
  end
  for name, line in text:gmatch("packet=(%u+) ([^\n]*)") do
    table.insert(seen[name], name .. " " .. line)
  end
  return all, seen, facts_of(text:match("tap_pid=.*"))
end

-- Where it passes on the way back: from the last place to the first, and what came in goes out.
local function back(way)
  local places = {}
  for i = #way, 1, -1 do
    local place, dir = way[i]:match("^(.*) (%l+)$")
    places[#places + 1] = place .. (dir == "in" and " out" or " in")
  end
  return places
end

-- Clients and servers by way, as the pods see them and as vp does, where their addresses are others.
local function ends(way, six, nat)
  local function a(text4, text6) return six and text6 or text4 end
  local pod = a("10.1.0.2", "fd01::2")
  local masked = nat and a("10.2.0.1", "fd02::1") or pod
  local peer = a("10.2.0.2", "fd02::2")
  if way == "A-B" then return pod, a("10.1.0.3", "fd01::3"), pod, a("10.1.0.3", "fd01::3") end
  if way == "A-HOST" then return pod, a("10.1.0.1", "fd01::1"), pod, a("10.1.0.1", "fd01::1") end
  if way == "A-PEER" then return pod, peer, masked, peer end
  return peer, pod, peer, masked -- PEER-A, through port 8080 of HOST
end

---One exchange between two of them.
---@param kind string ping, udp or tcp
---@param way string as "A-B"
---@param six boolean IPv6
---@param fw string who filters: "none", or another that translates addresses
---@param sport integer the client's port, or the id of an echo request
---@return table {args=, inner=, outer=}: arguments of packets; the ends as pods.expected() takes them
function pods.exchange(kind, way, six, fw, sport)
  local nat = fw ~= "none"
  local client, server, outer_client, outer_server = ends(way, six, nat)
  local from, at = way:match("(%u+)-(%u+)")
  local to, port = server, 80
  if way == "PEER-A" and nat and kind ~= "ping" then to, port = outer_server, 8080 end
  if kind == "ping" then
    -- to the pod's own address, which then nobody translates
    if way == "PEER-A" then outer_client, outer_server = client, server end
    return { args = ("ping from=%s to=%s id=%d"):format(from, to, sport),
      inner = { client, 0, server, 0 }, outer = { outer_client, 0, outer_server, 0 } }
  end
  return { args = ("%s from=%s at=%s to=%s port=%d sport=%d%s"):format(kind, from, at, to, port, sport,
    port == 80 and "" or " listen=80"),
    inner = { client, sport, server, 80 }, outer = { outer_client, sport, outer_server, port } }
end

---The texts of all packets of an exchange, by namespace, as tap shows them.
---@param kind string ping, udp or tcp
---@param way string as "A-B"
---@param inner table {client, its port, server, its port} as the pods see them
---@param outer? table the same as seen on vp and in PEER, if something else
function pods.expected(kind, way, inner, outer)
  local seen = { HOST = {}, A = {}, B = {}, PEER = {} }
  local protocol = kind == "ping" and (inner[1]:find(":") and "icmp6" or "icmp") or kind
  for _, packet in ipairs(pods.exchanges[kind]) do
    local request, what, bytes = table.unpack(packet)
    for _, place in ipairs(request and pods.ways[way] or back(pods.ways[way])) do
      local c, cport, s, sport = table.unpack(
        (place:find("vp") or place:find("PEER")) and outer or inner)
      local pair = request and { c, cport, s, sport } or { s, sport, c, cport }
      local name = place:match("^%u+")
      table.insert(seen[name], ("%s %s %s %s %d"):format(place, protocol, table.concat(pair, " "),
        what, bytes))
    end
  end
  return seen
end

return pods
