-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Where the time of a request went: it is cut at moments that its sockets have seen, one after another,
-- so that the parts add up to the whole to the nanosecond.
--
--   asked      the client's end hands the first byte to the kernel    (if it is on this host)
--   arrived    it lies in the socket of the pod's first program
--   read       ... which reads it                                    before: unread
--   sent on    a sidecar hands it to the kernel                      before: sidecar_in
--   arrived, read   likewise in the program behind it                before: network, unread
--   answered   that hands the response's first byte to the kernel    before: service
--   arrived, read   in the sidecar                                   before: network, sidecar_unread
--   answered   the sidecar hands it to the kernel                    before: sidecar_out
--   done       the last byte was handed to the kernel                before: transfer
--   received   and read by the client's end                          before: network

local parts = {}

---Names of the parts, in the order of a table.
parts.NAMES = {
  "network", "sidecar_unread", "sidecar_in", "unread", "service", "sidecar_out", "unsplit", "transfer",
}

-- Cuts: a list of moments, each with the name of the part that ends there.
local function cut(cuts, name, ns)
  cuts[#cuts + 1] = name
  cuts[#cuts + 1] = ns
end

local function arrival(ev)
  return ev.start_ns - (ev.unread_ns or 0)
end

local function response_arrival(ev)
  return ev.resp_ns - (ev.unread_ns or 0)
end

-- From the moment when `asks` has sent a request to where it has read the response. What answers it
-- (`answers`) may be unseen: then the time between is the service's, but for one round trip where
-- `estimate` says that there is a network between.
local function cut_exchange(cuts, asks, answers, unread, estimate)
  if answers and answers.resp_ns then
    cut(cuts, "network", arrival(answers))
    cut(cuts, "unread", answers.start_ns)
    cut(cuts, "service", answers.resp_ns)
    cut(cuts, "network", response_arrival(asks))
  else
    local answered = response_arrival(asks)
    local way = estimate and math.min(asks.srtt_us * 1000, math.max(answered - asks.start_ns, 0)) or 0
    cut(cuts, "network", asks.start_ns + way)
    cut(cuts, "service", answered)
  end
  cut(cuts, unread, asks.resp_ns)
end

-- Through a proxy: `head` is the request that it accepted.
local function cut_proxy(cuts, head, upstream, estimate)
  cut(cuts, "sidecar_unread", head.start_ns)
  if upstream and upstream.resp_ns and not upstream.left_out then
    cut(cuts, "sidecar_in", upstream.start_ns)
    cut_exchange(cuts, upstream, upstream.peer, "sidecar_unread", estimate)
    cut(cuts, "sidecar_out", head.resp_ns)
  else
    cut(cuts, "unsplit", head.resp_ns)
  end
end

-- The ends that have moments to cut at: they may disagree about whether there was an answer, where one of
-- them saw more of it.
local function ends_of(r)
  local client, server = r.client, r.server
  if client and not client.resp_ns and r.direction ~= "in" then
    client = nil
  elseif server and not server.resp_ns then
    server = nil
  end
  return client, server
end

local function cuts_of(r, client, server)
  local cuts = {}
  local estimate = r.direction == "out"
  if r.proxied then
    cut(cuts, "network", arrival(server))
    cut_proxy(cuts, server, r.upstream, estimate)
  elseif server then
    cut(cuts, "network", arrival(server))
    cut(cuts, "unread", server.start_ns)
    cut(cuts, "service", server.resp_ns)
  else
    cut_exchange(cuts, client, nil, "unread", estimate)
    cut(cuts, "transfer", client.end_ns)
    return cuts
  end
  if r.direction ~= "in" and client then
    cut(cuts, "network", response_arrival(client))
    cut(cuts, "unread", client.resp_ns)
    cut(cuts, "transfer", client.end_ns)
  else
    cut(cuts, "transfer", server.end_ns)
    cut(cuts, "network", client and client.end_ns or server.end_ns)
  end
  return cuts
end

---Returns where a request's time went. A moment that was seen before the one that it follows, as hooks
---at two ends may, counts as the same moment: no part is negative, and their sum is the total.
---@param r bpfnet.pairs.Request one that was answered and is not left out
---@return table<string, integer> times ns by the part's name, those that it has
---@return integer total_ns
function parts.of(r)
  local client, server = ends_of(r)
  local times, cuts = {}, cuts_of(r, client, server)
  local start = client and client.start_ns or arrival(server)
  local at = start
  for i = 1, #cuts, 2 do
    local name, ns = cuts[i], math.max(cuts[i + 1], at)
    times[name] = (times[name] or 0) + ns - at
    at = ns
  end
  return times, at - start
end

return parts
