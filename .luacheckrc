-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
std = "lua54"
read_globals = { "bpf" }
max_line_length = 120
-- A callback names what it is given also where it needs only some of it.
unused_args = false
self = false

files["spec/*_spec.lua"] = { std = "+busted" }
files["spec/run.lua"] = { globals = { "arg" } }
-- Declarations for editors: functions without bodies.
files["lua/bpfnet/_meta.lua"] = { ignore = { "1", "2", "631" } }
