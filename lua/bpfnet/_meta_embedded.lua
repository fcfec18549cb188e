-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_embedded
-- luacheck: ignore
-- Annotations of the module bpfnet.embedded, which is written in C (engine/modules.c): the Lua files inside the binary.

---@class bpfnet.embedded
local embedded = {}

---@return string[] names of modules, and of annotations: "bpfnet.hist", "bpfnet._meta"
function embedded.modules() end

---@return string[] names of the scripts that come along: "tcplife"
function embedded.scripts() end

---Returns the text of a module or script that travels inside the binary.
---@param name string
---@return string? text nil if there is none of that name
function embedded.source(name) end

return embedded
