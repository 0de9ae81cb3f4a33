-- run.lua - plays scenario files: lua5.4 run.lua FILE.scn... Needs WEIR_BIN; works in the current folder.
--
-- A scenario is a story in a folder of its own: change something, run, say what had to happen. Steps before the first
-- `scenario` line of a file start every scenario of it. Every scenario ends with `weir db check`; the first
-- thing that is not as expected ends it.
--
--   scenario TITLE
--   write PATH: TEXT          one line; or `write PATH <<`, lines, `>>`        append PATH: TEXT
--   edit PATH: OLD => NEW     OLD must be there; \n and \t mean what they mean in C
--   rm PATH   mv FROM TO   touch PATH   chmod BITS PATH   sh COMMAND   pause SECONDS   env NAME=VALUE
--   run ARGUMENTS             weir run --json --stats; exit code 0 is expected unless `exit N` follows. A dry run goes before it: what that
--                             lists as due must run, nothing else but due and maybe may, and it must write nothing
--   unforeseen                what the next run does cannot be foreseen (it discovers things): leaves that check out
--   weir ARGUMENTS            any other command
--
-- What is said about the last run or command (names are words; quote blanks with '...'):
--
--   exit N    says TEXT    silent TEXT     of everything printed
--   ran: a b  restored: a  failed: a  still-failed: a (without an execution)  blocked: a  would: a  maybe: a            exactly these
--   reason NODE REASON [NAME]              one of the reasons of the node
--   before A B    overlap A B              A had ended, or had not, when B started
--   once EVENT    times EVENT NODE N       at most one line of --json with this event for each node; so many for this one
--   count NAME N   most NAME N             a number of the summary or of its stats; at most that
--   file PATH: TEXT   has PATH: TEXT   absent PATH   present PATH   mode PATH BITS   (ends of lines at the end do not count)
--   no-op                                  another run: nothing happens and no script host is started
--   clean                                  a clean run on a copy of the inputs gives the same files
--   skip-unless COMMAND                    leaves the scenario out where COMMAND fails

