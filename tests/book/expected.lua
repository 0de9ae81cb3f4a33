-- expected.lua DATA RENDER LAYOUT OUT STEP... - the exact set of executions that each step needs, worked out from the files.
--
-- Follows weir's promises and nothing else: an effect runs only if the content it reads has not been read before by the
-- same effect with the same params, in this or any earlier step of the list (then the result is kept or restored). So
-- what a node reads is looked up in all that was ever read; whatever is not there must run, whatever is there must not.
-- Writes OUT/STEP-nth.expected (sorted names) and OUT/STEP-nth.nodes (how many nodes there are: what a rebuild runs).
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path
local history = require "history"
local model = require "model"

local data, render, layout, out = arg[1], arg[2], arg[3], arg[4]
local world = model.world(data, render, history.read(layout))

local numbers, count = {}, 0
local function number(text)
  if not numbers[text] then
    count = count + 1
    numbers[text] = count
  end
  return numbers[text]
end

local function signature(node)
  local parts = { node.effect, node.params }
  for _, read in ipairs(node.reads) do
    -- The names of nodes are not part of what is read; the path of a file is.
    parts[#parts + 1] = read[2] == "value" and "" or read[1]
    parts[#parts + 1] = read[2] .. number(read[3])
  end
  return table.concat(parts, "\0")
end

local function write(name, text)
  local file <close> = assert(io.open(out .. "/" .. name, "w"))
  assert(file:write(text))
end

local seen = {}
for position = 5, #arg do
  local names, total = {}, 0
  local fresh = {}
  for name, node in pairs(world.nodes(tonumber(arg[position]))) do
    local key = signature(node)
    total = total + 1
    if not seen[key] then names[#names + 1] = name end
    fresh[#fresh + 1] = key
  end
  for _, key in ipairs(fresh) do seen[key] = true end
  table.sort(names)
  local stem = ("%s-%d"):format(arg[position], position - 4)
  write(stem .. ".expected", #names > 0 and table.concat(names, "\n") .. "\n" or "")
  write(stem .. ".nodes", total .. "\n")
end
