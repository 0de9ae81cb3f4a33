-- bench.lua - what the workloads are made of: tools, folders, turns, measurements, the table, the budgets, the JSON.
local generate = require "generate"

local bench = {}
bench.__index = bench

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function first_line(command) return lines_of(command .. " 2>&1"):match "^[^\n]*" end

function bench.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

bench.quote, bench.read = quote, read

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

-- --- tools -------------------------------------------------------------------------------------------------------------

local VERSION = { ninja = "ninja --version", make = "make --version", tup = "tup --version" }
local RUN = {
  ninja = function(b) return "ninja --quiet -j " .. b.jobs end,
  make = function(b) return "make -s -j " .. b.jobs end,
  tup = function(b) return "tup --quiet -j" .. b.jobs end,
}

local function is_weir(tool) return tool:match "^weir" ~= nil end

local function why_absent(b, tool)
  if is_weir(tool) then return nil end
  if not os.execute("command -v " .. tool .. " > /dev/null") then return "not installed" end
  if tool ~= "tup" then return nil end
  if not os.execute "command -v fusermount3 > /dev/null && [ -w /dev/fuse ]" then return "needs FUSE" end
  if b.system == "tmpfs" then return "sees no edits on tmpfs; set TMPDIR" end
end

function bench.new(b)
  setmetatable(b, bench)
  b.jobs = tonumber(first_line "nproc")
  b.system = first_line("stat -f -c %T " .. quote(b.work))
  b.measure = b.work .. "/measure"
  b.floor_program = read(b.work .. "/floor") and b.work .. "/floor"
  b.results, b.budgets, b.absent = {}, {}, {}
  b.tools = {}
  for _, tool in ipairs(b.options.tools or { "weir", "weir-sh", "weir-c", "weir-lua", "ninja", "make", "tup" }) do
    local why = why_absent(b, tool)
    if why then b.absent[#b.absent + 1] = tool .. ": " .. why else b.tools[#b.tools + 1] = tool end
  end
  b.machine = {
    cores = b.jobs, load = read "/proc/loadavg":match "^%S+ %S+ %S+", kernel = first_line "uname -r", file_system = b.system,
    weir = first_line(quote(b.weir) .. " --version"), versions = {},
  }
  for _, tool in ipairs(b.tools) do
    if VERSION[tool] then b.machine.versions[tool] = first_line(VERSION[tool]) end
  end
  return b
end

function bench:print_machine()
  local m = self.machine
  print(("%s, %d cores, load %s, kernel %s, file system %s"):format(m.weir, m.cores, m.load, m.kernel, m.file_system))
  for _, tool in ipairs(self.tools) do
    if m.versions[tool] then print(("%-8s %s"):format(tool, m.versions[tool])) end
  end
  for _, text in ipairs(self.absent) do print("left out: " .. text) end
end

-- The command of a tool; `more`: arguments for weir.
function bench:command(tool, more)
  if is_weir(tool) then return ("%s run -j %d %s"):format(quote(self.weir), self.jobs, more or "") end
  return RUN[tool](self)
end

-- --- folders -----------------------------------------------------------------------------------------------------------

function bench:folder(tool) return ("%s/%s-%s-%d"):format(self.work, tool, self.current.name, self.size) end

local function unmount(dir)
  os.execute(("grep -q ' %s/.tup/mnt ' /proc/mounts && { umount -l %s/.tup/mnt || fusermount3 -uz %s/.tup/mnt; } 2> /dev/null"):format(dir, dir, dir))
end

-- Back to a tree that was never built. Folders that the tool does not make itself stay.
function bench:forget(tool)
  local dir = self:folder(tool)
  if tool == "tup" then unmount(dir) end
  os.execute(("cd %s && rm -rf .weir .tup .ninja_log .ninja_deps all.txt count.txt"):format(dir))
  if tool == "ninja" or tool == "make" then
    os.execute(("cd %s && for d in out join; do [ ! -d $d ] || find $d -type f -delete; done"):format(dir))
  else
    os.execute(("cd %s && rm -rf out join"):format(dir))
  end
  if tool == "tup" then os.execute(("cd %s && tup init > /dev/null 2>&1"):format(dir)) end
end

-- --- measuring ---------------------------------------------------------------------------------------------------------

local function cell(b, case, tool)
  local key = ("%s %d"):format(b.current.name, b.size)
  local set = b.results[key] or { workload = b.current.name, size = b.size, cases = {}, order = {} }
  b.results[key] = set
  if not set.cases[case] then
    set.cases[case] = {}
    set.order[#set.order + 1] = case
  end
  local got = set.cases[case][tool] or { tool = tool, wall = {}, cpu = {}, memory = 0 }
  set.cases[case][tool] = got
  return got
end

local function failed(b, what, tool)
  b.bad = true
  b.out[tool] = true
  print("FAILED: " .. what)
  io.write((read(b.work .. "/messages") or ""):sub(-600), "\n")
end

-- One command in a folder: wall seconds, or nil. `counted`: traced and not timed.
function bench:time(case, tool, dir, command, counted)
  local line_file = self.work .. "/line"
  os.remove(line_file)
  local whole = ("cd %s && timeout -k 5 %d %s %s %s %s 2> %s"):format(quote(dir), self.options.limit, self.measure,
    counted and "-c" or "", line_file, command, self.work .. "/messages")
  local ok = os.execute(whole)
  local line = read(line_file)
  if not ok or not line then return failed(self, ("%s, %s: %s"):format(case, tool, command), tool) end
  local wall, cpu, memory, _, processes, threads, tree = line:match "^(%S+) (%S+) (%d+) (%d+) ?(%d*) ?(%d*) ?(%d*)"
  local got = cell(self, case, tool)
  if counted then
    got.processes, got.threads, got.tree = tonumber(processes), tonumber(threads), tonumber(tree) / 1024
    return
  end
  got.wall[#got.wall + 1], got.cpu[#got.cpu + 1] = tonumber(wall), tonumber(cpu)
  got.memory = math.max(got.memory, tonumber(memory) / 1024)
  return tonumber(wall)
end

-- What --stats said: counts of the last run, the least times of all.
local function take_counters(b, got)
  local before = got.counters or {}
  got.counters = {}
  for name, value in (read(b.work .. "/messages") or ""):gmatch "\n?  (%l[%l ]-) +(%d+)%f[\n\0]" do
    name, value = name:gsub(" ", "_"), tonumber(value)
    got.counters[name] = name:match "_us$" and math.min(value, before[name] or value) or value
  end
end

function bench:floor(case, arguments)
  if not self.floor_program then return end
  local wall = self:time(case, "floor", self.work, self.floor_program .. " " .. arguments)
  return wall
end

-- The tools that take part in the current workload.
function bench:taking(list)
  local taking = {}
  for _, tool in ipairs(self.tools) do
    local named = not list
    for _, name in ipairs(list or {}) do named = named or name == tool end
    if named and not self.out[tool] and generate.has(self.current.graph, tool) then taking[#taking + 1] = tool end
  end
  return taking
end

-- Folders of all that take part.
function bench:generate(tools, more)
  for _, tool in ipairs(tools) do
    local dir = self:folder(tool)
    assert(os.execute("mkdir -p " .. quote(dir)))
    generate.write(self.current.graph, tool, self.size, dir, self.current.plugin and self.work .. "/tiny.so", more)
  end
end

function bench:remove(tools)
  for _, tool in ipairs(tools) do
    if tool == "tup" then unmount(self:folder(tool)) end
    os.execute("rm -rf " .. quote(self:folder(tool)))
  end
end

--[[
  One case, the tools in turn. `turn.before(dir, tool, number)` changes the tree; `turn.times`; `turn.more` arguments for weir (a text or
  function(number)); `turn.count` false: without the traced run.
]]
function bench:turns(case, tools, turn)
  local function more(number) return type(turn.more) == "function" and turn.more(number) or turn.more or "" end
  local function once(tool, number, counted)
    if self.out[tool] or (counted and tool == "tup") then return end -- tup waits for ever when it is traced
    local dir = self:folder(tool)
    os.execute "sleep 0.02" -- later than the last outputs, for tools that go by time
    if turn.before then turn.before(dir, tool, number) end
    if turn.quiet then
      os.execute(("cd %s && %s > /dev/null 2>&1"):format(quote(dir), self:command(tool, more(number))))
      return
    end
    local command = self:command(tool, more(number) .. (is_weir(tool) and " -q --stats" or ""))
    self:time(case, tool, dir, command, counted)
    if is_weir(tool) and not counted then take_counters(self, cell(self, case, tool)) end
  end
  for number = 1, turn.times or self.options["repeat"] do
    for _, tool in ipairs(tools) do once(tool, number) end
  end
  for _, tool in ipairs(turn.count ~= false and not turn.quiet and tools or {}) do once(tool, (turn.times or self.options["repeat"]) + 1, true) end
end

-- Smallest of what was measured; `what` is "wall" or "cpu".
function bench:least(case, tool, what)
  local set = self.results[("%s %d"):format(self.current.name, self.size)]
  local got = set and set.cases[case] and set.cases[case][tool]
  return got and #got.wall > 0 and math.min(table.unpack(got[what or "wall"])) or nil
end

function bench:cell(case, tool)
  local set = self.results[("%s %d"):format(self.current.name, self.size)]
  return set and set.cases[case] and set.cases[case][tool]
end

-- Is `path` the same file in all folders?
function bench:same(case, tools, path)
  for n = 2, #tools do
    local one, other = self:folder(tools[1]) .. "/" .. path, self:folder(tools[n]) .. "/" .. path
    if not self.out[tools[1]] and not self.out[tools[n]] and not os.execute(("cmp -s %s %s"):format(one, other)) then
      failed(self, ("%s: %s of %s and %s differ"):format(case, path, tools[1], tools[n]), tools[n])
    end
  end
end

-- --- budgets -----------------------------------------------------------------------------------------------------------

-- One line of section 11: `value` (nil: could not be measured) must be at most `most`, or with `least` at least that.
function bench:budget(id, text, value, limit, unit, least)
  if not value then return end
  local met
  if least then met = value >= limit else met = value <= limit end
  self.budgets[#self.budgets + 1] = { id = id, text = text, size = self.size, value = value, limit = limit, unit = unit or "", met = met,
    bound = least and "at least" or "at most", indication = self.current.judged and self.size < self.current.judged }
end

-- The ratio of two least times.
function bench:ratio(id, text, value, base, limit)
  if value and base and base > 0 then self:budget(id, text, value / base, limit) end
end

-- The same of two cases, with the ratio of their processor times beside it: on a machine that others use it says more.
function bench:compare(id, text, case, tool, base_case, base_tool, limit)
  local before = #self.budgets
  self:ratio(id, text, self:least(case, tool), self:least(base_case, base_tool), limit)
  local cpu, base = self:least(case, tool, "cpu"), self:least(base_case, base_tool, "cpu")
  if #self.budgets > before and base and base > 0 then self.budgets[#self.budgets].cpu = cpu / base end
end

local function short(number)
  if number >= 1000 then return ("%.0f"):format(number) end
  return ("%.3g"):format(number)
end

function bench:print_budgets()
  print "\nBudgets (section 11 of the design)"
  for _, g in ipairs(self.budgets) do
    local cpu = g.cpu and (" (processor time %s)"):format(short(g.cpu)) or ""
    print(("%-4s %9d  %-58s %9s%s%s, %s %s%s: %s"):format(g.id, g.size, g.text, short(g.value), g.unit, cpu, g.bound, short(g.limit), g.unit,
      g.indication and "(a smaller case than the budget's)" or g.met and "met" or "MISSED"))
  end
  print("\nload at the end " .. read "/proc/loadavg":match "^%S+ %S+ %S+")
end

-- --- output ------------------------------------------------------------------------------------------------------------

local function print_case(set, case, order)
  local base = set.cases[case].ninja
  print(("\n%s, %d: %s\n%-9s %4s %10s %10s %9s %9s %8s %8s %9s %7s"):format(set.workload, set.size, case, "tool", "runs", "median s",
    "minimum s", "of ninja", "CPU s", "MiB", "all MiB", "processes", "threads"))
  for _, tool in ipairs(order) do
    local got = set.cases[case][tool]
    if got and #got.wall > 0 then
      local least = math.min(table.unpack(got.wall))
      local ratio = base and #base.wall > 0 and ("%.2f"):format(least / math.min(table.unpack(base.wall))) or "-"
      print(("%-9s %4d %10.4f %10.4f %9s %9.3f %8.1f %8s %9s %7s"):format(tool, #got.wall, median(got.wall), least, ratio,
        math.min(table.unpack(got.cpu)), got.memory, got.tree and ("%.1f"):format(got.tree) or "-", got.processes or "-", got.threads or "-"))
    end
  end
end

function bench:workload(w, size)
  self.current, self.size, self.out = w, size, {}
  local wanted = w.tools
  if type(wanted) == "function" then wanted = wanted(size) end
  local tools = self:taking(wanted)
  local ok, message = xpcall(w.run, debug.traceback, self, tools, size)
  if not ok then
    self.bad = true
    print(("FAILED: %s, %d: %s"):format(w.name, size, message))
  end
  self:remove(tools)
  local set = self.results[("%s %d"):format(w.name, size)]
  local order = { "weir", "weir-sh", "weir-c", "weir-lua", "ninja", "make", "tup", "floor" }
  for _, case in ipairs(set and set.order or {}) do print_case(set, case, order) end
end

local function encode(value)
  if type(value) == "table" then
    local parts = {}
    if #value > 0 then
      for n, v in ipairs(value) do parts[n] = encode(v) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    local names = {}
    for name in pairs(value) do names[#names + 1] = name end
    table.sort(names)
    for n, name in ipairs(names) do parts[n] = encode(tostring(name)) .. ":" .. encode(value[name]) end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  if type(value) == "string" then return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"' end
  return tostring(value)
end

function bench:write_json(path)
  local sets = {}
  for _, set in pairs(self.results) do sets[#sets + 1] = { workload = set.workload, size = set.size, cases = set.cases } end
  table.sort(sets, function(x, y) return x.workload < y.workload or (x.workload == y.workload and x.size < y.size) end)
  self.machine.load_at_end = read "/proc/loadavg":match "^%S+ %S+ %S+"
  bench.write(path, encode { machine = self.machine, results = sets, budgets = self.budgets } .. "\n")
  print("written: " .. path)
end

return bench
