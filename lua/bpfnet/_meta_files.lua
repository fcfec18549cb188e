-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_files
-- luacheck: ignore
-- Annotations of the module bpfnet.files, which is written in C (engine/lua_files.c). Failures are told as nil
-- and a message; a wrong argument raises.

---@class bpfnet.files
local files = {}

---All directories below one, by inode number, with paths from there on: "/a/b", "/" for itself.
---@param directory string
---@return table<integer, string>? paths nil and a message if it can't be read
---@return integer|string unread how many of them could not be looked into
function files.tree(directory) end

---@param directory string
---@return string[]? names in the order in which they come
---@return string? message
---@return string? code "ENOENT"
function files.list(directory) end

---All of a regular file, which those in /proc are; never waits.
---@param path string
---@param max integer bytes, up to 2^26; a larger file is an error, "EFBIG"
---@return string? text
---@return string? message
---@return string? code
function files.read(path, max) end

---What a symbolic link says.
---@param path string
---@return string? text
---@return string? message
---@return string? code
function files.link(path) end

---The inode number of what is at a path.
---@param path string
---@return integer? inode
---@return string? message
---@return string? code
function files.inode(path) end

---Holds a file open, so that its inode number is given to no other.
---@param path string
---@return bpfnet.files.Held? held
---@return integer|string inode or the message
---@return string? code
function files.hold(path) end

---@class bpfnet.files.Held
local Held = {}

---Lets go of it, as <close> and the collector do.
function Held:close() end

return files
