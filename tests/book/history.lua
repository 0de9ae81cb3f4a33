-- history.lua - the book's files at any step, by name: history.at(n)["src/ch01.md"] is the file that holds that content.
--
-- Reads the unpacked archives (base/ and edits/NNN/) and copies nothing. Used by the tests, never by the workflow.
local history = {}
history.__index = history

local function lines(path)
  local list = {}
  for line in assert(io.open(path)):lines() do list[#list + 1] = line end
  return list
end

-- Names of all files below `folder`, relative to it, sorted.
function history.files(folder)
  local list = {}
  local pipe <close> = assert(io.popen(("cd '%s' && find . -type f | LC_ALL=C sort"):format(folder)))
  for line in pipe:lines() do list[#list + 1] = line:sub(3) end
  return list
end

function history.open(data)
  local self = setmetatable({ data = data, step = 0, tree = {} }, history)
  for _, name in ipairs(history.files(data .. "/base")) do self.tree[name] = data .. "/base/" .. name end
  return self
end

-- The tree at a step; belongs to the history until the next call. Going back starts anew.
function history:at(step)
  if step < self.step then
    local fresh = history.open(self.data)
    self.step, self.tree = 0, fresh.tree
  end
  while self.step < step do
    self.step = self.step + 1
    local folder = ("%s/edits/%03d"):format(self.data, self.step)
    for _, name in ipairs(lines(folder .. "/deleted")) do self.tree[name] = nil end
    for _, name in ipairs(lines(folder .. "/written")) do self.tree[name] = folder .. "/files/" .. name end
  end
  return self.tree
end

function history.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

return history
