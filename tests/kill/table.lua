-- table.lua WORK WEIR - the story of test_table.sh.
--
-- One project for each state and number of crashes, with a node of every type of job, so that one engine leaves all of them. The command of
-- a node notes each start, holds a lock as long as it lives (who finds it held notes a double run), and goes on when it is told to.
local cjson = require "cjson"

local work, bin = arg[1], arg[2]
local home = work .. "/home"
local crashes_most = tonumber(os.getenv "WEIR_TABLE_CRASHES" or "") or 3
local rounds = tonumber(os.getenv "WEIR_TABLE_ROUNDS" or "") or 1
local project, story, violations, cells = nil, "", 0, 0
io.stdout:setvbuf "line"

local JOBS = { "pure", "batch", "ops", "daemon", "service" }
local STATES = { "dead", "alive", "reused", "unrecorded", "half" }

local function fail(format, ...)
  violations = violations + 1
  print(("FAILED: %s: %s"):format(story, format:format(...)))
end

local function same(what, expected, got)
  if expected ~= got then fail("%s: expected %s, got %s", what, tostring(expected), tostring(got)) end
end

local function sh(command)
  local f = io.popen(command, "r")
  local text = f:read "a"
  local _, how, code = f:close()
  return how == "exit" and code or 128 + code, text
end

local function read(path)
  local f = io.open(project .. "/" .. path, "rb")
  local text = f and f:read "a"
  if f then f:close() end
  return text
end

local function write(path, text)
  local f = assert(io.open(project .. "/" .. path, "wb"))
  f:write(text)
  f:close()
end

local function wait_until(what, is_so)
  for _ = 1, 3000 do
    if is_so() then return true end
    os.execute "sleep 0.01"
  end
  fail("waiting until %s", what)
  return false
end

local function command(arguments, env)
  -- no leaks: see kill.lua
  return ("env ASAN_OPTIONS=detect_leaks=0 HOME=%s %s %s -C %s %s"):format(home, env or "", bin, project, arguments)
end

local function weir(arguments, env)
  local log = work .. "/log"
  local code, out = sh(command(arguments, env) .. " 2> " .. log .. " < /dev/null")
  local f = io.open(log, "rb")
  local text = f:read "a"
  f:close()
  if text:find "Sanitizer" or text:find "runtime error" then fail("a sanitizer spoke: %s", text:sub(1, 3000)) end
  return code, out, text
end

local function sql(query)
  local code, out, log = weir(("sql --json \"%s\""):format(query))
  if code ~= 0 then fail("sql gave %d: %s", code, log) end
  local rows = cjson.decode(out)
  return rows.rows or rows
end

local function ask(query)
  local row = sql(query)[1]
  return row and select(2, next(row))
end

-- --- the project -----------------------------------------------------------------------------------------------------------

local WORKFLOW = [[
local weir = require "weir"
local text = weir.file "text"
for _, job in ipairs { "pure", "batch", "ops", "daemon", "service" } do
  weir.sh(job) { job = job, inputs = { text = text }, outputs = { a = "out/" .. job .. ".a", b = "out/" .. job .. ".b" },
    cmd = { "sh", "work.sh", job, "{{text}}", "{{a}}", "{{b}}" } }
end
]]

-- The third start and all later ones go on by themselves.
local WORK = [[
exec 9> lock.$1
flock -n 9 || echo "$$" >> double.$1
echo $$ >> starts.$1
n=$(($(wc -l < starts.$1)))
if [ -e half ]; then head -c 3 "$2" > "$3"; fi
echo "begin $n"
echo 1 > ready.$1.$n
while [ ! -e go.$1.$n ] && [ $n -lt 3 ]; do sleep 0.02; done
cat "$2" > "$3"
cat "$2" > "$4"
echo 1 > made.$1.$n
]]

local function lines(path)
  local n = 0
  for _ in (read(path) or ""):gmatch "\n" do n = n + 1 end
  return n
end

local function starts(job) return lines("starts." .. job) end

local function pid_of(job) return tonumber((read("starts." .. job) or ""):match "(%d+)\n$") end

