-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A list of the Kubernetes API and what changes in it, for as long as it takes: list in pages, watch from
-- there, go on from the last version known after a break, list anew when the server has forgotten that.
-- (kubernetes.io, "Kubernetes API Concepts": efficient detection of changes)

local cjson = require("cjson")
local kube_config = require("bpfnet.kube_config")
local retry = require("bpfnet.retry")

local watch = {}

local PAGE = 250 -- objects; read by one callback, which has a second
local HASTE_NS = 10000000000 -- a version that is too old so soon after it was new is no accident
local MAX_LINE = 32 << 20
local GONE = 410 -- HTTP's: this version is too old

---Times in seconds. `watch`: for how long one is asked, half to all of it. `stall`: bookmarks come every
---minute, so a connection that is silent for longer is dead.
watch.seconds = { page = 30, watch = 300, stall = 150 }

---@class bpfnet.KubeWatch
---@field state string "starting", "listing", "watching", "dead", "stopped"
---@field version? string resourceVersion that is known
---@field lists integer how often all was listed
local Watch = {}
Watch.__index = Watch

---@class bpfnet.KubeWatchOpts
---@field config table see kube_config.find()
---@field path string of the list: "/api/v1/pods"
---@field selector? string fieldSelector
---@field on_object fun(object: table) is there, or has changed
---@field on_gone fun(object: table) was there
---@field without string what is missing while it fails

---@param opts bpfnet.KubeWatchOpts
---@return bpfnet.KubeWatch
function watch.new(opts)
  return setmetatable({ opts = opts, state = "stopped", objects = {}, lists = 0,
    listed_ns = 0 }, Watch)
end

