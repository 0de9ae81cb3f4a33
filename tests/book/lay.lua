-- lay.lua DATA TREE STEP - makes src/ and listings/ in TREE what they are at STEP, forwards or backwards.
--
-- Writes only the files that differ, so that all others keep their times; removes folders that became empty.
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path
local history = require "history"

local data, tree, step = arg[1], arg[2], tonumber(arg[3])
local wanted = history.open(data):at(step)

local function content(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function write(path, text)
  local file = io.open(path, "wb")
  if not file then
    os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/"))
    file = assert(io.open(path, "wb"))
  end
  assert(file:write(text))
  assert(file:close())
end

local function remove(path)
  assert(os.remove(path))
  local folder = path:match "^(.*)/"
  while #folder > #tree and os.remove(folder) do folder = folder:match "^(.*)/" end
end

for _, top in ipairs { "src", "listings" } do
  local folder = tree .. "/" .. top
  os.execute(("mkdir -p '%s'"):format(folder))
  for _, name in ipairs(history.files(folder)) do
    if not wanted[top .. "/" .. name] then remove(folder .. "/" .. name) end
  end
end
local names = {}
for name in pairs(wanted) do
  if name:find "^src/" or name:find "^listings/" then names[#names + 1] = name end
end
table.sort(names)
for _, name in ipairs(names) do
  local text = history.read(wanted[name])
  if content(tree .. "/" .. name) ~= text then write(tree .. "/" .. name, text) end
end
