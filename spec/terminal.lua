-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- A real terminal with somebody at it, for specs: tmux, with a server of our own.

local helper = require "helper"

local terminal = {}

---@class spec.Terminal
---@field private tmux string the command
---@field private log string file with all that the terminal was sent
local Terminal = {}
Terminal.__index = Terminal

---Runs a command in a new terminal. When it ends the screen says "EXIT" and its status.
---@param command string
---@param opts? {columns?: integer, rows?: integer}
---@return spec.Terminal
function terminal.open(command, opts)
  opts = opts or {}
  local name = ("bpfnet-spec-%d"):format(bpf.now())
  local self = setmetatable({ tmux = "tmux -L " .. name .. " -f /dev/null", log = os.tmpname() }, Terminal)
  -- the recording is on before the command is: it waits for a line
  local shell = ("trap : INT; read -r _; clear; %s; echo EXIT $?; exec sleep 1000"):format(command)
  self:run("new-session -d -x %d -y %d %s", opts.columns or 80, opts.rows or 24, helper.quote(shell))
  self:run("pipe-pane -o %s", helper.quote("exec cat >" .. self.log))
  self:key("Enter")
  return self
end

---Runs a tmux command.
---@return string output
function Terminal:run(fmt, ...)
  local text, status = helper.sh("%s %s", self.tmux, fmt:format(...))
  assert(status == 0, text)
  return text
end

---Presses keys, by tmux's names: "C-c", "Enter".
function Terminal:key(...)
  self:run("send-keys %s", table.concat({ ... }, " "))
end

---Types a text.
function Terminal:type(text)
  self:run("send-keys -l -- %s", helper.quote(text))
end

---Types a line and Enter.
function Terminal:enter(text)
  self:type(text)
  self:key("Enter")
end

---Types a line, waits until its end is there to be seen, and presses Enter.
function Terminal:enter_seen(text)
  local tail = text:gsub("^%s+", ""):gsub("%s+$", ""):sub(-20)
  self:type(text)
  if tail ~= "" then
    helper.wait(10, function()
      return self:screen():gsub("\n", ""):sub(-#tail) == tail
    end)
  end
  self:key("Enter")
end

---Pastes a text, marked as pasted if the program has asked for that.
function Terminal:paste(text)
  local path = os.tmpname()
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
  f:flush()
  self:run("load-buffer %s ';' paste-buffer -p", path)
  os.remove(path)
end

---The screen: a text without empty lines at its end.
---@return string
function Terminal:screen()
  return (self:run("capture-pane -p"):gsub("%s*$", ""))
end

---All that the terminal was sent, with escape sequences.
function Terminal:sent()
  return helper.read(self.log) or ""
end

---Waits until the screen has the text (no pattern), at most so many seconds; returns the screen.
function Terminal:wait(text, seconds)
  local screen
  local ok = pcall(helper.wait, seconds or 10, function()
    screen = self:screen()
    return screen:find(text, 1, true)
  end)
  if not ok then
    error(("waited for %q, the screen is:\n%s"):format(text, screen), 2)
  end
  return screen
end

---Waits until the screen ends with the text.
function Terminal:wait_end(text, seconds)
  local screen
  local ok = pcall(helper.wait, seconds or 10, function()
    screen = self:screen()
    return screen:sub(-#text) == text
  end)
  if not ok then
    error(("waited for %q at the end, the screen is:\n%s"):format(text, screen), 2)
  end
  return screen
end

---Gives the terminal another size.
function Terminal:resize(columns, rows)
  self:run("resize-window -x %d -y %d", columns, rows)
end

---Ends all in it.
function Terminal:close()
  helper.sh("%s kill-server", self.tmux)
  os.remove(self.log)
end

return terminal
