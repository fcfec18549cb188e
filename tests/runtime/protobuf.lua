-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Protocol buffers, as far as the CRI needs them: strings, integers that are not negative, booleans,
-- messages, lists and maps of strings. For tests: what bpfnet itself reads is judged by it.
--
-- A message's shape lists its fields by name: { id = 1, labels = {6, map}, items = {3, list = true,
-- of = SHAPE} }. A bare number is a string or bytes; {n, "int"} and {n, "bool"} are varints.

local protobuf = {}

local VARINT, BYTES = 0, 2

local function varint(n)
  local out = {}
  while n >= 0x80 do
    out[#out + 1] = string.char(n & 0x7f | 0x80)
    n = n >> 7
  end
  out[#out + 1] = string.char(n)
  return table.concat(out)
end

local function bytes_field(number, text)
  return varint(number << 3 | BYTES) .. varint(#text) .. text
end

local function encode_one(field, number, value)
  if field.of then return bytes_field(number, protobuf.encode(field.of, value)) end
  if field[2] == "bool" then value = value and 1 or 0 end
  if field[2] then return varint(number << 3 | VARINT) .. varint(value) end
  return bytes_field(number, value)
end

local function encode_map(number, map)
  local out = {}
  for key, value in pairs(map) do
    out[#out + 1] = bytes_field(number, bytes_field(1, key) .. bytes_field(2, value))
  end
  return table.concat(out)
end

local function encode_field(field, value)
  local number = field[1]
  if field.map then return encode_map(number, value) end
  if not field.list then return encode_one(field, number, value) end
  local out = {}
  for i, item in ipairs(value) do out[i] = encode_one(field, number, item) end
  return table.concat(out)
end

local function whole(field)
  return type(field) == "table" and field or { field }
end

---@param shape table as above
---@param message table values by name; one that the shape does not have is an error
---@return string
function protobuf.encode(shape, message)
  local out = {}
  for name, value in pairs(message) do
    local field = whole(assert(shape[name], "no field " .. name))
    out[#out + 1] = encode_field(field, value)
  end
  return table.concat(out)
end

local function read_varint(text, at)
  local n, shift = 0, 0
  while true do
    local byte = text:byte(at) or error("cut off")
    n = n | (byte & 0x7f) << shift
    at, shift = at + 1, shift + 7
    if byte < 0x80 then return n, at end
  end
end

-- Number, wire type and value of a field, and where the next begins.
local function read_field(text, at)
  local tag, value
  tag, at = read_varint(text, at)
  local wire = tag & 7
  if wire == VARINT then
    value, at = read_varint(text, at)
  elseif wire == BYTES then
    local size
    size, at = read_varint(text, at)
    value, at = text:sub(at, at + size - 1), at + size
    assert(#value == size, "cut off")
  else
    at = at + (wire == 1 and 8 or wire == 5 and 4 or error("wire type " .. wire))
  end
  return tag >> 3, value, at
end

local function read_map(map, entry)
  local pair = protobuf.decode({ key = 1, value = 2 }, entry)
  map[pair.key or ""] = pair.value or ""
end

local function value_of(field, value)
  if field.of then return protobuf.decode(field.of, value) end
  if field[2] == "bool" then return value ~= 0 end
  return value
end

---@param shape table as above; fields that it does not have are left out
---@param text string
---@return table values by name; lists and maps are there when empty, too
function protobuf.decode(shape, text)
  local names, message, at = {}, {}, 1
  for name, field in pairs(shape) do
    field = whole(field)
    names[field[1]] = { name, field }
    if field.list or field.map then message[name] = {} end
  end
  while at <= #text do
    local number, value
    number, value, at = read_field(text, at)
    local name, field = table.unpack(names[number] or {})
    if name and field.map then
      read_map(message[name], value)
    elseif name and field.list then
      table.insert(message[name], value_of(field, value))
    elseif name then
      message[name] = value_of(field, value)
    end
  end
  return message
end

return protobuf
