-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet_terminal
-- luacheck: ignore
-- Annotations of the module bpfnet.terminal, which is written in C (engine/lua_terminal.c). While somebody is
-- attached to the script (`bpfnet repl --attach`) it is about that one's terminal.

---@class bpfnet.terminal
local terminal = {}

---How large the terminal is; 80 and 24 if there is none.
---@return integer columns
---@return integer rows
function terminal.size() end

---Whether standard input and output are a terminal.
---@return boolean
function terminal.is_tty() end

---Whether it shows colours, and the user wants them (TERM, NO_COLOR).
---@return boolean
function terminal.colour() end

---Shows lines as a block right above the prompt, in the place of the last block; nil takes it away. What is wider
---than the terminal is cut. Where there is no such place they are printed.
---@param lines? string[]
function terminal.above(lines) end

---Writes a text as io.write does.
---@param text string
function terminal.write(text) end

---Takes the line that is typed, and the block, away at once: for a child process that is about to write to the terminal.
---They come back before the loop sleeps.
function terminal.lend() end

return terminal
