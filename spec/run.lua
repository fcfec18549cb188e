-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- Runs the busted specs inside the engine:  bpfnet run spec/run.lua [busted's options and files]

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. here .. "/../tests/runtime/?.lua;" .. package.path
-- Debian keeps busted and its friends where Lua 5.4 looks; nothing else is needed.
local args = #arg > 0 and arg or { here }
arg = { [0] = arg[0], "--output=plainTerminal", "--pattern=_spec", table.unpack(args) }
require("busted.runner")({ standalone = false })
