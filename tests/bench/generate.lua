-- generate.lua TOOL N DIR - the graph of copy_concat.sh in the language of one tool.
--
-- N sources src/xx/n.txt, each copied to out/xx/n.txt, a hundred copies joined into join/xx.txt, all joins into all.txt.
local tool, count, dir = arg[1], tonumber(arg[2]), arg[3]
local groups = (count + 99) // 100

local function write(name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  assert(file:write(text))
end

local function source(n) return ("src/%03d/%06d.txt"):format(n // 100, n) end
local function copy(n) return ("out/%03d/%06d.txt"):format(n // 100, n) end
local function join(g) return ("join/%03d.txt"):format(g) end

local function each_copy(make)
  local list = {}
  for n = 0, count - 1 do list[#list + 1] = make(source(n), copy(n)) end
  return table.concat(list)
end

local function each_join(make)
  local list = {}
  for g = 0, groups - 1 do
    local parts = {}
    for n = g * 100, math.min(g * 100 + 99, count - 1) do parts[#parts + 1] = copy(n) end
    list[#list + 1] = make(table.concat(parts, " "), join(g))
  end
  return table.concat(list)
end

local function joins()
  local list = {}
  for g = 0, groups - 1 do list[#list + 1] = join(g) end
  return table.concat(list, " ")
end

local writers = {}

function writers.ninja()
  write("build.ninja", "rule cp\n  command = cp $in $out\nrule cat\n  command = cat $in > $out\n"
    .. each_copy(function(from, to) return ("build %s: cp %s\n"):format(to, from) end)
    .. each_join(function(from, to) return ("build %s: cat %s\n"):format(to, from) end)
    .. ("build all.txt: cat %s\ndefault all.txt\n"):format(joins()))
end

function writers.make()
  -- No implicit rules: make would look for many more files than there are.
  write("Makefile", "MAKEFLAGS += -r\n.SUFFIXES:\nall.txt: " .. joins() .. "\n\tcat $^ > $@\n"
    .. each_copy(function(from, to) return ("%s: %s\n\tcp $< $@\n"):format(to, from) end)
    .. each_join(function(from, to) return ("%s: %s\n\tcat $^ > $@\n"):format(to, from) end))
end

function writers.tup()
  write("Tupfile", each_copy(function(from, to) return (": %s |> cp %%f %%o |> %s\n"):format(from, to) end)
    .. each_join(function(from, to) return (": %s |> cat %%f > %%o |> %s\n"):format(from, to) end)
    .. (": %s |> cat %%f > %%o |> all.txt\n"):format(joins()))
end

-- The same graph as commands, and as effects in C. (weir.copy takes no params of ours, so the number is in the node's name.)
local head = [[
local weir = require "weir"
local groups, list = {}, {}
for _, file in ipairs(weir.glob "src/**/*.txt") do
  local group = file.path:match "^src/(%d+)/"
  local node = COPY("copy-" .. file.stem) { inputs = { from = file },
    outputs = { to = "out/" .. group .. "/" .. file.stem .. ".txt" }, CP }
  if not groups[group] then
    groups[group] = {}
    list[#list + 1] = group
  end
  table.insert(groups[group], node)
end
local joins = {}
for n, group in ipairs(list) do
  joins[n] = CONCAT("join-" .. group) { inputs = { parts = groups[group] },
    outputs = { to = "join/" .. group .. ".txt" }, CAT }
end
CONCAT "all" { inputs = { parts = joins }, outputs = { to = "all.txt" }, CAT }
]]

local function workflow(names) write("weir.lua", (head:gsub("%u+", names))) end

function writers.weir()
  workflow { COPY = "weir.sh", CONCAT = "weir.sh", CP = 'cmd = { "cp", "{{from}}", "{{to}}" }',
    CAT = 'cmd = "cat {{parts}} > {{to}}"' }
end

writers["weir-c"] = function()
  workflow { COPY = "weir.copy", CONCAT = "weir.concat", CP = "", CAT = "" }
end

local folders = {}
for g = 0, groups - 1 do folders[#folders + 1] = ("%s/src/%03d"):format(dir, g) end
for g = 0, groups - 1, 500 do
  os.execute("mkdir -p " .. table.concat(folders, " ", g + 1, math.min(g + 500, groups)))
end
for n = 0, count - 1 do write(source(n), ("source %06d\n"):format(n) .. ("x"):rep(90) .. "\n") end
-- The others expect these to be there.
if tool == "ninja" or tool == "make" then
  os.execute(("cd %s && mkdir -p join && find src -mindepth 1 -type d | sed 's/^src/out/' | xargs mkdir -p"):format(dir))
end
writers[tool]()
