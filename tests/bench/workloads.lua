-- workloads.lua - what is measured, and which budgets it speaks about. See bench.lua for what `b` offers.
local bench = require "bench"
local generate = require "generate"

local list = {}
local function workload(w)
  w.graph = w.graph or w.name
  list[#list + 1] = w
end

local function append(path, text)
  local file <close> = assert(io.open(path, "a"))
  assert(file:write(text))
end

local function has(tools, name)
  for _, tool in ipairs(tools) do
    if tool == name then return true end
  end
  return false
end

local function without(tools, ...)
  local left = {}
  for _, tool in ipairs(tools) do
    if not has({ ... }, tool) then left[#left + 1] = tool end
  end
  return left
end

-- A list "FROM TO" for the floors, with folders for TO.
local function copy_list(b, dir, count)
  local lines, folders = {}, {}
  for n = 0, count - 1 do
    lines[#lines + 1] = ("%s/%s %s/floor-%s"):format(dir, generate.source(n), b.work, generate.copy(n))
    if n % 100 == 0 then folders[#folders + 1] = ("%s/floor-%s"):format(b.work, generate.copy(n):match "^(.*)/") end
  end
  for n = 1, #folders, 1000 do os.execute("mkdir -p " .. table.concat(folders, " ", n, math.min(n + 999, #folders))) end
  bench.write(b.work .. "/list", table.concat(lines, "\n") .. "\n")
  return b.work .. "/list"
end

local function drop_copies(b) os.execute(("rm -rf %s/floor-out"):format(b.work)) end

-- Bytes of the database by what they are for; nil without the floors. Payloads (outputs themselves) and caches are no part of the budget.
local CACHE = { payload = true }
local function stored_bytes(b, dir)
  if not b.floor_program then return nil end
  local state, cache, all = 0, 0, {}
  local pipe <close> = io.popen(("%s tables %s/.weir/weir.db"):format(b.floor_program, dir))
  for line in pipe:lines() do
    local owner, name, bytes = line:match "^(%S+) (%S+) (%d+)$"
    if CACHE[owner] or owner:match "^cache" then cache = cache + bytes else state = state + bytes end
    all[name] = tonumber(bytes)
  end
  return state, cache, all
end

-- --- files -------------------------------------------------------------------------------------------------------------

local function edit_source(count, text)
  return function(dir, _, number)
    append(("%s/%s"):format(dir, generate.source((number * 701 + 1) % (count - 1) + 1)), text .. number .. "\n")
  end
end

local function files_floors(b, tools, count)
  if not has(tools, "weir") and not has(tools, "weir-c") then return end
  local from = copy_list(b, b:folder(tools[1]), count)
  for _ = 1, 3 do b:floor("copy loop", "copy " .. from) end
  if count <= 10000 then
    for _ = 1, b.options.first do b:floor("spawn loop", ("spawn %s %d"):format(from, b.jobs)) end
    if has(tools, "weir-sh") then
      for _ = 1, b.options.first do b:floor("sh -c loop", ("shell %s %d"):format(from, b.jobs)) end
    end
  end
  drop_copies(b)
end

-- A million processes of ninja take longer than what is to be measured: it is given what weir made, and a log that says it was ninja.
local function as_built(b, from, to, count)
  local of, dir = b:folder(from), b:folder(to)
  assert(os.execute(("cp -r %s/out %s/join %s/all.txt %s/"):format(of, of, of, dir)))
  generate.pretend_built("files", count, dir)
end

local S1 = { [10000] = 0.4, [100000] = 0.25, [1000000] = 0.25 }
local S3 = { [10000] = 0.4, [100000] = 0.3, [1000000] = 0.25 }

local function files_budgets(b, count)
  b:compare("S1", "no-op, of ninja's", "no-op", "weir-c", "no-op", "ninja", S1[count] or 0.4)
  b:ratio("S1", "no-op, of ninja's processor time", b:least("no-op", "weir-c", "cpu"), b:least("no-op", "ninja", "cpu"), 0.8)
  local cell = b:cell("no-op", "weir-c")
  if cell and count >= 1000000 then
    b:budget("S1", "no-op, memory", cell.memory, 64, " MiB")
    b:compare("S3", "one edit, C effects, of what ninja takes to do nothing", "edit", "weir-c", "no-op", "ninja", 0.25)
  end
  -- Three processes in a row take what three shells take; the rest is the tool's own.
  local three = b:least("three shells", "floor")
  local own = three and b:least("edit", "ninja") and b:least("edit", "ninja") - three
  b:ratio("S3", "one edit, C effects, of ninja's without its processes", b:least("edit", "weir-c"), own, S3[count] or 0.4)
  local weir = three and b:least("edit", "weir") and b:least("edit", "weir") - three
  b:ratio("S3", "one edit, commands, both without the processes", weir, own, S3[count] or 0.4)
  b:compare("S5", "first build, commands as words, of the bare spawn loop", "first", "weir", "spawn loop", "floor", 1.10)
  b:compare("S5", "first build, shell texts, of the bare sh -c loop", "first", "weir-sh", "sh -c loop", "floor", 1.10)
  b:compare("S6", "first build with C effects, of ninja with cp", "first", "weir-c", "first", "ninja", 0.1)
  b:compare("S6", "first build with C effects, of a copy loop in C", "first", "weir-c", "copy loop", "floor", 3)
end

workload {
  name = "files", judged = 10000, about = "N sources, N copies, a join per hundred, a root: first build, nothing, edit, touch, an edit with equal output",
  sizes = { 1000, 10000, 100000 }, quick = { 1000 }, huge = { 1000000 },
  tools = function(count)
    if count >= 1000000 then return { "weir-c", "ninja" } end
    if count > 10000 then return { "weir-c", "ninja", "make" } end
  end,
  run = function(b, tools, count)
    b:generate(tools)
    files_floors(b, tools, count)
    local building = count >= 1000000 and without(tools, "ninja") or tools
    b:turns("first", building, { times = count > 10000 and 1 or b.options.first, count = count <= 1000, before = function(_, tool) b:forget(tool) end })
    if #building < #tools then as_built(b, "weir-c", "ninja", count) end
    b:same("first", tools, "all.txt")
    b:turns("warm-up", tools, { times = 1, quiet = true })
    b:turns("no-op", tools, {})
    -- With a million the command of the root is longer than the kernel takes from a shell: ninja can only say that nothing is to be done.
    local editing = building
    b:turns("edit", editing, { before = edit_source(count, "edit ") })
    b:turns("touch", editing, { before = function(dir, _, number)
      os.execute(("touch %s/%s"):format(dir, generate.source((number * 503 + 1) % (count - 1) + 1)))
    end })
    b:turns("equal", editing, { before = function(dir, _, number) append(("%s/%s"):format(dir, generate.source(0)), "# remark " .. number .. "\n") end })
    b:same("edits", editing, "all.txt")
    if b.floor_program then
      bench.write(b.work .. "/list", ("%s/list %s/one\n"):format(b.work, b.work):rep(3))
      for _ = 1, 5 do b:floor("three shells", ("shell %s/list 1"):format(b.work)) end
    end
    files_budgets(b, count)
  end,
}

workload {
  name = "store", judged = 10000, graph = "files", about = "bytes in the database per node after a first build, and per execution in 100 edits",
  sizes = { 10000 }, quick = { 1000 }, tools = { "weir-c" },
  run = function(b, tools, count)
    b:generate(tools)
    local tool = tools[1]
    if not tool then return end
    local dir = b:folder(tool)
    b:turns("first", tools, { times = 1, before = function(_, t) b:forget(t) end })
    b:turns("settling", tools, { times = 2, quiet = true }) -- signatures of the outputs
    local before = stored_bytes(b, dir)
    local executions = 0
    b:turns("hundred edits", tools, { times = 100, quiet = true, before = function(d, t, number)
      edit_source(count, "edit ")(d, t, number)
      executions = executions + 3
    end })
    local after, cache, all = stored_bytes(b, dir)
    if not before then return end
    local nodes = count + count // 100 + 1
    b:budget("S12", "bytes in the database per node (1 input, 1 output)", before / nodes, 500)
    b:budget("S12", "bytes per further execution", (after - before) / executions, 480)
    local cell = b:cell("first", tool)
    cell.tables, cell.cache_bytes, cell.state_bytes = all, cache, before
  end,
}

-- --- chains, headers ---------------------------------------------------------------------------------------------------

workload {
  name = "chain", judged = 10000, about = "N nodes, each after the one before it, with files",
  sizes = { 10000 }, quick = { 1000 },
  tools = function(count) if count > 1000 then return { "weir", "weir-c", "ninja", "make" } end end,
  run = function(b, tools, count)
    b:generate(tools)
    local times = count > 1000 and 1 or b.options.first
    if b.floor_program then
      local lines = {}
      for n = 1, count do lines[n] = ("%s/%s %s/one"):format(b:folder(tools[1]), "src/start.txt", b.work) end
      bench.write(b.work .. "/list", table.concat(lines, "\n") .. "\n")
      for _ = 1, times do b:floor("sequential loop", ("spawn %s/list 1"):format(b.work)) end
    end
    b:turns("first", tools, { times = times, count = false, before = function(_, tool) b:forget(tool) end })
    b:same("first", tools, generate.copy(count))
    b:turns("no-op", tools, { times = 3 })
    b:turns("edit", without(tools, "weir", "weir-sh", "ninja", "make", "tup"), { times = 3, before = function(dir, _, number)
      bench.write(dir .. "/src/start.txt", "start " .. number .. "\n")
    end })
    b:compare("S9", "chain of commands, of the bare sequential loop", "first", "weir", "sequential loop", "floor", 1.05)
    if count == 10000 then b:budget("S9", "chain of files by C effects, after an edit", b:least("edit", "weir-c"), 1.2, " s") end
  end,
}

workload {
  name = "steps", about = "the chain without files: values, C and Lua", sizes = { 10000 }, quick = { 1000 }, tools = { "weir-c", "weir-lua" }, plugin = true,
  run = function(b, tools, count)
    b:generate(tools)
    b:turns("first", tools, { times = b.options.first, before = function(_, tool) b:forget(tool) end })
    b:turns("edit", tools, { times = 3, before = function(dir, _, number) bench.write(dir .. "/src/start.txt", number .. "\n") end })
    if count == 10000 then b:budget("S9", "chain of values, after an edit", b:least("edit", "weir-c"), 0.5, " s") end
  end,
}

local function header_edits(b, tools)
  b:turns("no-op", tools, {})
  b:turns("remark in the header", tools, { before = function(dir, _, number) append(dir .. "/src/header.txt", "# remark " .. number .. "\n") end })
end

workload {
  name = "header", about = "one header under N copies, with a filter right above them: an edit that the filter stops",
  sizes = { 10000, 100000 }, quick = { 1000 },
  tools = function(count) return count > 10000 and { "weir-c", "ninja", "make" } or { "weir", "weir-c", "ninja", "make", "tup" } end,
  run = function(b, tools, count)
    b:generate(tools)
    b:turns("first", tools, { times = 1, count = false, before = function(_, tool) b:forget(tool) end })
    b:same("first", tools, generate.copy(count - 1))
    b:turns("warm-up", tools, { times = 1, quiet = true })
    header_edits(b, tools)
  end,
}

workload {
  name = "users", judged = 100000, about = "the same with users that make values, at sizes that no peer reaches", sizes = { 100000 }, quick = { 10000 },
  tools = { "weir-c" }, plugin = true,
  run = function(b, tools, count)
    b:generate(tools)
    b:turns("first", tools, { times = 1, count = false, before = function(_, tool) b:forget(tool) end })
    header_edits(b, tools)
    local edit, noop = b:least("remark in the header", "weir-c"), b:least("no-op", "weir-c")
    if edit and noop then b:budget("S8", "header, behind a cutoff: edit less no-op", (edit - noop) * 1000, 50, " ms") end
    local cell = b:cell("remark in the header", "weir-c")
    if cell and cell.counters then b:budget("S8", "nodes visited", cell.counters.nodes_visited or 0, 1) end
  end,
}

workload {
  name = "fan", judged = 10000, about = "one node over N values that reads one of them", sizes = { 1000, 100000 }, quick = { 1000, 10000 }, tools = { "weir-c" }, plugin = true,
  run = function(b, tools, count)
    b:generate(tools)
    b:turns("first", tools, { times = 1, count = false, before = function(_, tool) b:forget(tool) end })
    b:turns("no-op", tools, {})
    b:turns("one member changed", tools, { before = function(dir, _, number) bench.write(dir .. "/src/one.txt", number .. "1\n") end })
    local edit, noop = b:least("one member changed", "weir-c"), b:least("no-op", "weir-c")
    b.fan = b.fan or {}
    if edit and noop then b.fan[count] = edit - noop end
    local small = b.fan[1000]
    if count > 1000 and small then b:budget("S17", "one member changed: of the time with 1,000 members", b.fan[count] / small, 3) end
    local cell = b:cell("one member changed", "weir-c")
    if cell and cell.counters then b:budget("S17", "nodes loaded", cell.counters.nodes_loaded, 10) end
  end,
}

-- --- many small nodes --------------------------------------------------------------------------------------------------

local function change_row(count)
  return function(dir, _, number)
    local text = bench.read(dir .. "/rows.json")
    local id = (number * 7919) % count + 1
    text = text:gsub(('{"id":%d,"add":%%d+}'):format(id), ('{"id":%d,"add":%d}'):format(id, number), 1)
    bench.write(dir .. "/rows.json", text)
  end
end

workload {
  name = "expand", about = "N nodes declared by data, one row changed", sizes = { 10000, 100000 }, quick = { 10000 }, tools = { "weir-c", "weir-lua" }, plugin = true,
  run = function(b, tools, count)
    b:generate(tools)
    b:turns("first", tools, { times = 1, count = false, before = function(_, tool) b:forget(tool) end })
    b:turns("no-op", tools, {})
    b:turns("one row changed", tools, { before = change_row(count) })
  end,
}

workload {
  name = "values", judged = 10000, about = "N tiny nodes without files, C and Lua; how long the definition takes, first, unchanged and after a one-line edit",
  sizes = { 10000, 100000 }, quick = { 10000 }, huge = { 1000000 }, tools = { "weir-c", "weir-lua" }, plugin = true,
  run = function(b, tools, count)
    b:generate(tools)
    b:turns("first", tools, { times = count > 100000 and 1 or b.options.first, before = function(_, tool) b:forget(tool) end })
    b:turns("no-op", tools, {})
    b:turns("definition: a remark", tools, { before = function(dir, _, number) append(dir .. "/weir.lua", "-- " .. number .. "\n") end })
    b:turns("definition: one node", tools, { before = function(dir, _, number)
      local text = bench.read(dir .. "/weir.lua")
      bench.write(dir .. "/weir.lua", (text:gsub('"extra", add = %d+ }', ('"extra", add = %d }'):format(number))))
    end })
    local goal = { ["weir-c"] = 60000, ["weir-lua"] = 40000 }
    for _, tool in ipairs(tools) do
      local cell = b:cell("first", tool)
      local phase = cell and cell.counters and cell.counters.definition_us
      local first = b:least("first", tool)
      if phase and first then
        b:budget("S7", "nodes a second, " .. tool .. ", definition excluded", count / math.max(first - phase / 1e6, 1e-6), goal[tool], "", true)
        b:budget("S10", "definition, first, " .. tool, phase / 1e6, 1.2 * count / 100000, " s")
        local again = b:cell("definition: one node", tool)
        if again and again.counters then
          b:budget("S10", "definition, one line changed, of the first, " .. tool, again.counters.definition_us / phase, 0.5)
        end
        local rest = b:cell("no-op", tool).memory
        b:budget("S13", "memory of a no-op, " .. tool, rest, 64, " MiB")
        if count >= 100000 then b:budget("S13", "engine, memory per node of a first build, " .. tool, (cell.memory - rest) * 1048576 / count, 300, " B") end
      end
    end
    local dir = tools[1] and b:folder(tools[1])
    if dir and not b.out[tools[1]] then
      local commands = { "why 'tiny[add=0,id=7]'", "status", "log 'tiny[add=0,id=7]'" }
      for _, command in ipairs(commands) do
        for _ = 1, 5 do b:time("question: " .. command:match "%l+", tools[1], dir, b.weir .. " " .. command) end
        local least = b:least("question: " .. command:match "%l+", tools[1])
        if least then b:budget("S14", "weir " .. command, least * 1000, 20, " ms") end
      end
    end
  end,
}

for _, size in ipairs { 100, 1024, 102400 } do
  workload {
    name = "memo-" .. size, graph = "memo", about = ("N values of %d bytes recorded, found again, and beside raw SQLite"):format(size),
    sizes = { size > 10000 and 1000 or 10000 }, quick = size == 100 and { 10000 } or nil, tools = { "weir-c" }, plugin = true,
    run = function(b, tools, count)
      b:generate(tools, size)
      b:turns("definition", tools, { times = 1, count = false, before = function(_, tool) b:forget(tool) end, more = "salt=start" })
      b:turns("no-op", tools, { times = 3, count = false, more = "salt=start" })
      b:turns("put", tools, { times = 3, more = function(number) return "salt=" .. number end })
      b:turns("get", tools, { times = 3, count = false, more = function(number) return "salt=" .. number end })
      local put, get, noop = b:least("put", "weir-c"), b:least("get", "weir-c"), b:least("no-op", "weir-c")
      if not (put and get and noop) then return end
      b:budget("S11", ("put of %d bytes, in a run"):format(size), count / (put - noop), 40000, " a second", true)
      b:budget("S11", ("get of %d bytes, in a run, restored and recorded"):format(size), (get - noop) / count * 1e6, 15, " us")
      if not b.floor_program then return end
      local pipe <close> = io.popen(("%s sqlite %s/memo.db %d %d"):format(b.floor_program, b.work, count, size))
      local grouped, single, read = (pipe:read "a"):match "(%S+) (%S+) (%S+)"
      print(("raw SQLite, %d bytes: put %s us in groups of 1000, %s us alone, get %s us"):format(size, grouped, single, read))
      os.execute(("rm -f %s/memo.db*"):format(b.work))
    end,
  }
end

-- A log as years leave it behind, of N events, for a tenth as many nodes: its first has been settled in one run of eight.
workload {
  name = "past", judged = 10000000, about = "questions to a project with N events and N/10 nodes", sizes = { 1000000 }, quick = { 100000 },
  huge = { 10000000 }, tools = { "weir" },
  run = function(b, tools, count)
    local dir, program = b.work .. "/past", b.weir:match "^(.*)/" .. "/tests/bench_bench_history"
    if not tools[1] then return end
    if not bench.read(program) then return print("the questions to a long past need " .. program) end
    assert(os.execute(("mkdir %s && %s %s %d %d"):format(dir, program, dir, count, count // 10)))
    local last, middle = "copy-0000000", ("copy-%07d"):format(count // 20)
    local questions = { "--version", "status", "log", "log --events", "log " .. last, "log " .. middle, "log -n 20 --run 1", "why " .. last,
      "why --run 1 " .. last, "why " .. middle, "show " .. last, "ls 'copy-00000*'" }
    for _, question in ipairs(questions) do
      for _ = 1, b.options["repeat"] do b:time("weir " .. question, "weir", dir, b.weir .. " " .. question) end
      local least = b:least("weir " .. question, "weir")
      if least then b:budget("S14", "weir " .. question, least * 1000, question == "--version" and 3 or 20, " ms") end
    end
    if not b.options.quick then b:time("weir db check", "weir", dir, b.weir .. " db check") end
    os.execute("rm -rf " .. dir)
  end,
}

-- --- bytes -------------------------------------------------------------------------------------------------------------

workload {
  name = "restore", judged = 10000, graph = "files", about = "all N sources replaced, then put back: every output is restored", sizes = { 10000 }, quick = { 1000 }, tools = { "weir-c" },
  run = function(b, tools, count)
    b:generate(tools)
    if not tools[1] then return end
    local dir = b:folder(tools[1])
    os.execute(("cp -r %s/src %s/kept"):format(dir, b.work))
    os.execute(("cp -r %s/src %s/other && find %s/other -type f | xargs sed -i 's/source/other/'"):format(dir, b.work, b.work))
    local function put(from) return function() os.execute(("cp -r %s/%s/. %s/src/"):format(b.work, from, dir)) end end
    for _ = 1, 3 do b:floor("copy loop", "copy " .. copy_list(b, dir, count)) end
    drop_copies(b)
    b:turns("first", tools, { times = 1, count = false, before = function(_, tool) b:forget(tool) end })
    b:turns("others", tools, { times = 1, count = false, before = put "other" })
    b:turns("restore", tools, { times = 3, before = function(_, _, number) put(number % 2 == 1 and "kept" or "other")() end })
    os.execute(("rm -rf %s/kept %s/other"):format(b.work, b.work))
    b:compare("S16", "restore, of a copy loop in C", "restore", "weir-c", "copy loop", "floor", 1.5)
  end,
}

workload {
  name = "large", judged = 500, about = "N files of 1 MiB to hash on a first run", sizes = { 500 }, quick = { 100 }, tools = { "weir" },
  run = function(b, tools, count)
    b:generate(tools)
    if not tools[1] then return end
    local from = copy_list(b, b:folder(tools[1]), count)
    for _ = 1, 3 do b:floor("hash", ("hash %s %d"):format(from, b.jobs)) end
    drop_copies(b)
    b:turns("first", tools, { times = b.options.first, before = function(_, tool) b:forget(tool) end })
    b:compare("S15", "first run over large inputs, of reading and hashing alone", "first", "weir", "hash", "floor", 1.2)
  end,
}

-- --- watch -------------------------------------------------------------------------------------------------------------

workload {
  name = "asked", graph = "files", about = "a running watch is asked to run, with nothing to do", sizes = { 10000, 100000 }, quick = { 1000 },
  huge = { 1000000 },
  tools = { "weir-c" },
  run = function(b, tools)
    b:generate(tools)
    local tool = tools[1]
    if not tool then return end
    local dir, said, pid = b:folder(tool), b.work .. "/watch-said", b.work .. "/watch-pid"
    b:turns("first", tools, { times = 1, quiet = true, before = function(_, t) b:forget(t) end })
    os.execute(("cd %s && { %s watch > /dev/null 2> %s & echo $! > %s; }"):format(dir, bench.quote(b.weir), said, pid))
    local waits = ("for n in $(seq 600); do grep -q watching %s && exit 0; sleep 0.1; done; exit 1"):format(said)
    if not os.execute(waits) then error(bench.read(said)) end
    b:turns("no-op asked of a watch", tools, { times = b.options["repeat"] * 3, count = false })
    os.execute(("kill $(cat %s); for n in $(seq 50); do kill -0 $(cat %s) 2> /dev/null || exit 0; sleep 0.1; done"):format(pid, pid))
    b:budget("S2", "no-op asked of a running watch", (b:least("no-op asked of a watch", tool) or 0) * 1000, 5, " ms")
    b:budget("S2", "files that the watch looked at for it", b:cell("no-op asked of a watch", tool).counters.files_stated, 10)
  end,
}

-- Has a story of its own (watch.sh): who else watches, and what is the same.
workload {
  name = "watch", graph = "files", about = "a running watch: from the save of a file to the start of what it sets off, beside entr, inotifywait, tup",
  sizes = { 10000, 100000 }, tools = {},
  run = function(b, _, count)
    local command = ("BENCH_WATCH=%s/tests/bench_bench_watch"):format(bench.quote(b.weir:match "^(.*)/"))
      .. (" WEIR_BIN=%s SCRATCH=%s sh %s/watch.sh %d 2>&1"):format(bench.quote(b.weir), bench.quote(b.work), bench.quote(b.here), count)
    local pipe <close> = io.popen(command)
    for line in pipe:lines() do
      print(line)
      local name, middle, high, idle = line:match "^weir, (%a+).- ([%d.]+) ms +([%d.]+) ms +missed %d+ +idle ([%d.]+) %%"
      if name then
        b:budget("S4", name .. ": save to start, median", tonumber(middle), name == "command" and 5 or 4, " ms")
        b:budget("S4", name .. ": save to start, 99th percentile", tonumber(high), 20, " ms")
        if name == "Lua" then b:budget("S4", "processor while nothing happens", tonumber(idle), 0.1, " %") end
      end
    end
  end,
}

return list