local function is_alive(pid)
  local f = io.open(("/proc/%d/stat"):format(pid), "r")
  local text = f and f:read "a" or ""
  if f then f:close() end
  local state = text:match "%) (%a)"
  return state ~= nil and state ~= "Z" and state ~= "X"
end

local function each(act) for _, job in ipairs(JOBS) do act(job) end end

local function go(n) each(function(job) write(("go.%s.%d"):format(job, n), "") end) end

-- --- what happens ----------------------------------------------------------------------------------------------------------

local function lay()
  project = work .. "/project"
  sh(("rm -rf %s %s; mkdir -p %s %s"):format(project, home, project, home))
  write("weir.lua", WORKFLOW)
  write("work.sh", WORK)
  write("text", "first\n")
  go(1)
  local code, _, log = weir "run -q -j8"
  if code ~= 0 then fail("the first run gave %d: %s", code, log) end
  each(function(job) same("starts of " .. job .. " at first", 1, starts(job)) end)
end

local innocents = {}

-- An engine that is killed while the second start of each command is under way, and what becomes of the commands then.
local function crash(state)
  write("text", "second\n")
  if state == "half" then write("half", "") end
  local pid_file = work .. "/engine"
  os.execute(("setsid sh -c 'echo $$ > %s; exec %s' > /dev/null 2> %s/log < /dev/null &"):format(pid_file, command "run -q -j8", work))
  wait_until("all commands have begun", function()
    for _, job in ipairs(JOBS) do if not read(("ready.%s.2"):format(job)) then return false end end
    return true
  end)
  wait_until("their processes are recorded", function() return ask "SELECT count(*) AS n FROM weir_events WHERE kind = 'spawned'" == 10 end)
  local f = assert(io.open(pid_file))
  local engine = f:read "n"
  f:close()
  if state == "unrecorded" then -- it cannot see that they end
    sh("kill -STOP " .. engine)
    go(2)
    each(function(job)
      wait_until(job .. " has ended", function() return read(("made.%s.2"):format(job)) and not is_alive(pid_of(job)) end)
    end)
  end
  sh("kill -KILL " .. engine)
  wait_until("the engine is dead", function() return not is_alive(engine) end)
  if state == "alive" or state == "unrecorded" then return true end
  each(function(job) sh(("kill -KILL -%d"):format(pid_of(job))) end)
  each(function(job) wait_until(job .. " is dead", function() return not is_alive(pid_of(job)) end) end)
  if state ~= "reused" then return true end
  for _, job in ipairs(JOBS) do
    local code = sh(("env -i %s/killer reuse %d /bin/sleep 300 > %s/log 2>&1"):format(work, pid_of(job), work))
    if code == 77 then return false end
    if code ~= 0 then fail("pid %d cannot be had again", pid_of(job)) end
    innocents[#innocents + 1] = pid_of(job)
  end
  return true
end

-- Starts that are killed while they recover. What is adopted is put back nowhere, so some places are not passed by everybody.
local PLACES = { "recover_begin", "recover_ended", "recover_put_back:1", "recover_put_back:4", "recover_said:1", "recover_said:3", "recover_synced",
  "recover_sweep:1", "recover_sweep:2", "log_before_commit:1", "log_after_commit:1" }
local next_place = 0

local function crash_again()
  next_place = next_place % #PLACES + 1
  local place = PLACES[next_place]
  story = story .. ", " .. place
  local _, out = sh(("%s/killer end engine 60000000 /usr/bin/%s 2> %s/log < /dev/null"):format(work,
    command("run -q -j8", "WEIR_KILL_AT=" .. place), work))
  local is_last = place == "recover_synced" or place:find "^recover_sweep" or place:find "^log_after"
  if not out:find "killed" and not is_last then fail("not killed at %s: %s", place, out) end
end

local OLD, NEW = "first\n", "second\n"

local function check_outputs(job, text)
  same(job .. ".a", text, read(("out/%s.a"):format(job)))
  same(job .. ".b", text, read(("out/%s.b"):format(job)))
end

local function result_of(job)
  return ask(("SELECT status FROM weir_nodes WHERE node = '%s'"):format(job))
end

local function recovered(how)
  local n = 0
  local _, out = weir "log --events --json -n 0"
  for _, event in ipairs(cjson.decode(out)) do
    if event.kind == "recovered" and event.body.how == how then n = n + 1 end
  end
  return n
end

local function running()
  local _, out = weir "status --json"
  local n = 0
  for _, row in ipairs(cjson.decode(out).running) do
    if row.adopted and is_alive(row.pid) and row.pid == pid_of(row.node) then n = n + 1 end
  end
  return n
end

-- The start that comes through.
local function recover(state)
  local lives = state == "alive"
  local code, out, log = weir "run --json -j8"
  same("exit code", 1, code)
  same("starts of pure", 3, starts "pure")
  check_outputs("pure", NEW)
  for _, job in ipairs { "batch", "ops" } do
    same("starts of " .. job, 2, starts(job))
    same("status of " .. job, "failed", result_of(job))
    check_outputs(job, OLD)
    if not out:find(('"node":"%s"[^\n]*it was interrupted'):format(job)) then fail("%s was not reported: %s%s", job, out, log) end
  end
  for _, job in ipairs { "daemon", "service" } do
    same("starts of " .. job, lives and 2 or 3, starts(job))
    if not lives then check_outputs(job, NEW) end
    if lives and not is_alive(pid_of(job)) then fail("%s was not left alone", job) end
  end
  same("adopted ones", lives and 2 or 0, recovered "adopted")
  same("those to run again", 1, recovered "again")
  same("those that have failed", 2, recovered "failed")
  same("those to restart", lives and 0 or 2, recovered "restart")
  same("running ones", lives and 2 or 0, running())
  same("open executions", lives and 2 or 0, ask "SELECT count(*) AS n FROM weir_executions WHERE result = 'open'")
end

local function settle(state)
  local lives = state == "alive"
  local code = weir "run --json -j8" -- batch is a failure like others now
  same("exit code of the next run", 1, code)
  same("starts of batch then", 3, starts "batch")
  check_outputs("batch", NEW)
  same("starts of ops then", 2, starts "ops")
  if lives then -- they end by themselves, and are started again
    go(2)
    for _, job in ipairs { "daemon", "service" } do
      same("starts of " .. job .. " then", 2, starts(job))
      wait_until(job .. " has ended", function() return not is_alive(pid_of(job)) end)
    end
    weir "run -q -j8"
    same("those to restart then", 2, recovered "restart")
  end
  weir "run -q ops"
  same("starts of ops when it is named", 2, starts "ops")
  code = weir "run -q --force ops"
  same("exit code of --force", 0, code)
  each(function(job)
    same("starts of " .. job .. " at last", 3, starts(job))
    check_outputs(job, NEW)
    if read("double." .. job) then fail("%s ran twice at a time", job) end
  end)
end

local function check_quiet()
  local code, out = weir "run --json"
  local counts = cjson.decode(out:match '(%b{})%s*$')
  same("exit code of a further run", 0, code)
  same("what it ran", 0, counts.ran)
  code, out = weir "db check"
  if code ~= 0 then fail("db check: %s", out) end
  same("open executions at last", 0, ask "SELECT count(*) AS n FROM weir_executions WHERE result = 'open'")
  local _, left = sh("find " .. project .. "/.weir/tmp -mindepth 1")
  same("what is left in tmp", "", left)
  for _, pid in ipairs(innocents) do
    if not is_alive(pid) then fail("process %d, which was not ours, was ended", pid) end
    sh("kill -KILL " .. pid)
  end
  innocents = {}
  _, left = sh(("%s/killer left %s %s 3000"):format(work, project, home))
  same("processes that are left", "", left)
end

-- In a loop over rounds the places move on: their number and that of the cells have no common factor.
for round = 1, rounds do
  for crashes = 1, crashes_most do
    for _, state in ipairs(STATES) do
      story = ("round %d, %s, %d crashes"):format(round, state, crashes)
      lay()
      if crash(state) then
        for _ = 2, crashes do crash_again() end
        recover(state)
        settle(state)
        check_quiet()
        cells = cells + #JOBS
      else
        print "a pid cannot be chosen here (no permission): this state is left to test_process"
      end
    end
  end
end
print(("%d cells, %d violations"):format(cells, violations))
os.exit(violations == 0)
