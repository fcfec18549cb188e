-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Calls of gRPC methods over bpf.http, unary ones and streams of answers: a message is five bytes
-- (compressed or not, length) and its protobuf; the status comes behind the last one.
--
--   grpc.call{ unix_socket = path, method = "runtime.v1.RuntimeService/Version", timeout = 5,
--     response = Version, on_message = function(version) ... end, on_done = function(err, code) ... end }

local protobuf = require("bpfnet.protobuf")

local grpc = {}

local MAX_MESSAGE = 64 << 20 -- bytes; a node's list of pods has some 100 KiB
local TRIES = 8

---Codes of grpc-status that callers ask for.
grpc.UNIMPLEMENTED = 12

---Puts the header of a message in front of it.
---@param message string
---@return string
function grpc.frame(message)
  return string.pack(">Bs4", 0, message) -- the length is that of "s4"
end

---Makes a reader of messages out of pieces of any size.
---@return fun(piece: string): string[]?, string? feed gives the messages that are complete now, or nil and
---what is wrong
---@return fun(): boolean is_between whether nothing is there of a message that is not complete
function grpc.reader()
  local pieces, have, want = {}, 0, 5 -- joined only when there is enough of them
  local function feed(piece)
    local messages, at = {}, 1
    pieces[#pieces + 1] = piece
    have = have + #piece
    if have < want then
      return messages
    end
    local bytes = table.concat(pieces)
    while have >= 5 do
      local compressed, length = string.unpack(">BI4", bytes, at)
      if compressed ~= 0 then
        return nil, "a compressed message, which was not asked for"
      elseif length > MAX_MESSAGE then
        return nil, ("a message of %d bytes, expected at most %d"):format(length, MAX_MESSAGE)
      end
      want = 5 + length
      if have < want then
        break
      end
      messages[#messages + 1] = bytes:sub(at + 5, at + want - 1)
      at, have, want = at + want, have - want, 5
    end
    pieces = { bytes:sub(at) }
    return messages
  end
  return feed, function() return have == 0 end
end

-- grpc-message is percent-encoded.
local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- What the end of the response says: nothing if the call was done. Whoever refuses a call that is still being
-- sent says so and resets the stream: then there is a status, and an error of libcurl's after it.
local function outcome(status, headers, trailers, err)
  local code = trailers["grpc-status"] or headers["grpc-status"] -- the latter without any message
  if code == "0" then
    return nil
  elseif not code and err then
    return err
  elseif code then
    local message = unescape(trailers["grpc-message"] or headers["grpc-message"] or "")
    return ("%s (gRPC status %s)"):format(message, code), tonumber(code)
  end
  return ("HTTP status %d without a gRPC status: not a gRPC server?"):format(status)
end

---@class bpfnet.GrpcCall
---@field method string "package.Service/Method"
---@field unix_socket? string
---@field url? string of the server, default "http://localhost" for the socket
---@field request? string the message's bytes, default an empty one
---@field response table schema of the answers
---@field on_message fun(message: table) for each answer
---@field on_done fun(err: string?, code: integer?) once, last; err nil: done
---@field headers? table<string, string>
---@field timeout? number seconds for all of it

-- Takes a piece of the response. Bytes that are wrong end the call with that as its error; errors of
-- on_message are the caller's own and go up.
local function take(call, self, piece)
  local messages, wrong = self.feed(piece)
  for _, bytes in ipairs(messages or {}) do
    local message, err = protobuf.decode(call.response, bytes)
    if not message then
      wrong = err
      break
    end
    call.on_message(message)
    if self.closed then
      return
    end
  end
  if wrong then
    self:close()
    call.on_done("an answer that can't be read: " .. wrong)
  end
end

local function close(self)
  self.closed = true
  self.request:close()
end

-- What libcurl 7.88 says of one in seven calls that are refused while they are being sent: the answer, which
-- came, is lost. Nothing was done there, so the call may be made again.
local function is_lost(status, err)
  return not status and err and err:find("HTTP/?2") ~= nil
end

local function send(call, self)
  self.tries = self.tries + 1
  self.feed, self.is_between = grpc.reader()
  local ok, request = pcall(bpf.http, {
    url = (call.url or "http://localhost") .. "/" .. call.method,
    unix_socket = call.unix_socket,
    http2 = "prior",
    method = "POST",
    body = grpc.frame(call.request or ""),
    headers = self.headers,
    timeout = call.timeout,
    on_headers = function(status, got)
      self.is_grpc = status == 200 and (got["content-type"] or ""):find("^application/grpc") ~= nil
    end,
    on_data = function(piece)
      if self.is_grpc then
        take(call, self, piece)
      end
    end,
    on_done = function(status, got, trailers, err)
      local message, code = outcome(status, got, trailers, err)
      local lost = is_lost(status, err)
      if lost and self.tries < TRIES then
        return send(call, self)
      elseif lost then
        message = err .. ", each time: not a gRPC server?"
      elseif not message and not self.is_between() then
        message = "the last answer is cut off"
      end
      self.closed = true
      call.on_done(message, code)
    end,
  })
  -- What is refused at once (there is no libcurl) is told later too, like all that goes wrong.
  self.request = ok and request or bpf.after(0, function()
    call.on_done((request:gsub("^.-bpf%.http: ", "")))
  end):background()
end

---Calls a method.
---@param call bpfnet.GrpcCall
---@return table handle handle:close() cancels: then on_done is not called
function grpc.call(call)
  local self = { close = close, tries = 0, headers = { ["content-type"] = "application/grpc", te = "trailers" } }
  for name, value in pairs(call.headers or {}) do
    self.headers[name] = value
  end
  send(call, self)
  return self
end

return grpc
