-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- The examples in the project's texts: found, told apart, and run many at once. For docs_spec.

local helper = require("helper")

local blocks = {}

---@class docs.Block
---@field file string
---@field line integer of the block's first line
---@field lang string? what stands behind the fence; nil: indented
---@field lines string[]
---@field kind "lua"|"commands"|"reference"|"other"

local AT_ONCE = 10 -- they mostly wait

-- What a command begins with.
local COMMANDS = { "bpfnet", "make", "clang", "git", "apt%-get", "sudo", "curl", "%.?[%w_./]*/[%w_./-]+" }

-- The command in a line of a block, without prompt and remark; nil if there is none.
local function command_of(line)
  local text = line:gsub("^%s*[#$] ", "")
  for _, word in ipairs(COMMANDS) do
    if text:find("^" .. word .. "%f[%s\0\"']") or text:find("^%u[%u%d_]*=%S* ") then
      return (text:gsub("%s+# .*$", ""):gsub("   +%S.*$", ""):gsub("%s+$", ""))
    end
  end
end

local function kind_of(block)
  if block.lang == "lua" then return "lua" end
  if block.lang and block.lang ~= "" then return "other" end
  if command_of(block.lines[1]) and (block.lang == nil or not block.lines[1]:find("^%s")) then return "commands" end
  if block.lines[1]:find("^#?%w+[.:][%w_]+%(") then return "reference" end
  return "other"
end

local function finish(list, block)
  block.kind = kind_of(block)
  list[#list + 1] = block
end

local function text_lines(file)
  local lines = {}
  for line in (helper.read(helper.root .. "/" .. file) .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

-- Fenced blocks, and indented ones that follow an empty line.
local function blocks_of(file, list)
  local lines, i = text_lines(file), 1
  while i <= #lines do
    local lang = lines[i]:match("^```(%w*)$")
    local indented = lines[i]:find("^    %S") and (i == 1 or lines[i - 1] == "")
    if lang then
      local block = { file = file, line = i + 1, lang = lang, lines = {} }
      i = i + 1
      while lines[i] ~= "```" do
        assert(lines[i], file .. ": a fence is not closed")
        block.lines[#block.lines + 1] = lines[i]
        i = i + 1
      end
      finish(list, block)
    elseif indented then
      local block = { file = file, line = i, lines = {} }
      while lines[i] and (lines[i]:find("^    ") or lines[i] == "" and (lines[i + 1] or ""):find("^    ")) do
        block.lines[#block.lines + 1] = lines[i]:sub(5)
        i = i + 1
      end
      finish(list, block)
    end
    i = i + 1
  end
end

---Files of the tree that are texts.
---@return string[]
function blocks.files()
  local files = {}
  local list = helper.sh("cd %s && find . -name '*.md' -not -path './.output/*' | sed 's|^./||' | sort", helper.root)
  for file in list:gmatch("[^\n]+") do files[#files + 1] = file end
  return files
end

---All blocks of all texts.
---@return docs.Block[]
function blocks.all()
  local list = {}
  for _, file in ipairs(blocks.files()) do blocks_of(file, list) end
  return list
end

---The commands of a block, each with the output that is shown below it.
---@param block docs.Block
---@return { command: string, output: string[], line: integer }[]
function blocks.commands(block)
  local list, i = {}, 1
  while i <= #block.lines do
    local line = block.lines[i]
    -- with prompts all else is output; without them each line is a command
    local prompted = block.lines[1]:find("^[#$] ") == nil or line:find("^[#$] ") ~= nil
    local command = prompted and command_of(line)
    if command then
      local at = i
      while command:find("\\$") do -- goes on in the next line
        i = i + 1
        command = command:sub(1, -2) .. block.lines[i]:gsub("^%s+", "")
      end
      list[#list + 1] = { command = command, output = {}, line = block.line + at - 1 }
    else
      assert(#list > 0 and prompted == false, ("%s:%d: no command"):format(block.file, block.line + i - 1))
      table.insert(list[#list].output, line)
    end
    i = i + 1
  end
  return list
end

---Titles of a table in an output: its words, without POD, which is there only on a node with containers.
---@param lines string[]
---@return string[] titles "TIME PID COMM"
function blocks.titles(lines)
  local titles = {}
  for _, line in ipairs(lines) do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word ~= "POD" and word or nil end
    local text = table.concat(words, " ")
    if #words > 1 and text:find("^[%u%d_ %-/<>]+$") and text:find("%u%u") and not text:find("%-%-") then
      titles[#titles + 1] = text
    end
  end
  return titles
end

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end

---@class docs.Job
---@field shell string what is run
---@field seconds number after which it gets SIGINT
---@field out? string what it wrote, and err, and status, once it has run
---@field err? string
---@field status? integer
---@field piped? boolean a shell gets the signal as well

---Runs jobs, several at once, in a directory of their own, with bpfnet in the PATH.
---@param jobs docs.Job[]
---@param dir string
---@param at_once? integer
function blocks.run(jobs, dir, at_once)
  -- --foreground: one signal, not a second one to the group, which would end bpfnet at once
  for i, job in ipairs(jobs) do
    local base = ("%s/%d"):format(dir, i)
    local command = ("timeout --foreground --preserve-status -s INT -k 20 %s sh -c %s"):format(job.seconds,
      helper.quote(job.shell))
    write(base .. ".sh", ("cd %s/cwd\nPATH=%s:$PATH\nexport NO_COLOR=1 TERM=dumb\n%s >%s.out 2>%s.err </dev/null\n"
      .. "echo $? >%s.rc\n"):format(dir, helper.out, command, base, base, base))
  end
  helper.sh("seq 1 %d | xargs -P %d -I {} sh %s/{}.sh", #jobs, at_once or AT_ONCE, dir)
  for i, job in ipairs(jobs) do
    local base = ("%s/%d"):format(dir, i)
    job.out, job.err = helper.read(base .. ".out") or "", helper.read(base .. ".err") or ""
    job.status = tonumber(helper.read(base .. ".rc") or "")
    for _, ending in ipairs({ ".sh", ".out", ".err", ".rc" }) do os.remove(base .. ending) end
  end
end

return blocks
