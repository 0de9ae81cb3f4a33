-- run.lua HERE WORK WEIR JSON [OPTION...] - the driver of run.sh: options, the machine, all workloads, the table, the budgets.

local here, work, weir, json_file = table.unpack(arg, 1, 4)
package.path = here .. "/?.lua;" .. package.path
local bench = require "bench"
local workloads = require "workloads"

local options = { first = 3, ["repeat"] = 7, limit = 600, json = json_file }

local function fail(text)
  io.stderr:write("run.sh: ", text, "\n")
  os.exit(2)
end

local function list_of(text)
  local list = {}
  for word in text:gmatch "[^,%s]+" do list[#list + 1] = word end
  return list
end

local at = 5
while arg[at] do
  local name = arg[at]:match "^%-%-(%l+)$"
  local value = arg[at + 1]
  if name == "quick" then
    options.quick, options.first, options["repeat"] = true, 1, 3
  elseif name == "huge" then
    options.huge = true
  elseif name == "list" then
    for _, w in ipairs(workloads) do print(("%-10s %s"):format(w.name, w.about)) end
    os.exit(0)
  elseif name == "only" or name == "sizes" or name == "tools" then
    options[name] = list_of(value or fail("--" .. name .. " needs a list"))
    at = at + 1
  elseif name == "first" or name == "repeat" or name == "limit" then
    options[name] = tonumber(value) or fail("--" .. name .. " needs a number")
    at = at + 1
  elseif name == "json" then
    options.json = value or fail "--json needs a file"
    at = at + 1
  else
    fail("unknown: " .. arg[at] .. " (see the top of run.sh)")
  end
  at = at + 1
end

local function chosen(names, name)
  if not names then return true end
  for _, n in ipairs(names) do
    if n == name then return true end
  end
  return false
end

for _, name in ipairs(options.only or {}) do
  local known = false
  for _, w in ipairs(workloads) do known = known or w.name == name end
  if not known then fail("no workload " .. name .. " (--list)") end
end

local b = bench.new { here = here, work = work, weir = weir, options = options }
b:print_machine()
for _, w in ipairs(workloads) do
  local left_out = not options.only and (options.quick and not w.quick or options.huge and not w.huge)
  if chosen(options.only, w.name) and not left_out then
    local sizes = options.quick and w.quick or options.huge and w.huge or w.sizes
    if options.sizes and w.sizes then
      sizes = {}
      for n, size in ipairs(options.sizes) do sizes[n] = tonumber(size) or fail("not a size: " .. size) end
    end
    for _, size in ipairs(sizes or { 0 }) do b:workload(w, size) end
  end
end
b:print_budgets()
b:write_json(options.json)
os.exit(b.bad and 1 or 0)