local function escape(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function url(self, query)
  local parts = {}
  query.fieldSelector = self.opts.selector
  for name, value in pairs(query) do
    parts[#parts + 1] = name .. "=" .. escape(tostring(value))
  end
  table.sort(parts)
  return self.opts.config.server:gsub("/+$", "") .. self.opts.path .. "?" .. table.concat(parts, "&")
end

local function close(self)
  if self.request then
    self.request:close()
    self.request = nil
  end
end

local function fail(self, message, hint)
  close(self)
  self.state, self.restarted = "dead", nil
  self.again:failed(message, hint)
end

local function decode(text)
  local ok, value = pcall(cjson.decode, text)
  if ok and type(value) == "table" then
    return value
  end
  return nil, ("not JSON: %s..."):format(text:sub(1, 60):gsub("%s+", " "))
end

local HINTS = {
  [401] = "the token or certificate is not valid there (any more)",
  [403] = "the account needs the verbs list and watch for it (see lua/README.md, kube)",
  [404] = "is the URL's path right?",
}

-- What an answer that is not 200 says: a Status object, or nothing of use.
local function refusal(status, body)
  local ok, object = pcall(cjson.decode, body)
  local message = ok and type(object) == "table" and object.message
  return ("HTTP status %d%s"):format(status, type(message) == "string" and ": " .. message or ""), HINTS[status]
end

local CONNECTION = { "unix_socket", "ca_file", "ca_data", "cert_file", "cert_data", "key_file", "key_data", "insecure" }

-- Asks with the credentials of now.
local function get(self, query, opts)
  local config = self.opts.config
  local token, err = kube_config.token(config)
  if err then
    return fail(self, err)
  end
  close(self)
  local request = { url = url(self, query), http2 = false, on_headers = opts.on_headers, on_data = opts.on_data,
    timeout = opts.timeout, stall_timeout = opts.stall_timeout }
  for _, name in ipairs(CONNECTION) do
    request[name] = config[name]
  end
  request.headers = { accept = "application/json", authorization = token and "Bearer " .. token or nil }
  request.on_done = function(status, _, _, message)
    self.request = nil
    if status == 401 and not message and kube_config.token(config) ~= token then
      get(self, query, opts) -- it was replaced while it was on its way
    else
      opts.on_done(status, message)
    end
  end
  local ok
  ok, self.request = pcall(bpf.http, request)
  if not ok then
    err, self.request = self.request, nil
    fail(self, (err:gsub("^.-bpf%.http: ", "")))
  end
end

local function uid_of(object)
  return type(object) == "table" and type(object.metadata) == "table" and object.metadata.uid
end

local function add(self, object)
  local uid = uid_of(object)
  if uid then
    self.objects[uid] = self.lists
    self.opts.on_object(object)
  end
end

local function remove(self, uid, object)
  self.objects[uid] = nil
  self.opts.on_gone(object)
end

local start_watch, list

-- What the last list didn't have is gone, though nobody said so.
local function listed(self)
  for uid, nth in pairs(self.objects) do
    if nth < self.lists then
      remove(self, uid, { metadata = { uid = uid } })
    end
  end
  self.listed_ns, self.restarted = bpf.now(), nil
  self.again:worked()
  start_watch(self)
end

local function take_page(self, status, body)
  if status == GONE and not self.restarted then -- between two pages: from the start
    self.restarted = true
    return list(self)
  elseif status ~= 200 then
    return fail(self, refusal(status, body))
  end
  local page, err = decode(body)
  if not page then
    return fail(self, err)
  end
  local metadata = type(page.metadata) == "table" and page.metadata or {}
  for _, object in ipairs(type(page.items) == "table" and page.items or {}) do
    add(self, object)
  end
  if type(metadata.continue) == "string" and metadata.continue ~= "" then
    return list(self, metadata.continue)
  elseif type(metadata.resourceVersion) ~= "string" then
    return fail(self, "a list without a version: not the Kubernetes API?")
  end
  self.version = metadata.resourceVersion
  listed(self)
end

list = function(self, continue)
  local pieces = {}
  if not continue then
    self.lists = self.lists + 1
  end
  self.state = "listing"
  get(self, { limit = PAGE, continue = continue }, {
    timeout = watch.seconds.page,
    on_data = function(piece) pieces[#pieces + 1] = piece end,
    on_done = function(status, err)
      if err then
        fail(self, err)
      else
        take_page(self, status, table.concat(pieces))
      end
    end,
  })
end

-- A version that the server has forgotten is nobody's fault: all is listed again.
local function relist(self)
  close(self)
  self.version = nil
  if bpf.now() - self.listed_ns < HASTE_NS then
    return fail(self, "a version that was just listed is too old for a watch")
  end
  list(self)
end

-- An event of the stream. False: the stream is over for us.
local function take_event(self, line)
  local event, err = decode(line)
  local object = event and event.object
  if not event or type(object) ~= "table" then
    fail(self, err or "an event without an object")
    return false
  elseif event.type == "ERROR" then
    if object.code == GONE then
      relist(self)
    else
      fail(self, ("watch: %s"):format(object.message or object.reason or "an error without a message"))
    end
    return false
  end
  local uid = uid_of(object)
  if event.type == "DELETED" then
    remove(self, uid, object)
  elseif event.type ~= "BOOKMARK" then
    add(self, object)
  end
  local version = type(object.metadata) == "table" and object.metadata.resourceVersion
  self.version = type(version) == "string" and version or self.version
  return true
end

-- Cuts a stream into lines; joined only when one is complete.
local function take_piece(self, pieces, piece)
  local at, request = 1, self.request
  while true do
    local stop = piece:find("\n", at, true)
    if not stop then
      break
    end
    pieces[#pieces + 1] = piece:sub(at, stop - 1)
    local line = table.concat(pieces)
    for i = #pieces, 1, -1 do
      pieces[i] = nil
    end
    at = stop + 1
    if line:find("%S") and not take_event(self, line) or self.request ~= request then
      return
    end
  end
  pieces[#pieces + 1] = piece:sub(at)
  pieces.bytes = (at > 1 and 0 or pieces.bytes or 0) + #piece - at + 1
  if pieces.bytes > MAX_LINE then
    fail(self, ("an event of more than %d MiB"):format(MAX_LINE >> 20))
  end
end

-- A stream that has ended: in its time, or because of what?
local function watch_ended(self, status, err, body, began_ns)
  if err then
    fail(self, err)
  elseif status == GONE then
    relist(self)
  elseif status ~= 200 then
    fail(self, refusal(status, body))
  elseif bpf.now() - began_ns < 1e9 then
    fail(self, "the watch ends as soon as it begins")
  else
    start_watch(self)
  end
end

start_watch = function(self)
  local pieces, other, good, began_ns = {}, {}, false, bpf.now()
  self.state = "watching"
  get(self, { watch = "1", allowWatchBookmarks = "true", resourceVersion = self.version,
    timeoutSeconds = math.random(watch.seconds.watch // 2, watch.seconds.watch) }, {
    stall_timeout = watch.seconds.stall,
    on_headers = function(status)
      good = status == 200
      if good then
        self.again:worked()
      end
    end,
    on_data = function(piece)
      if good then
        take_piece(self, pieces, piece)
      else
        other[#other + 1] = piece
      end
    end,
    on_done = function(status, err)
      watch_ended(self, status, err, table.concat(other), began_ns)
    end,
  })
end

---Starts, or starts again.
function Watch:start()
  self:stop()
  self.state = "starting"
  self.again = self.again or retry.new({
    what = "Kubernetes API " .. self.opts.config.server .. self.opts.path,
    without = self.opts.without,
    action = function()
      if self.version then
        start_watch(self)
      else
        list(self)
      end
    end,
  })
  if self.version then
    start_watch(self)
  else
    list(self)
  end
end

function Watch:stop()
  close(self)
  if self.again then
    self.again:stop()
  end
  self.state = "stopped"
end

return watch
