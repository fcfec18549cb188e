-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What the specs about real containers share: the connections to some ports, with the name that each event
-- had when it came.
--
-- A connection is written as "CLIENT: connect=A accept=B close=A,B", where CLIENT is the address that it came
-- from, A what the client's events are called and B what the server's are: all four of them or it is another
-- text.

local pod = require "bpfnet.pod"

local watch = {}

---In an emulated machine all takes its time; what need not be seen there again runs at home only.
watch.guest = (os.getenv("VMRUN") or "") ~= ""

local Watch = {}
Watch.__index = Watch

-- What a line says: a pod, a container, or who is in none.
local function name_of(identity)
  return (identity.pod or identity.container_id) and pod.name(identity) or "no pod"
end

-- The client's end of the connection that an event is about, and whether the event is the client's.
local function client_of(ev)
  local client = ev.probe == "tcpconnect" or ev.probe == "tcpclose" and ev.side == "connect"
  if client then return ev.saddr, ev.sport, true end
  return ev.daddr, ev.dport, false
end

-- The connection that an event is of. Ends are used again: a second event of a kind is another connection's.
function Watch:conn_of(address, port, what)
  local key = ("%s %d"):format(address, port)
  local conn = self.conns[key]
  if not conn or conn[what] then
    conn = { address = address }
    self.conns[key] = conn
    self.order[#self.order + 1] = conn
  end
  return conn
end

function Watch:add(ev)
  local identity = pod.of_event(ev)
  local address, port, client = client_of(ev)
  local what = ev.probe:sub(4) .. (ev.probe ~= "tcpclose" and "" or client and "_client" or "_server")
  local conn = self:conn_of(address, port, what)
  conn[what] = name_of(identity)
  conn[what .. "_identity"] = identity
  conn[what .. "_event"] = ev
  self.events = self.events + 1
end

---Attaches the three probes to the connections to these ports. They share the ring of what tells of
---containers, so all comes in order.
---@param ports integer[]
---@return table watch {events= how many came}; :close() it
function watch.attach(ports)
  local w = setmetatable({ conns = {}, order = {}, events = 0, probes = {} }, Watch)
  for i, name in ipairs { "tcpconnect", "tcpaccept", "tcpclose" } do
    w.probes[i] = bpf.attach(name, { filter = { port = ports } }, function(ev) w:add(ev) end)
  end
  return w
end

function Watch:close()
  for _, probe in ipairs(self.probes) do
    assert(probe:stats().dropped == 0, "lost events")
    probe:close()
  end
end

---Lets events come until there are so many, or for so long; then for a moment, so that one too many would
---be seen.
function Watch:settle(events, seconds)
  local enough
  local timer <close> = bpf.every(0.02, function()
    if self.events >= events and not enough then enough = bpf.after(0.3, bpf.stop) end
  end)
  bpf.run(seconds or watch.guest and 120 or 20)
  timer:close()
  if enough then enough:close() end
end

---Lets events come until f() says so.
function Watch:until_true(seconds, f)
  local timer <close> = bpf.every(0.1, function()
    if f() then bpf.stop() end
  end)
  bpf.run(seconds)
  timer:close()
end

-- What one list has more often than another, a line each.
local function more(sign, list, than)
  local left, lines = {}, {}
  for _, text in ipairs(than) do left[text] = (left[text] or 0) + 1 end
  for _, text in ipairs(list) do
    left[text] = (left[text] or 0) - 1
    if left[text] < 0 then lines[#lines + 1] = sign .. " " .. text .. "\n" end
  end
  table.sort(lines)
  return table.concat(lines)
end

---Takes the connections that were seen since the last time: they have to have these texts.
---@param expected string[] in any order
---@return table[] conns in the order in which they began
function Watch:take(expected)
  local texts, conns = {}, self.order
  for i, c in ipairs(conns) do
    texts[i] = watch.text(c.address, c.connect, c.accept, c.close_client, c.close_server)
  end
  self.conns, self.order, self.events = {}, {}, 0
  local wrong = more("missing", expected, texts) .. more("instead", texts, expected)
  require("luassert").are.equal("", wrong)
  return conns
end

---What a connection's text is, if its events have these names.
function watch.text(address, connect, accept, close_client, close_server)
  return ("%s: connect=%s accept=%s close=%s,%s"):format(address, connect, accept,
    close_client or connect, close_server or accept)
end

return watch
