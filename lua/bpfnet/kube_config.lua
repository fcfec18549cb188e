-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Where the Kubernetes API is and who we are there: options, a kubeconfig, or the service account that a pod
-- is given.

local cjson = require("cjson")
local yaml = require("bpfnet.yaml")

local config = {}

local ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

local function read(path)
  local file, message = io.open(path)
  if not file then
    return nil, message
  end
  local text = file:read("a")
  file:close()
  return text
end

local DIGITS = {}
for i = 1, 64 do
  DIGITS[("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):byte(i)] = i - 1
end

---@param text string base64, with or without line ends and padding
---@return string? bytes nil: it is none
function config.base64(text)
  local out, bits, n = {}, 0, 0
  text = text:gsub("%s", ""):gsub("=+$", "")
  for at = 1, #text do
    local digit = DIGITS[text:byte(at)]
    if not digit then
      return nil
    end
    bits, n = (bits << 6 | digit) & 0xffffff, n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 0xff)
    end
  end
  return table.concat(out)
end

-- A member that is there: JSON's and YAML's null is not.
local function get(object, name)
  local value = type(object) == "table" and object[name]
  return value ~= cjson.null and value or nil
end

local function fail(...)
  error({ message = string.format(...) })
end

-- An entry of one of kubeconfig's lists: { name =, [kind] = {...} }.
local function named(document, list, kind, name)
  for _, entry in ipairs(get(document, list) or {}) do
    if get(entry, "name") == name then
      return get(entry, kind) or {}
    end
  end
  fail("it names the %s '%s', which is not there", kind, tostring(name))
end

-- NAME-data is base64; NAME is a path, from the kubeconfig's folder.
local function data_or_file(out, key, object, name, folder)
  local data, path = get(object, name .. "-data"), get(object, name)
  if data then
    out[key .. "_data"] = config.base64(tostring(data)) or fail("%s-data is not base64", name)
  elseif path then
    out[key .. "_file"] = path:find("^/") and path or folder .. path
  end
end

local function user_of(out, user, folder)
  data_or_file(out, "cert", user, "client-certificate", folder)
  data_or_file(out, "key", user, "client-key", folder)
  out.token = get(user, "token")
  out.token_file = get(user, "tokenFile")
  if out.token or out.token_file or out.cert_data or out.cert_file then
    return
  end
  for _, way in ipairs({ "exec", "auth-provider", "username" }) do
    if get(user, way) then
      fail("its user logs in by '%s', which is not done here: a token or a client certificate is", way)
    end
  end
end

local function from_document(document, folder, name)
  local out = {}
  local context = named(document, "contexts", "context", name or get(document, "current-context"))
  local cluster = named(document, "clusters", "cluster", get(context, "cluster"))
  out.server = get(cluster, "server") or fail("its cluster has no server")
  out.insecure = get(cluster, "insecure-skip-tls-verify") == true or nil
  data_or_file(out, "ca", cluster, "certificate-authority", folder)
  if get(context, "user") then
    user_of(out, named(document, "users", "user", get(context, "user")), folder)
  end
  return out
end

---Reads a kubeconfig.
---@param path string
---@param context? string default: its current one
---@return table? config server, ca_*, cert_*, key_*, token, token_file, insecure
---@return string? error
function config.read(path, context)
  local text, message = read(path)
  if not text then
    return nil, "kubeconfig " .. message
  end
  local document
  document, message = yaml.decode(text)
  if not document then
    return nil, ("kubeconfig '%s': %s"):format(path, message)
  end
  local ok, result = pcall(from_document, document, path:match("^.*/") or "", context)
  if ok then
    return result
  elseif type(result) ~= "table" then
    error(result, 0)
  end
  return nil, ("kubeconfig '%s': %s"):format(path, result.message)
end

-- What each pod is given, unless its spec says no.
local function in_cluster(getenv, account)
  local host, port = getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
  if not host or not port then
    return nil
  end
  host = host:find(":") and "[" .. host .. "]" or host
  return { server = ("https://%s:%s"):format(host, port), ca_file = account .. "/ca.crt",
    token_file = account .. "/token" }
end

---Finds out: opts.server with what else is in opts; opts.kubeconfig; $KUBECONFIG; the service account.
---@param opts table server, token, token_file, ca_*, cert_*, key_*, insecure; kubeconfig, context; account
---@param getenv? fun(name: string): string? for tests
---@return table? config
---@return string? error
---@return string? hint
function config.find(opts, getenv)
  getenv = getenv or os.getenv
  if opts.server then
    return opts
  end
  local path = opts.kubeconfig or (getenv("KUBECONFIG") or ""):match("^[^:]+")
  if path then
    return config.read(path, opts.context)
  end
  local found = in_cluster(getenv, opts.account or ACCOUNT)
  if found then
    return found
  end
  return nil, "no Kubernetes API server is known here", "kube.source{ kubeconfig = PATH }, $KUBECONFIG, or a "
    .. "pod with a service account"
end

---The token as it is now: those of service accounts are replaced every hour or so.
---@param found table from find()
---@return string? token nil: there is none
---@return string? error its file can't be read
function config.token(found)
  if not found.token_file then
    return found.token
  end
  local text, message = read(found.token_file)
  if not text then
    return nil, "token " .. message
  end
  return text:match("^%s*(.-)%s*$")
end

---The node that this is: $NODE_NAME (the downward API's spec.nodeName), or the host's name.
---@return string
function config.node()
  local name = os.getenv("NODE_NAME")
  if name and name ~= "" then
    return name
  end
  return (read("/proc/sys/kernel/hostname") or ""):gsub("%s", ""):lower()
end

return config