local json = require "cjson"
local weir = assert(os.getenv "WEIR_BIN", "WEIR_BIN is not set")
local only = os.getenv "WEIR_SCENARIO" -- plays only the titles that contain this
local scratch = io.popen("pwd"):read("l") .. "/scn"

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function read_file(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local text = f:read "a"
  f:close()
  return text
end

local function trim(text) return (text:gsub("%s+$", "")) end

-- Words; '...' keeps blanks, "..." too.
local function words(text)
  local list, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at then return list end
    local word = ""
    while at <= #text and not text:find("^%s", at) do
      local mark = text:match("^['\"]", at)
      local stop = mark and text:find(mark, at + 1, true)
      if stop then
        word, at = word .. text:sub(at + 1, stop - 1), stop + 1
      else
        word, at = word .. text:sub(at, at), at + 1
      end
    end
    list[#list + 1] = word
  end
end

local function unescape(text) return (text:gsub("\\([nt\\])", { n = "\n", t = "\t", ["\\"] = "\\" })) end

-- --- reading ------------------------------------------------------------------------------------------------------------

local function parse(path)
  local common, scenarios = {}, {}
  local into, number, open = common, 0, nil
  for line in io.lines(path) do
    number = number + 1
    if open then
      if line == ">>" then open = nil else open.text = open.text .. line .. "\n" end
    elseif line:match "^scenario " then
      into = { title = line:sub(10), line = number }
      scenarios[#scenarios + 1] = into
    elseif line:match "%S" and not line:match "^%s*#" then
      local verb, rest = line:match "^%s*(%S+)%s*(.-)%s*$"
      local step = { verb = verb, rest = rest, line = number }
      if rest:match " <<$" then
        step.rest, step.text = rest:sub(1, -4), ""
        open = step
      end
      into[#into + 1] = step
    end
  end
  assert(not open, path .. ": a text that starts with << is never ended by >>")
  return common, scenarios
end

-- --- one scenario -------------------------------------------------------------------------------------------------------

local Story = {}
Story.__index = Story

function Story:fail(...)
  self.failures[#self.failures + 1] = ("%s:%d: %s"):format(self.file, self.at.line, table.concat({ ... }))
end

function Story:shell(command)
  local set = ("cd %s && %s{ %s\n} >%s 2>%s </dev/null"):format(quote(self.dir), table.concat(self.env), command,
    quote(self.out), quote(self.err))
  local _, kind, code = os.execute(set)
  return kind == "exit" and code or 128 + (code or 0)
end

function Story:path(path) return self.dir .. "/" .. path end

function Story:put(path, text, how)
  local folder = path:match "^(.*)/"
  if folder then os.execute("mkdir -p " .. quote(self:path(folder))) end
  local f = assert(io.open(self:path(path), how))
  f:write(text)
  f:close()
end

-- The exit code of the last command has to be 0 if nothing was said about it.
function Story:close_last()
  local last = self.last
  if last and not last.exit_was_told and last.exit ~= 0 then
    self.at = last.at
    self:fail("exit code: expected 0, got ", tostring(last.exit), "\n", last.err, self:plain(last))
  end
  if last and last.err:find("Sanitizer", 1, true) or last and last.err:find("runtime error", 1, true) then
    self:fail("a sanitizer complains\n", last.err:sub(1, 4000))
  end
  self.last = nil
end

-- What a run printed, without the lines that only say that all is well.
function Story:plain(last)
  local kept = {}
  for line in last.text:gmatch "[^\n]+" do
    if not line:find('"execution_started"', 1, true) then kept[#kept + 1] = "    " .. line:sub(1, 400) end
  end
  return table.concat(kept, "\n")
end

function Story:call(arguments, decode)
  self:close_last()
  local last = { at = self.at, events = {}, summary = {} }
  last.exit = self:shell(quote(weir) .. " " .. arguments)
  last.text, last.err = read_file(self.out), read_file(self.err)
  for line in decode and last.text:gmatch "[^\n]+" or function() end do
    local ok, event = pcall(json.decode, line)
    if not ok then self:fail("not a line of JSON: ", line) event = { event = "?" } end
    last.events[#last.events + 1] = event
    if event.event == "run_finished" then last.summary = event end
  end
  self.last = last
  return last
end

function Story:nodes(event, outcome)
  local list = {}
  for _, e in ipairs(self.last.events) do
    if e.event == event and (not outcome or e.outcome == outcome) then list[#list + 1] = e.node end
  end
  return list
end

function Story:same_set(what, rest, got)
  local expected = words(rest)
  table.sort(expected)
  table.sort(got)
  local a, b = table.concat(expected, " "), table.concat(got, " ")
  if a ~= b then
    self:fail(what, ": expected {", a, "}, got {", b, "}\n", self:plain(self.last), self.last.err)
  end
end

local do_step = {}

function do_step.write(s, rest, text)
  if text then return s:put(rest, text, "wb") end
  local path, line = rest:match "^(.-):%s?(.*)$"
  s:put(path, unescape(line) .. "\n", "wb")
end

function do_step.append(s, rest, text)
  if text then return s:put(rest, text, "ab") end
  local path, line = rest:match "^(.-):%s?(.*)$"
  s:put(path, unescape(line) .. "\n", "ab")
end

function do_step.edit(s, rest)
  local path, old, new = rest:match "^(%S+):%s(.-) =>%s?(.*)$"
  if not path then return s:fail("write it as: edit PATH: OLD => NEW") end
  old, new = unescape(old), unescape(new)
  local text = read_file(s:path(path)) or ""
  local first, last = text:find(old, 1, true)
  if not first then return s:fail(path, " does not hold: ", old) end
  s:put(path, text:sub(1, first - 1) .. new .. text:sub(last + 1), "wb")
end

local function command(name) return function(s, rest) s:command(name .. " " .. rest) end end

function Story:command(text)
  if self:shell(text) ~= 0 then self:fail(text, "\n", read_file(self.err)) end
end

do_step.rm, do_step.mv, do_step.touch = command "rm -r", command "mv", command "touch"
do_step.chmod, do_step.pause, do_step.sh = command "chmod", command "sleep", command ""

-- $PATH and the like in the value are those of the tests.
function do_step.env(s, rest)
  local value = rest:gsub("%$(%u+)", function(name) return name == "PWD" and s.dir or os.getenv(name) or "" end)
  s.env[#s.env + 1] = "export " .. quote(value) .. "; "
end

do_step["skip-unless"] = function(s, rest)
  if s:shell(rest) ~= 0 then s.skipped = true end
end

local function names_of(text, lists)
  for line in text:gmatch "[^\n]+" do
    local ok, event = pcall(json.decode, line)
    local name = ok and (event.outcome == "failed" and "failed" or event.event == "execution_finished" and "ran" or event.event)
    if name and event.node then
      lists[name] = lists[name] or {}
      lists[name][event.node] = true
    end
  end
  return lists
end

-- Everything below .weir, with sizes and times; the files that SQLite needs to read at all apart.
function Story:state()
  local list = io.popen("cd " .. quote(self.dir) .. " && find .weir -mindepth 1 ! -name '*-shm' ! -name '*-wal' -printf '%p %s %T@\\n' 2>&1 | sort")
  local text = list:read "a"
  list:close()
  return text
end

-- What -n lists. nil: the run is no question of what is due (a broken workflow).
function Story:foresee(rest)
  local before = self:state()
  local exit = self:shell(quote(weir) .. " run -n --json " .. rest)
  local after = self:state()
  if before ~= after then self:fail("a dry run wrote something\n", before, "\n", after) end
  return exit == 0 and names_of(read_file(self.out), { would_run = {}, maybe = {}, node_restored = {} }) or nil
end

-- A list of an expand node declared it in this run: nobody could know it before.
function Story:was_declared(node)
  self:shell(quote(weir) .. " sql " .. quote(("SELECT 'it was' FROM weir_nodes n JOIN weir_events e ON e.seq = n.declared_seq "
    .. "WHERE n.node = '%s' AND n.declared_by IS NOT NULL AND e.run = (SELECT max(run) FROM weir_runs)"):format(node)))
  return read_file(self.out):find("it was", 1, true)
end

function Story:compare_with_run(foreseen)
  local done = names_of(self.last.text, { ran = {}, failed = {}, node_blocked = {} })
  for _, e in ipairs(self.last.events) do -- a failure that is only told again is no execution
    local is_in_the_way = e.outcome == "failed" and foreseen.node_restored[e.node] -- it could not be restored
    if e.event == "execution_finished" and not is_in_the_way and not foreseen.would_run[e.node] and not foreseen.maybe[e.node]
      and not self:was_declared(e.node) then
      self:fail("a dry run did not foresee: ", e.node, "\n", self:plain(self.last))
    end
  end
  for node in pairs(foreseen.would_run) do
    if not (done.ran[node] or done.failed[node] or done.node_blocked[node]) then
      self:fail("a dry run said that it would run, and it did not: ", node, "\n", self:plain(self.last))
    end
  end
end

function do_step.run(s, rest)
  s:close_last()
  local is_dry = (" " .. rest .. " "):find " %-n "
  local foreseen = not is_dry and not s.unforeseen and s:foresee(rest)
  s.unforeseen = false
  s:call("run --json --stats " .. rest, true)
  local is_stopped = (" " .. rest .. " "):find " %-x " or s.last.exit > 1
  if foreseen and not is_stopped then s:compare_with_run(foreseen) end
end

function do_step.unforeseen(s) s.unforeseen = true end

function do_step.weir(s, rest) s:call(rest) end

function do_step.exit(s, rest)
  s.last.exit_was_told = true
  if s.last.exit ~= tonumber(rest) then
    s:fail("exit code: expected ", rest, ", got ", tostring(s.last.exit), "\n", s.last.err, s:plain(s.last))
  end
end

function do_step.says(s, rest)
  local text = s.last.text .. s.last.err
  if not text:find(unescape(rest), 1, true) then s:fail("expected it to say: ", rest, "\n", s.last.err, s:plain(s.last)) end
end

function do_step.silent(s, rest)
  if (s.last.text .. s.last.err):find(unescape(rest), 1, true) then
    s:fail("expected it not to say: ", rest, "\n", s.last.err, s:plain(s.last))
  end
end

do_step["ran:"] = function(s, rest) s:same_set("ran", rest, s:nodes("execution_finished", "ran")) end
do_step["failed:"] = function(s, rest) s:same_set("failed", rest, s:nodes("execution_finished", "failed")) end
do_step["still-failed:"] = function(s, rest) s:same_set("still failed", rest, s:nodes "node_failed") end
do_step["restored:"] = function(s, rest) s:same_set("restored", rest, s:nodes "node_restored") end
do_step["blocked:"] = function(s, rest) s:same_set("blocked", rest, s:nodes "node_blocked") end
do_step["would:"] = function(s, rest) s:same_set("would run", rest, s:nodes "would_run") end
do_step["maybe:"] = function(s, rest) s:same_set("maybe", rest, s:nodes "maybe") end

function do_step.reason(s, rest)
  local node, reason, name = table.unpack(words(rest))
  local seen = {}
  for _, e in ipairs(s.last.events) do
    for _, r in ipairs(e.node == node and e.because or {}) do
      if r.reason == reason and (not name or r.name == name or r.input == name) then return end
      seen[#seen + 1] = ("%s %s %s"):format(r.reason, r.input, r.name)
    end
  end
  s:fail("reason of ", node, ": expected ", reason, " ", name or "", ", got ", table.concat(seen, "; "))
end

-- How often each node has an event of this kind.
function Story:times(event)
  local times = {}
  for _, e in ipairs(self.last.events) do
    if e.event == event and e.node then times[e.node] = (times[e.node] or 0) + 1 end
  end
  return times
end

function do_step.once(s, rest)
  for node, times in pairs(s:times(rest)) do
    if times ~= 1 then s:fail(rest, " of ", node, ": expected once, got ", tostring(times), "\n", s.last.text) end
  end
end

function do_step.times(s, rest)
  local event, node, times = table.unpack(words(rest))
  local got = s:times(event)[node] or 0
  if got ~= tonumber(times) then s:fail(event, " of ", node, ": expected ", times, " times, got ", tostring(got)) end
end

function Story:position(event, node)
  for n, e in ipairs(self.last.events) do
    if e.event == event and e.node == node then return n end
  end
  self:fail("no ", event, " of ", node)
  return 0
end

function do_step.before(s, rest)
  local a, b = table.unpack(words(rest))
  if s:position("execution_finished", a) > s:position("execution_started", b) then s:fail(a, " had not ended when ", b, " started") end
end

function do_step.overlap(s, rest)
  local a, b = table.unpack(words(rest))
  if s:position("execution_finished", a) < s:position("execution_started", b) then s:fail(a, " had ended when ", b, " started") end
end

local function counted(s, name)
  local summary = s.last.summary
  return summary[name] or summary.stats and summary.stats[name]
end

function do_step.count(s, rest)
  local name, number = table.unpack(words(rest))
  local got = counted(s, name)
  if got ~= tonumber(number) then s:fail(name, ": expected ", number, ", got ", tostring(got), "\n", s:plain(s.last)) end
end

function do_step.most(s, rest)
  local name, number = table.unpack(words(rest))
  local got = counted(s, name)
  if not got or got > tonumber(number) then s:fail(name, ": expected at most ", number, ", got ", tostring(got), "\n", s:plain(s.last)) end
end

function do_step.file(s, rest)
  local path, text = rest:match "^(.-):%s?(.*)$"
  local got = read_file(s:path(path))
  if not got then return s:fail(path, " is not there") end
  if trim(got) ~= trim(unescape(text)) then s:fail(path, ": expected {", text, "}, got {", trim(got), "}") end
end

function do_step.has(s, rest)
  local path, text = rest:match "^(.-):%s?(.*)$"
  local got = read_file(s:path(path)) or ""
  if not got:find(unescape(text), 1, true) then s:fail(path, " does not hold {", text, "}: ", got) end
end

function do_step.absent(s, rest)
  if os.execute("test -e " .. quote(s:path(rest))) then s:fail(rest, " is still there") end
end

function do_step.present(s, rest)
  if not os.execute("test -e " .. quote(s:path(rest))) then s:fail(rest, " is not there") end
end

function do_step.mode(s, rest)
  local path, bits = table.unpack(words(rest))
  local got = trim(io.popen("stat -c %a " .. quote(s:path(path))):read "a")
  if got ~= bits then s:fail(path, ": expected mode ", bits, ", got ", got) end
end

do_step["no-op"] = function(s)
  local last = s:call("run --json --stats", true)
  local summary = last.summary
  for _, name in ipairs { "ran", "restored", "failed", "blocked", "raced" } do
    if summary[name] ~= 0 then s:fail("no-op: ", name, " is ", tostring(summary[name]), "\n", s:plain(last)) end
  end
  if summary.stats and summary.stats.hosts_started ~= 0 then s:fail "no-op: a script host was started" end
end

-- What no node makes, in a fresh folder; a clean run there; the same files have to come out.
function do_step.clean(s)
  local other = s.dir .. ".clean"
  s:shell(quote(weir) .. " sql \"SELECT DISTINCT path FROM weir_outputs\" --json")
  local outputs = json.decode(read_file(s.out))
  s:shell(("rm -rf %s && cp -a . %s && rm -rf %s/.weir"):format(quote(other), quote(other), quote(other)))
  for _, row in ipairs(outputs.rows or outputs) do os.remove(other .. "/" .. (row.path or row[1])) end
  if s:shell(("cd %s && %s run -q"):format(quote(other), quote(weir))) ~= 0 then
    return s:fail("the clean run fails\n", read_file(s.err))
  end
  if s:shell("diff -r -x .weir . " .. quote(other)) ~= 0 then s:fail("other than a clean run\n", read_file(s.out), read_file(s.err)) end
end

local function play(file, common, scenario, number)
  local dir = ("%s/%s-%d"):format(scratch, file:match "([^/]+)%.scn$", number)
  local s = setmetatable({ file = file, dir = dir, out = dir .. ".out", err = dir .. ".err", failures = {}, env = {} }, Story)
  os.execute("mkdir -p " .. quote(dir))
  for _, steps in ipairs { common, scenario } do
    for _, step in ipairs(steps) do
      s.at = step
      local act = do_step[step.verb]
      if not act then error(("%s:%d: no step is called %s"):format(file, step.line, step.verb)) end
      if not s.skipped and #s.failures == 0 then act(s, step.rest, step.text) end
    end
  end
  s.at = scenario
  s:close_last()
  if not s.skipped and #s.failures == 0 and read_file(dir .. "/.weir/weir.db") then
    s:call "db check"
    s:close_last()
  end
  if #s.failures == 0 and not os.getenv "WEIR_KEEP" then
    os.execute(("chmod -R u+rwx %s; rm -rf %s %s.clean"):format(quote(dir), quote(dir), quote(dir)))
  end
  return s.failures, s.skipped
end

local played, skipped, failed = 0, 0, 0
for _, file in ipairs(arg) do
  local common, scenarios = parse(file)
  for number, scenario in ipairs(scenarios) do
    if not only or scenario.title:find(only, 1, true) then
      local failures, was_skipped = play(file, common, scenario, number)
      played = played + 1
      if was_skipped then skipped = skipped + 1 end
      if #failures > 0 then
        failed = failed + 1
        print("FAILED: " .. scenario.title)
        for _, failure in ipairs(failures) do print("  " .. failure) end
      end
    end
  end
end
local names = {}
for n, file in ipairs(arg) do names[n] = file:match "([^/]+)%.scn$" end
print(("%s: %d scenarios, %d skipped, %d failed"):format(table.concat(names, ", "), played, skipped, failed))
os.exit(failed == 0 and 0 or 1)
