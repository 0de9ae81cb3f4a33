-- kill.lua WORK WEIR SOURCE - the story of test_kill.sh.
--
-- A round: edit, kill a run, sometimes kill the next one too, sometimes edit again; then everything must be as if nothing
-- had happened. What differs is printed with the round and what was done in it; WEIR_SEED replays the choices, not the clock.
local cjson = require "cjson"

local work, bin, source = arg[1], arg[2], arg[3]
local project, clean, home = work .. "/project", work .. "/clean", work .. "/home"
local seed = tonumber(os.getenv "WEIR_SEED" or "") or os.time() % 1000000
local rounds = tonumber(os.getenv "WEIR_KILL_ROUNDS" or "") or 12
local only = os.getenv "WEIR_KILL_ONLY" or ""
local verbose = os.getenv "WEIR_KILL_VERBOSE"
io.stdout:setvbuf "line"
local kills, violations, story = 0, 0, {}

-- --- small things --------------------------------------------------------------------------------------------------------

local function note(format, ...) story[#story + 1] = format:format(...) end

local function fail(format, ...)
  violations = violations + 1
  print(("FAILED: %s\n    after: %s"):format(format:format(...), table.concat(story, "; ")))
end

local function read(path)
  local f = io.open(path, "rb")
  local text = f and f:read "a"
  if f then f:close() end
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function sh(command)
  local f = io.popen(command, "r")
  local text = f:read "a"
  local _, how, code = f:close()
  return how == "exit" and code or 128 + code, text
end

local function chance(p) return math.random() < p end
local function pick(list) return list[math.random(#list)] end

-- --- weir ----------------------------------------------------------------------------------------------------------------

local function command(folder, arguments, env)
  -- Leaks are looked for by a thread of its own, which a kill of "part" may hit: the program would wait for it for ever.
  return ("env ASAN_OPTIONS=detect_leaks=0 HOME=%s %s %s -C %s %s"):format(home, env or "", bin, folder, arguments)
end

-- What a sanitizer says is a violation whatever the exit code is.
local function look_at_log(log)
  local text = read(log) or ""
  local where = text:find "ERROR: %a+Sanitizer" or text:find "runtime error:"
  if where then fail("a sanitizer spoke: %s", text:sub(where, where + 3000)) end
  return text
end

local function weir(folder, arguments, env)
  local log = work .. "/log"
  local code, out = sh(command(folder, arguments, env) .. " 2> " .. log)
  return code, out, look_at_log(log)
end

local function run_counts(out)
  for line in out:gmatch "[^\n]+" do
    local event = line:find '"run_finished"' and cjson.decode(line)
    if event then return event end
  end
  return {}
end

-- `mode` and `when` as in killer.c; true if the run was killed before it ended.
local function kill_run(mode, when, env, arguments)
  local log = work .. "/killed.log"
  local _, out = sh(("%s/killer end %s %s /usr/bin/%s 2> %s"):format(work, mode, when, command(project, arguments or "run -q", env), log))
  look_at_log(log)
  local killed = out:find "killed" ~= nil
  if killed then kills = kills + 1 end
  return killed, tonumber(out:match "ended (%d+)"), read(log), out
end

-- --- the project ---------------------------------------------------------------------------------------------------------

local files, by_hand, number = {}, {}, 0 -- content by path; what was written over outputs; a source of fresh text
local asked, have = {}, {} -- hashes of what weir kept, and what they stand for

local function fresh(what)
  number = number + 1
  return ("# %s %d\n\nsome *text* with number %d, and\n\n- one\n- two\n"):format(what, number, number)
end

local function lay(folder)
  sh("mkdir -p " .. folder .. "/src; rm -f " .. folder .. "/src/*")
  for path, text in pairs(files) do write(folder .. "/" .. path, text) end
  if not read(folder .. "/half.so") then sh(("cp %s/half.so %s/"):format(work, folder)) end
end

local function tree(folder)
  local all = {}
  local _, list = sh("cd " .. folder .. " && find build -type f 2>/dev/null")
  for path in list:gmatch "[^\n]+" do
    if path ~= "build/passing.txt" then all[path] = read(folder .. "/" .. path) end -- transient: there or not
  end
  return all
end

local function sources()
  local list = {}
  for path in pairs(files) do if path:find "%.md$" and path ~= "src/a.md" then list[#list + 1] = path end end
  table.sort(list)
  return list
end

local edits = {
  function() for _, path in ipairs(sources()) do files[path] = fresh(path) end files["src/a.md"] = fresh "a" return "all texts" end,
  function() files["src/a.md"] = fresh "a" return "a.md" end,
  function() files["src/inc.txt"] = fresh "inc" return "inc.txt" end,
  function() files[("src/n%d.md"):format(number)] = fresh "new" return "a new text" end,
  function()
    local list = sources()
    if #list > 1 then files[pick(list)] = nil end
    return "a text less"
  end,
  function()
    number = number + 1
    files["weir.lua"] = files["weir.lua"]:gsub('"stamp %d+"', ('"stamp %d"'):format(number))
    return "weir.lua"
  end,
}

-- Content of the user's over an output.
local function scribble(path)
  number = number + 1
  local text = ("by hand %d\n"):format(number)
  write(project .. "/" .. path, text)
  by_hand[text] = path
  note("%s written by hand", path)
end

local function some_output(pattern)
  local list = {}
  for path in pairs(tree(project)) do
    if path:find(pattern) and not path:find "fragile" and not path:find "half" and not path:find "brittle" and not path:find "crumbs" then list[#list + 1] = path end
  end
  table.sort(list)
  return #list > 0 and pick(list) or nil
end

local function edit()
  for _ = 1, math.random(3) do note("edit %s", pick(edits)()) end
  lay(project)
end

-- What a clean run makes of the inputs as they are now.
local function clean_tree()
  sh("rm -rf " .. clean)
  lay(clean)
  local code, _, log = weir(clean, "run -q")
  local bad = files["src/flag.txt"]:find "^bad"
  if code ~= (bad and 1 or 0) then fail("the clean run gave exit code %d: %s", code, log) end
  return tree(clean)
end

local function compare(want, got, what)
  for path, text in pairs(want) do
    if got[path] ~= text then
      fail("%s: %s holds %q, expected %q", what, path, (got[path] or "(absent)"):sub(1, 80), text:sub(1, 80))
    end
  end
  for path, text in pairs(got) do
    local users = text:find "^by hand" -- no node makes it any more, so it is left
    if want[path] == nil and users then
      os.remove(project .. "/" .. path)
      by_hand[text] = nil
    elseif want[path] == nil then
      fail("%s: %s is left", what, path)
    end
  end
end

-- --- what must hold --------------------------------------------------------------------------------------------------------

-- Outputs of scripts are replaced by rename: old or new, whole, at any moment.
local function check_whole(before, after)
  local now = tree(project)
  for path, text in pairs(now) do
    if path:find "^build/script/" and text ~= before[path] and text ~= after[path] then
      fail("after the kill %s holds %q, expected %q or %q", path, text:sub(1, 80), before[path] or "", after[path] or "")
    end
  end
  for path in pairs(before) do
    if path:find "^build/script/" and after[path] and not now[path] then fail("after the kill %s is gone", path) end
  end
end

local function check_last_good(before, paths, when)
  for _, path in ipairs(paths) do
    local got = read(project .. "/" .. path)
    if got ~= before[path] then
      fail("%s the last good %s holds %q, expected %q", when, path, (got or "(absent)"):sub(1, 80), before[path] or "(absent)")
    end
  end
end

local function check_nobody_left()
  local _, out = sh(("%s/killer left %s %s 3000"):format(work, project, home))
  if out ~= "" then fail("processes are left: %s", out) end
end

local function check_tmp()
  local _, out = sh("find " .. project .. "/.weir/tmp -mindepth 1")
  if out ~= "" then fail(".weir/tmp is not empty: %s", out) end
end

local function check_database()
  local code, out, log = weir(project, "db check")
  if code ~= 0 then fail("db check gave exit code %d: %s%s", code, out, log) end
end

-- Every byte that was written by hand over an output is there still, or can be had from the store.
local function check_by_hand()
  if next(by_hand) == nil then return end
  local _, out = weir(project, "log --events --json -n 0")
  local now = tree(project)
  for _, event in ipairs(cjson.decode(out)) do
    local hash = event.kind == "foreign_kept" and event.body.hash
    if hash and not asked[hash] then
      local _, text = weir(project, "get " .. hash)
      asked[hash], have[text] = true, true
    end
  end
  for text, path in pairs(by_hand) do
    if not have[text] and now[path] ~= text then fail("%q, written by hand over %s, is lost", text, path) end
  end
  by_hand = {}
end

local function check_quiet(want)
  check_nobody_left()
  check_tmp()
  compare(want, tree(project), "after the next run")
  check_database()
  local code, out, log = weir(project, "run --json")
  local counts = run_counts(out)
  if code ~= 0 or counts.ran ~= 0 or counts.restored ~= 0 then
    fail("a further run: exit code %d, %s ran, %s restored: %s%s", code, counts.ran, counts.restored, out, log)
  end
  compare(want, tree(project), "after a further run")
  check_by_hand()
end

local function complete(want)
  local code, out, log = weir(project, "run --json")
  if code ~= 0 then fail("the next run gave exit code %d: %s%s", code, out, log) end
  check_quiet(want)
end

-- --- stories ---------------------------------------------------------------------------------------------------------------

local function start()
  sh(("rm -rf %s %s; mkdir -p %s %s"):format(project, clean, project, home))
  files = {
    ["weir.lua"] = read(source .. "/tests/kill/project/weir.lua"),
    ["src/a.md"] = fresh "a", ["src/b.md"] = fresh "b", ["src/c.md"] = fresh "c",
    ["src/inc.txt"] = fresh "inc", ["src/flag.txt"] = "good\n",
  }
  story, asked, have = { "a first run" }, {}, {}
  lay(project)
  complete(clean_tree())
end

local SCRIPTED = { "build/script/fragile.txt", "build/script/behind.txt", "build/script/half.txt" }
local BRITTLE = { "build/brittle.txt", "build/crumbs/flag", "build/crumbs/other" }
local MODES = { "engine", "group", "session", "part" }

local function random_round(round, seconds)
  math.randomseed(seed, round)
  story = { ("round %d of seed %d"):format(round, seed) }
  local mode, old_files = MODES[round % #MODES + 1], {}
  for path, text in pairs(files) do old_files[path] = text end
  edit()
  local bad = chance(0.35)
  if bad then
    files["src/flag.txt"] = fresh "bad":sub(3)
    note "the flag is bad"
    lay(project)
  end
  if chance(0.4) then
    local path = some_output "."
    if path then scribble(path) end
  end
  local before, after = tree(project), clean_tree()
  local delay = math.random(0, math.floor(seconds * 1.1e6))
  local killed, code, log = kill_run(mode, delay)
  note("%s killed after %d us: %s", mode, delay, killed and "yes" or "it had ended with " .. code)
  local unloaded = code == 2 and log:find "the script host ended while loading: .*signal 9" -- nothing ran
  if mode == "part" and code ~= 0 and code ~= 1 and not unloaded then fail("exit code %s: %s", code or "none", log) end
  check_whole(before, after)
  if bad then check_last_good(before, SCRIPTED, "right after the kill") end
  if mode == "session" and chance(0.3) then
    local path = some_output(chance(0.5) and "slow" or ".")
    if path then scribble(path) end
  end
  if chance(0.4) then
    local again = pick(MODES)
    delay = math.random(0, 60000)
    killed = kill_run(again, delay)
    note("%s killed again after %d us: %s", again, delay, killed and "yes" or "no")
  elseif chance(0.3) then
    os.execute(("sleep 0.%02d"):format(math.random(0, 15)))
  end
  if bad then
    code = weir(project, "run -q")
    if code ~= 1 then fail("the run that fails gave exit code %d", code) end
    check_last_good(before, SCRIPTED, "after the next run")
    check_last_good(before, BRITTLE, "after the next run")
    files["src/flag.txt"] = fresh "good":sub(3)
  end
  if chance(0.25) then
    files = old_files
    note "everything taken back"
  elseif chance(0.25) then
    edit()
  end
  lay(project)
  complete(clean_tree())
end

local function random_kills()
  start()
  edits[1]()
  edits[6]()
  lay(project)
  local seconds = run_counts(select(2, weir(project, "run --json"))).seconds
  for round = 1, rounds do
    random_round(round, seconds + 0.1)
    if verbose then print(table.concat(story, "; ")) end
    if violations > 5 then break end
  end
end

-- One kill at the hit-th pass of a point, in a run that has a bit of everything to do; for strays, after an earlier one at the place-th output. True: it came by.
local function kill_at(name, hit, place)
  math.randomseed(seed, hit)
  story = { ("%s:%d"):format(name, hit) }
  local old = {}
  for path, text in pairs(files) do old[path] = text end
  files["src/gone.md"], files["src/gone2.md"], files["src/many"] = fresh "gone", fresh "gone", nil
  files["src/stray.md"] = nil -- one of before would be an output that is recorded
  edits[1]()
  edits[6]()
  lay(project)
  weir(project, "run -q")
  local is_stray = name:find "^recover_stray" -- an output in place that no record knows
  if name:find "^restore" then files = old elseif is_stray then files["src/stray.md"] = fresh "stray" else edits[1]() end
  if not name:find "^transient" then -- those are dropped when nothing else goes
    files["src/gone.md"], files["src/gone2.md"] = nil, nil
  end
  files["src/many"] = name:find "checkpoint$" and "1000\n" or nil
  lay(project)
  if not is_stray then
    for _, path in ipairs { "build/big.txt", "build/script/a.up", "build/update.txt", "build/slow/b.half" } do scribble(path) end
  end
  if name:find "^recover" then
    local point = name == "recover_stray_folder" and "restore_folder_placed:1" or is_stray and "output_after_rename:" .. place or "command_ended:" .. place + 1
    note("killed at %s first: %s", point, kill_run("engine", "60000000", "WEIR_KILL_AT=" .. point) and "yes" or "no")
  end
  local arguments = name:find "^rebuild" and "db rebuild" or "run -q"
  local killed, _, log = kill_run("engine", "60000000", ("WEIR_KILL_AT=%s:%d"):format(name, hit), arguments)
  if not killed then note("not killed, it said: %s", log) end
  complete(clean_tree())
  if verbose then print(table.concat(story, "; ")) end
  return killed
end

local function kill_points()
  local _, names = sh("grep -rhoE 'os_kill_point\\(\"[a-z_]+\"\\)' " .. source .. "/engine | grep -oE '[a-z_]+\"' | tr -d '\"' | sort -u")
  local missed = {}
  start()
  for name in names:gmatch(os.getenv "WEIR_KILL_POINT" or "%S+") do
    local first, second = kill_at(name, 1, 1), kill_at(name, 2, 1)
    local came = first or second
    for place = 2, 16 do -- which output is placed first, and which commands are open then, is not always the same
      came = came or name:find "^recover" and kill_at(name, 1, place)
    end
    if not came then missed[#missed + 1] = name end
  end
  if #missed == 0 then return end
  story = { "kill points" }
  fail("no run came by %s", table.concat(missed, ", "))
end

-- A failing run, and a look at the last good outputs all the time.
local function failing()
  start()
  for round = 1, 3 do
    math.randomseed(seed, round)
    story = { "a failing run, watched" }
    local before = tree(project)
    files["src/flag.txt"] = fresh "bad":sub(3)
    edit()
    local path = SCRIPTED[round]
    write(work .. "/copy", before[path])
    local watched = ("%s/killer watch %s/%s %s/copy"):format(work, project, path, work)
    local code, out = sh(("%s /usr/bin/%s 2> %s/log"):format(watched, command(project, "run -q"), work))
    if code ~= 1 or not out:find "^looked" then fail("exit code %d, %s", code, out) end
    look_at_log(work .. "/log")
    check_last_good(before, SCRIPTED, "after a failing run")
    check_last_good(before, BRITTLE, "after a failing run")
    check_tmp()
    files["src/flag.txt"] = fresh "good":sub(3)
    lay(project)
    complete(clean_tree())
  end
end

local INTERRUPTED = [[
local weir = require "weir"
local text = weir.file "src/text"
local busy = weir.effect "busy" {
  run = function(i, o)
    local n = #i.text:read()
    for k = 1, i.loops do n = (n * 31 + k) %% 65537 end
    o.to:write(n, "\n")
  end,
}
local slow = weir.sh "slow" {
  inputs = { text = text }, outputs = { to = "build/slow" },
  cmd = "echo begin > {{to}}; touch $HOME/started; sleep %s; cat {{text}} > {{to}}",
}
local counted = busy "busy" { params = { loops = %d }, inputs = { text = text }, outputs = { to = "build/busy" } }
weir.sh "behind" {
  inputs = { slow = slow, counted = counted }, outputs = { to = "build/behind" },
  cmd = "cat {{slow}} {{counted}} > {{to}}",
}
]]

-- INT once: what runs may end. Twice: it is ended, and the old outputs are back.
local function interrupt(mode, seconds, loops)
  sh(("rm -rf %s %s/started; mkdir -p %s/src %s"):format(project, home, project, home))
  story = { mode }
  write(project .. "/weir.lua", INTERRUPTED:format("0", 10))
  write(project .. "/src/text", "one\n")
  local code, _, log = weir(project, "run -q")
  if code ~= 0 then fail("the first run gave %d: %s", code, log) end
  local before = tree(project)
  write(project .. "/weir.lua", INTERRUPTED:format(seconds, loops))
  write(project .. "/src/text", "two two\n")
  os.remove(home .. "/started")
  local began = os.time()
  local killed, told
  killed, code, log, told = kill_run(mode, home .. "/started", nil, "run --json")
  if killed or code ~= 130 then fail("exit code %s, expected 130: %s", code or "none, killed", log) end
  if os.time() - began > 15 then fail("it took %d s to end", os.time() - began) end
  check_nobody_left()
  local now, began_both = tree(project), false
  if mode == "twice" then
    check_last_good(before, { "build/slow", "build/behind" }, "after two interrupts")
  else
    if now["build/slow"] ~= "two two\n" then fail("what ran did not end: %q", now["build/slow"]) end
    began_both = told:find '"execution_started","node":"busy' ~= nil -- a slow machine may still be loading the workflow
    if began_both and now["build/busy"] == before["build/busy"] then fail "the script that ran did not end" end
    if now["build/behind"] ~= before["build/behind"] then fail "something was started after the interrupt" end
  end
  write(project .. "/weir.lua", INTERRUPTED:format(mode == "twice" and "0" or seconds, mode == "twice" and 10 or loops))
  local out
  code, out, log = weir(project, "run --json")
  local counts = run_counts(out)
  if code ~= 0 then fail("the next run gave exit code %d: %s", code, log) end
  local rest = began_both and 1 or 2
  if mode ~= "twice" and counts.ran ~= rest then fail("the next run: %s ran, expected %d: %s", counts.ran, rest, out) end
  sh("rm -rf " .. clean)
  sh(("mkdir %s && cp -r %s/src %s/weir.lua %s/"):format(clean, project, project, clean))
  weir(clean, "run -q")
  check_quiet(tree(clean))
end

local function interrupts()
  interrupt("int", "1", 8000000)
  interrupt("group-int", "1", 8000000)
  interrupt("twice", "30", 10)
  interrupt("twice", "30", 1000)
end

for _, part in ipairs { { "failing", failing }, { "interrupt", interrupts }, { "points", kill_points }, { "random", random_kills } } do
  if only == "" or only == part[1] then
    by_hand = {}
    local kills_before, began = kills, os.time()
    part[2]()
    print(("%-10s %d kills, %d s"):format(part[1], kills - kills_before, os.time() - began))
  end
end
print(("seed %d: %d kills, %d violations"):format(seed, kills, violations))
os.exit(violations == 0)
