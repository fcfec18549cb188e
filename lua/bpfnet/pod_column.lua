-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The container on every line of a script's output: a column of its table on nodes that have containers, and
-- fields for programs on all.
--
--   local pod_column = require("bpfnet.pod_column")
--   local writer = out.new({ format = "table", columns = pod_column.insert(columns, 3), fields = fields })

local pod = require("bpfnet.pod")

local pod_column = {}

---Members of an event that is made with the option `pods`.
pod_column.FIELDS = { "pod", "namespace", "container" }

---Puts the column in its place, if there is a container here now. It says "shop/cart-0/app", and nothing of what
---is no container's.
---@param columns bpfnet.out.Column[] changed
---@param at integer
---@param identity_of? fun(row: table): bpfnet.pod.Identity? default: of a row that is an event
---@return bpfnet.out.Column[] columns
function pod_column.insert(columns, at, identity_of)
  local function value(row)
    local identity = (identity_of or pod.of_event)(row)
    return identity and identity.container_id and pod.name(identity) or nil
  end
  if pod.list()[1] then
    table.insert(columns, at, { title = "POD", width = 24, value = value })
  end
  return columns
end

return pod_column
