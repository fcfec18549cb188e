-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_http
-- luacheck: ignore
-- Annotations of bpf.http, which belongs to _meta.lua.

---@class bpf
local bpf = {}

---A request from the loop: see lua/http.md.
---@class bpf.HttpOpts
---@field url string http://... or https://...
---@field on_done fun(status?: integer, headers: table<string, string>, trailers: table<string, string>, err?: string) once, last
---@field on_headers? fun(status: integer, headers: table<string, string>) the response has begun
---@field on_data? fun(piece: string) what has come of the body meanwhile
---@field method? string default GET, or POST with a body
---@field headers? table<string, string>
---@field body? string any bytes
---@field unix_socket? string path
---@field http2? "prior"|false HTTP/2 from the first byte on; HTTP/1.1
---@field ca_file? string
---@field ca_data? string PEM
---@field cert_file? string
---@field cert_data? string PEM
---@field key_file? string
---@field key_data? string PEM
---@field insecure? boolean any certificate is believed
---@field connect_timeout? number seconds, default 5
---@field stall_timeout? number seconds without a byte; default none
---@field timeout? number seconds for all of it; default none
---@field hold? boolean bpf.run() goes on for the request alone

---@class bpf.Request
local Request = {}

---Ends it: no handler is called any more. May be called twice.
function Request:close() end

---Raises for bad options, and where libcurl is missing; all else is told to on_done.
---@param opts bpf.HttpOpts
---@return bpf.Request
function bpf.http(opts) end
