-- generate.lua - one graph in the languages of weir, ninja, make and tup.
--
--   lua5.4 generate.lua GRAPH TOOL N DIR       writes sources and definition into DIR
--
-- TOOL is ninja, make, tup, or for weir: `weir` (commands as lists of words), `weir-sh` (shell texts), `weir-c` (effects in C), `weir-lua`.
-- A graph is a list of sources, a list of commands { rule, inputs, output } for the others, and a text in Lua for weir, which calls
-- copy(name, from, to), join(name, parts, to), filter(name, from, to) and tiny(params, inputs), whatever these are for the tool.
local generate = {}

local graphs = {}

local function source(n) return ("src/%04d/%07d.txt"):format(n // 100, n) end
local function copy(n) return ("out/%04d/%07d.txt"):format(n // 100, n) end

function generate.source(n) return source(n) end
function generate.copy(n) return copy(n) end

-- --- the graphs --------------------------------------------------------------------------------------------------------

-- N sources, N copies, a join per hundred, a root. The first source passes a filter that leaves lines with # out.
function graphs.files(count)
  local g = { sources = {}, commands = {}, root = "all.txt" }
  local joins = {}
  for n = 0, count - 1 do
    g.sources[n + 1] = { source(n), ("source %07d\n"):format(n) .. ("x"):rep(90) .. "\n" }
  end
  function g.fill()
    local add = function(rule, inputs, output) g.commands[#g.commands + 1] = { rule, inputs, output } end
    for n = 0, count - 1 do add(n == 0 and "filter" or "cp", { source(n) }, copy(n)) end
    for first = 0, count - 1, 100 do
      local parts = {}
      for n = first, math.min(first + 99, count - 1) do parts[#parts + 1] = copy(n) end
      joins[#joins + 1] = ("join/%04d.txt"):format(first // 100)
      add("cat", parts, joins[#joins])
    end
    add("cat", joins, "all.txt")
  end
  g.weir = [[
local groups, list = {}, {}
for n, file in ipairs(weir.glob "src/**/*.txt") do
  local group = file.path:match "^src/(%d+)/"
  local make = n == 1 and filter or copy
  local node = make("copy-" .. file.stem, file, "out/" .. group .. "/" .. file.stem .. ".txt")
  if not groups[group] then
    groups[group] = {}
    list[#list + 1] = group
  end
  table.insert(groups[group], node)
end
local joins = {}
for n, group in ipairs(list) do joins[n] = join("join-" .. group, groups[group], "join/" .. group .. ".txt") end
join("all", joins, "all.txt")
]]
  return g
end

-- Each node copies what the one before it made.
function graphs.chain(count)
  local g = { sources = { { "src/start.txt", "start\n" } }, commands = {} }
  function g.fill()
    for n = 1, count do g.commands[n] = { "cp", { n == 1 and "src/start.txt" or copy(n - 1) }, copy(n) } end
  end
  g.weir = ([[
local at = weir.file "src/start.txt"
for n = 1, %d do
  at = copy(("step-%%07d"):format(n), at, ("out/%%04d/%%07d.txt"):format(n // 100, n))
end
]]):format(count)
  return g
end

-- The same without files: each value is one more than the one before.
function graphs.steps(count)
  return { sources = { { "src/start.txt", "0\n" } }, weir = ([[
local at = filter("start", weir.file "src/start.txt", "out/start.txt")
for n = 1, %d do at = tiny({ id = n }, { above = at }) end
]]):format(count) }
end

-- One header, a filter of it, and many users of what the filter lets through.
function graphs.header(count)
  local g = { sources = { { "src/header.txt", "# remark\n1\n" } }, commands = {} }
  function g.fill()
    g.commands[1] = { "filter", { "src/header.txt" }, "out/header.txt" }
    for n = 0, count - 1 do g.commands[n + 2] = { "cp", { "out/header.txt" }, copy(n) } end
  end
  g.weir = ([[
local header = filter("filter", weir.file "src/header.txt", "out/header.txt")
for n = 0, %d do
  copy(("user-%%07d"):format(n), header, ("out/%%04d/%%07d.txt"):format(n // 100, n))
end
]]):format(count - 1)
  return g
end

-- The same with users that make a value and no file.
function graphs.users(count)
  return { sources = { { "src/header.txt", "# remark\n1\n" } }, weir = ([[
local header = filter("filter", weir.file "src/header.txt", "out/header.txt")
for n = 1, %d do tiny({ id = n }, { above = header }) end
]]):format(count) }
end

-- Nodes that data declares.
function graphs.expand(count)
  local rows = {}
  for n = 1, count do rows[n] = ('{"id":%d,"add":0}'):format(n) end
  return { sources = { { "rows.json", "[" .. table.concat(rows, ",\n") .. "]\n" } }, weir = [[
weir.expand "rows" {
  inputs = { data = weir.file "rows.json" },
  run = function(i)
    local list = {}
    for n, row in ipairs(i.data:json()) do list[n] = { effect = tiny_is, params = { id = row.id, add = row.add } } end
    return list
  end,
}
]] }
end

-- Nodes that need nothing and make a small value.
function graphs.values(count)
  return { sources = {}, weir = ([[
for n = 1, %d do tiny { id = n, add = 0 } end
tiny { id = "extra", add = 0 }
]]):format(count) }
end

-- Values of one size, which a named value decides.
function graphs.memo(count, size)
  return { sources = {}, weir = ([[
local salt = weir.value { name = "salt", default = "0" }
for n = 1, %d do weir.block "block" { params = { id = n, size = %d }, inputs = { salt = salt } } end
]]):format(count, size) }
end

-- One node over many; the last of them takes what is in a file. It reads only that one.
function graphs.fan(count)
  return { sources = { { "src/one.txt", "1\n" } }, weir = ([[
local all = {}
for n = 1, %d do all[n] = tiny { id = n } end
all[#all + 1] = tiny({ id = "one" }, { above = weir.file "src/one.txt" })
weir.last "fan" { inputs = { all = all } }
]]):format(count - 1) }
end

-- One command over files of a megabyte.
function graphs.large(count)
  local g = { sources = {} }
  local block = {}
  for n = 1, 4096 do block[n] = ("%08x"):format((n * 2654435761) & 0xffffffff) end
  local text = table.concat(block):rep(32)
  for n = 0, count - 1 do g.sources[n + 1] = { source(n), n .. text:sub(#tostring(n) + 1) } end
  g.weir = [[
weir.sh "count" { inputs = { all = weir.glob "src/**/*.txt" }, outputs = { to = "count.txt" }, cmd = { "touch", "{{to}}" } }
]]
  return g
end

-- --- the languages -----------------------------------------------------------------------------------------------------

local FILTER = "sed '/^#/d' %s > %s"

local function weir_functions(copy_body, join_body)
  return ([[
local weir = require "weir"
if weir.plugin and PLUGIN then weir.plugin "tiny.so" end
local function copy(name, from, to) return %s end
local function join(name, parts, to) return %s end
local function filter(name, from, to)
  return weir.sh(name) { inputs = { from = from }, outputs = { to = to }, cmd = "sed '/^#/d' {{from}} > {{to}}" }
end
local tiny_is = "tiny"
local function tiny(params, inputs) return weir.tiny "tiny" { params = params, inputs = inputs } end
]]):format(copy_body, join_body)
end

local prelude = {
  weir = weir_functions('weir.sh(name) { inputs = { from = from }, outputs = { to = to }, cmd = { "cp", "{{from}}", "{{to}}" } }',
    'weir.sh(name) { inputs = { parts = parts }, outputs = { to = to }, cmd = "cat {{parts}} > {{to}}" }'),
  ["weir-sh"] = weir_functions('weir.sh(name) { inputs = { from = from }, outputs = { to = to }, cmd = "cp {{from}} {{to}}" }',
    'weir.sh(name) { inputs = { parts = parts }, outputs = { to = to }, cmd = "cat {{parts}} > {{to}}" }'),
  ["weir-c"] = weir_functions("weir.copy(name) { inputs = { from = from }, outputs = { to = to } }",
    "weir.concat(name) { inputs = { parts = parts }, outputs = { to = to } }"),
  ["weir-lua"] = [[
local copy_one = weir.effect "copy_one" { run = function(i, o) o.to:write(i.from:read()) end }
local join_all = weir.effect "join_all" { run = function(i, o) for _, part in ipairs(i.parts) do o.to:write(part:read()) end end }
local first = weir.effect "first" { run = function(i) return 1 + i.add end }
local above_value = weir.effect "above_value" { run = function(i) return i.above.value + 1 end }
local above_text = weir.effect "above_text" { run = function(i) return tonumber((i.above:read())) + 1 end }
local counted = {}
local function one_more(name)
  return function(t)
    local node = (counted[t.inputs.above] and above_value or above_text)(name)(t)
    counted[node] = true
    return node
  end
end
]] .. weir_functions("copy_one(name) { inputs = { from = from }, outputs = { to = to } }",
    "join_all(name) { inputs = { parts = parts }, outputs = { to = to } }")
    :gsub('local weir = require "weir"\n', ""):gsub('weir.tiny "tiny"', '(inputs and one_more or first) "tiny"'):gsub('tiny_is = "tiny"', 'tiny_is = "first"'),
}
prelude["weir-lua"] = 'local weir = require "weir"\n' .. prelude["weir-lua"]

local writers = {}

function writers.ninja(g)
  local out = { "rule cp\n  command = cp $in $out\nrule cat\n  command = cat $in > $out\nrule filter\n  restat = 1\n  command = "
    .. FILTER:format("$in", "$out.new") .. " && { cmp -s $out.new $out && rm $out.new || mv $out.new $out; }\n" }
  for _, c in ipairs(g.commands) do out[#out + 1] = ("build %s: %s %s\n"):format(c[3], c[1], table.concat(c[2], " ")) end
  return "build.ninja", table.concat(out)
end

-- What ninja hashes a command to (MurmurHash64A), for a log that says: all of this was built.
local function ninja_hash(text)
  local factor, size = 0xc6a4a7935bd1e995, #text
  local hash = 0xdecafbaddecafbad ~ (size * factor)
  for at = 1, size - 7, 8 do
    local word = ("<i8"):unpack(text, at) * factor
    hash = (hash ~ (word ~ (word >> 47)) * factor) * factor
  end
  local rest = size % 8
  if rest > 0 then
    local word = 0
    for at = rest, 1, -1 do word = word << 8 | text:byte(size - rest + at) end
    hash = (hash ~ word) * factor
  end
  hash = (hash ~ (hash >> 47)) * factor
  return hash ~ (hash >> 47)
end

local function ninja_command(c)
  local from = table.concat(c[2], " ")
  if c[1] == "cp" then return ("cp %s %s"):format(from, c[3]) end
  if c[1] == "cat" then return ("cat %s > %s"):format(from, c[3]) end
  return FILTER:format(from, c[3] .. ".new") .. (" && { cmp -s %s.new %s && rm %s.new || mv %s.new %s; }"):format(c[3], c[3], c[3], c[3], c[3])
end

--- The definition alone, in a tree whose files are there.
function generate.define(graph, tool, count, dir)
  local g = graphs[graph](count)
  g.fill()
  local file <close> = assert(io.open(dir .. "/build.ninja", "w"))
  assert(tool == "ninja" and file:write((select(2, writers.ninja(g)))))
end

--- Outputs that somebody else made count as built by ninja from now on: a million processes would take longer than what is to be measured.
function generate.pretend_built(graph, count, dir)
  local g = graphs[graph](count)
  g.fill()
  local now, lines = os.time() * 1000000000, { "# ninja log v5\n" }
  for n, c in ipairs(g.commands) do lines[n + 1] = ("0\t1\t%d\t%s\t%x\n"):format(now, c[3], ninja_hash(ninja_command(c))) end
  local file <close> = assert(io.open(dir .. "/.ninja_log", "w"))
  assert(file:write(table.concat(lines)))
end

function writers.make(g)
  -- No implicit rules: make would look for many more files than there are.
  local out = { "MAKEFLAGS += -r\n.SUFFIXES:\n.PHONY: everything\neverything: ROOTS\n" }
  local texts = { cp = "cp $< $@", cat = "cat $^ > $@",
    filter = FILTER:format("$<", "$@.new") .. " && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }" }
  local made = {}
  for _, c in ipairs(g.commands) do
    out[#out + 1] = ("%s: %s\n\t%s\n"):format(c[3], table.concat(c[2], " "), texts[c[1]])
    made[#made + 1] = c[3]
  end
  out[1] = out[1]:gsub("ROOTS", g.root or table.concat(made, " "))
  return "Makefile", table.concat(out)
end

function writers.tup(g)
  local texts = { cp = "cp %f %o", cat = "cat %f > %o", filter = "^o^ " .. FILTER:format("%%f", "%%o"):gsub("%%%%", "%%") }
  local out = {}
  for _, c in ipairs(g.commands) do out[#out + 1] = (": %s |> %s |> %s\n"):format(table.concat(c[2], " "), texts[c[1]], c[3]) end
  return "Tupfile", table.concat(out)
end

local function write(dir, name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  assert(file:write(text))
end

local function make_folders(dir, paths)
  local seen, list = {}, {}
  for _, path in ipairs(paths) do
    local folder = path:match "^(.*)/"
    if folder and not seen[folder] then
      seen[folder] = true
      list[#list + 1] = ("%s/%s"):format(dir, folder)
    end
  end
  for n = 1, #list, 1000 do assert(os.execute("mkdir -p " .. table.concat(list, " ", n, math.min(n + 999, #list)))) end
end

-- `plugin`: tiny.so, for weir; nil: none.
function generate.write(graph, tool, count, dir, plugin, more)
  local g = graphs[graph](count, more)
  local paths = {}
  for n, s in ipairs(g.sources) do paths[n] = s[1] end
  make_folders(dir, paths)
  for _, s in ipairs(g.sources) do write(dir, s[1], s[2]) end
  if prelude[tool] then
    if plugin then assert(os.execute(("cp '%s' '%s/tiny.so'"):format(plugin, dir))) end
    write(dir, "weir.lua", (prelude[tool]:gsub("weir.plugin and PLUGIN", plugin and "true" or "false")) .. g.weir)
    return
  end
  g.fill()
  local name, text = writers[tool](g)
  local outputs = {}
  for n, c in ipairs(g.commands) do outputs[n] = c[3] end
  if tool ~= "tup" then make_folders(dir, outputs) end
  write(dir, name, text)
end

function generate.has(graph, tool)
  return prelude[tool] ~= nil or graphs[graph](1, 1).fill ~= nil
end

if arg and arg[0] and arg[0]:match "generate%.lua$" then
  local graph, tool, count, dir = table.unpack(arg)
  if not (dir and graphs[graph] and (prelude[tool] or writers[tool])) then
    io.stderr:write "usage: generate.lua GRAPH TOOL N DIR\n"
    os.exit(2)
  end
  generate.write(graph, tool, tonumber(count), dir)
end
return generate
