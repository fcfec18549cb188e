-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Of `bpfnet doctor`: container runtimes, the Kubernetes API, libcurl, as doctor_servers.lua found them.

local runtimes = {}

local function text_of(one)
  local parts = {}
  if one.dir then
    parts[#parts + 1] = one.dir .. (one.denied and " (not readable)" or "")
  end
  if one.socket then
    parts[#parts + 1] = ("%s %s"):format(one.socket, one.answers and "answers" .. (one.version and " (" .. one.version
      .. ")" or "") or "does not answer")
  end
  return table.concat(parts, ", ")
end

local function judge(one, context)
  local entry = { name = one.name, found = text_of(one), need = one.gives, dir = one.dir, socket = one.socket,
    readable = one.dir and not one.denied or nil, answers = one.answers, version = one.version, ok = true }
  if one.denied then
    entry.ok, entry.why = "partly", ("its files can't be read (%s): its containers have no names"):format(one.denied)
    entry.fix = context.rights.fix
  elseif one.socket and not one.answers then
    entry.ok, entry.why = "partly", one.why or one.socket_denied or "no answer within half a second"
    entry.answers = false
  end
  return entry
end

local function judge_kube(kube)
  local entry = { name = "Kubernetes API", need = "labels and owners of pods (--labels kube)", server = kube.server,
    answers = kube.answers, ok = true }
  if not kube.configured then
    entry.found = "not configured"
    entry.why = kube.kubelet and "there is a kubelet here, but nothing says where its API server is" or nil
    entry.fix = kube.kubelet and "KUBECONFIG=/path/to/kubeconfig bpfnet ..., or --labels cri" or nil
  elseif kube.answers then
    entry.found, entry.why = kube.server .. " answers", kube.why
  else
    entry.ok, entry.answers = "partly", false
    entry.found = kube.server and kube.server .. " does not answer as it should" or "configured, but not readable"
    entry.why = kube.why or "no answer within half a second"
  end
  return entry
end

---@param context table
---@param add fun(check: table) takes the check of libcurl
---@return table[] list { name, ok, found, need, why?, fix?, dir?, readable?, socket?, answers?, version? }, ...
function runtimes.list(context, add)
  local answers, list = context.pending:answer("servers"), {}
  local curl = answers.curl or { why = answers.why }
  add({ name = "libcurl", ok = curl.ok or "partly", found = curl.ok and "there" or "not there",
    need = "labels from container runtimes and Kubernetes, bpf.http", why = curl.why, fix = curl.fix })
  for i, one in ipairs(answers.runtimes or {}) do
    list[i] = judge(one, context)
  end
  if #list == 0 then
    list[1] = { name = "container runtimes", ok = true, found = "none found", need = "names of containers and pods" }
  end
  list[#list + 1] = judge_kube(answers.kube or { configured = true, why = answers.why })
  return list
end

return runtimes
