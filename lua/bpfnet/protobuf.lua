-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Protocol Buffers' wire format (protobuf.dev, "Encoding"), by tables that say what a field number
-- means. Enough for the messages that bpfnet exchanges: no packed lists, groups or zigzag.
--
--   local Metadata = { [1] = { "name", "string" }, [2] = { "uid", "string" } }
--   local Pod = { [1] = { "id", "string" }, [2] = { "metadata", Metadata }, [5] = { "labels", "map" } }
--   local List = { [1] = { "items", Pod, repeated = true } }
--   local list, message = protobuf.decode(List, bytes)
--
-- Types of fields: "string" (and bytes), "int" (all varints but sint*), "bool", "fixed64", "double",
-- "map" (of strings to strings), or the table of a message.

local protobuf = {}

local WIRE = { string = 2, int = 0, bool = 0, fixed64 = 1, double = 1, map = 2 }
local MAX_DEPTH = 32 -- messages in messages

local function wire_of(kind)
  return WIRE[kind] or 2 -- a message
end

-- Errors of the bytes, told from those of a program by being tables.
local function broken(...)
  error({ message = string.format(...) })
end

local function read_varint(bytes, at, last)
  local value, shift = 0, 0
  repeat
    if at > last then
      broken("a number is cut off at byte %d", at)
    elseif shift > 63 then
      broken("a number of more than 64 bits at byte %d", at)
    end
    local byte = bytes:byte(at)
    value = value | (byte & 0x7f) << shift
    shift, at = shift + 7, at + 1
  until byte < 0x80
  return value, at
end

-- The bounds of what a length announces, and where it goes on.
local function read_length(bytes, at, last)
  local length, first = read_varint(bytes, at, last)
  if length < 0 or length > last - first + 1 then
    broken("a field of %u bytes is cut off at byte %d", length, at)
  end
  return first, first + length - 1
end

local function skip(bytes, at, last, wire)
  if wire == 0 then
    return select(2, read_varint(bytes, at, last))
  elseif wire == 2 then
    local _, to = read_length(bytes, at, last)
    return to + 1
  elseif wire ~= 1 and wire ~= 5 then
    broken("wire type %d at byte %d", wire, at)
  end
  at = at + (wire == 1 and 8 or 4)
  if at > last + 1 then
    broken("a number is cut off at byte %d", last + 1)
  end
  return at
end

local decode

local MAP_ENTRY = { [1] = { "key", "string" }, [2] = { "value", "string" } }

local function read_value(kind, bytes, at, last, depth)
  if kind == "int" or kind == "bool" then
    local value, after = read_varint(bytes, at, last)
    if kind == "bool" then
      value = value ~= 0
    end
    return value, after
  elseif kind == "fixed64" or kind == "double" then
    local after = skip(bytes, at, last, 1)
    return string.unpack(kind == "double" and "<d" or "<i8", bytes, at), after
  end
  local from, to = read_length(bytes, at, last)
  if kind == "string" then
    return bytes:sub(from, to), to + 1
  end
  return decode(kind == "map" and MAP_ENTRY or kind, bytes, from, to, depth + 1), to + 1
end

local function store(message, field, value)
  local name = field[1]
  if field.repeated then
    local list = message[name]
    list[#list + 1] = value
  elseif field[2] == "map" then
    message[name][value.key or ""] = value.value or ""
  else
    message[name] = value
  end
end

decode = function(schema, bytes, at, last, depth)
  local message = {}
  if depth > MAX_DEPTH then
    broken("messages in messages, more than %d deep", MAX_DEPTH)
  end
  for _, field in pairs(schema) do
    if field.repeated or field[2] == "map" then
      message[field[1]] = {}
    end
  end
  while at <= last do
    local tag, value
    tag, at = read_varint(bytes, at, last)
    local field, wire = schema[tag >> 3], tag & 7
    if not field then
      at = skip(bytes, at, last, wire)
    elseif wire ~= wire_of(field[2]) then
      broken("field %d (%s) has wire type %d, expected %d", tag >> 3, field[1], wire, wire_of(field[2]))
    else
      value, at = read_value(field[2], bytes, at, last, depth)
      store(message, field, value)
    end
  end
  return message
end

---Reads a message. Fields that the schema doesn't know are skipped. Lists and maps are there even when
---empty; other fields that were not sent are nil (which stands for 0, "", false).
---@param schema table
---@param bytes string
---@return table? message
---@return string? error what is wrong with the bytes
function protobuf.decode(schema, bytes)
  local ok, result = pcall(decode, schema, bytes, 1, #bytes, 1)
  if ok then
    return result
  elseif type(result) ~= "table" then
    error(result, 0)
  end
  return nil, result.message
end

local function varint(value)
  local out = {}
  while value & ~0x7f ~= 0 do
    out[#out + 1] = string.char(value & 0x7f | 0x80)
    value = value >> 7
  end
  out[#out + 1] = string.char(value)
  return table.concat(out)
end

local function write_value(kind, value)
  if kind == "int" then
    return varint(value)
  elseif kind == "bool" then
    return value and "\1" or "\0"
  elseif kind == "fixed64" or kind == "double" then
    return string.pack(kind == "double" and "<d" or "<i8", value)
  elseif kind ~= "string" then
    value = protobuf.encode(kind, value)
  end
  return varint(#value) .. value
end

local function write_field(out, number, kind, value)
  out[#out + 1] = varint(number << 3 | wire_of(kind)) .. write_value(kind, value)
end

local function write_map(out, number, map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys) -- the same bytes each time
  for _, key in ipairs(keys) do
    write_field(out, number, MAP_ENTRY, { key = key, value = map[key] })
  end
end

---Writes a message: the fields that are there, by their numbers.
---@param schema table
---@param message table
---@return string bytes
function protobuf.encode(schema, message)
  local numbers, out = {}, {}
  for number, field in pairs(schema) do
    if message[field[1]] ~= nil then
      numbers[#numbers + 1] = number
    end
  end
  table.sort(numbers)
  for _, number in ipairs(numbers) do
    local field = schema[number]
    local kind, value = field[2], message[field[1]]
    if kind == "map" then
      write_map(out, number, value)
    else
      for _, one in ipairs(field.repeated and value or { value }) do
        write_field(out, number, kind, one)
      end
    end
  end
  return table.concat(out)
end

return protobuf
