-- check_why.lua WORK LAYOUT WEIR SEED COUNT - asks weir why, and recomputes what it answers from the files.
--
-- WORK/runs has lines "STEP RUN". For COUNT random pairs of a node and a run, half of them of nodes that were affected:
-- each named input must have changed between the two steps, and its old and new hash must be those of its content as
-- xxh128sum prints them (values: of their encoding, engine/store/value.h). Shares with weir neither code nor database.
local source = os.getenv "WEIR_SOURCE"
package.path = source .. "/tests/book/?.lua;" .. package.path
local cjson = require "cjson"
local history = require "history"
local model = require "model"

local work, layout, weir, seed, count = arg[1], arg[2], arg[3], tonumber(arg[4]), tonumber(arg[5])
local failures = 0
math.randomseed(seed)

local function encode_string(text)
  local size, length = #text, ""
  repeat
    length = length .. string.char(size > 127 and size & 127 | 128 or size)
    size = size >> 7
  until size == 0
  return "\5" .. length .. text
end

local function hash(text)
  local name = work .. "/hashed"
  local file = assert(io.open(name, "wb"))
  assert(file:write(text))
  assert(file:close())
  local pipe <close> = assert(io.popen("xxh128sum '" .. name .. "'"))
  return assert(pipe:read "a":match "^%x+", "xxh128sum printed no hash")
end

local function index(reads)
  local by_name = {}
  for _, read in ipairs(reads) do by_name[read[1]] = read end
  return by_name
end

-- What changed for a node between two steps: name -> { old read, new read }, or nil for a new node.
local function changes(before, after)
  if not before then return nil end
  local old, list, any = index(before.reads), {}, false
  for name, read in pairs(index(after.reads)) do
    local was = old[name]
    if was and (was[2] ~= read[2] or was[3] ~= read[3]) then
      list[name], any = { was, read }, true
    end
  end
  return list, any
end

local function fail(pair, what, ...)
  failures = failures + 1
  print(("FAILED: %s in run %d: %s"):format(pair.name, pair.run, what:format(...)))
end

local function check_hash(pair, name, side, read, got)
  if read[2] == "absent" then return end
  local expected = hash(read[2] == "value" and encode_string(read[3]) or read[3])
  if got ~= expected then fail(pair, "%s hash of %s: expected %s, got %s", side, name, expected, tostring(got)) end
end

local function check(pair, answer)
  if answer.node ~= pair.name or answer.run ~= pair.run then
    return fail(pair, "the answer is about %s in run %s", tostring(answer.node), tostring(answer.run))
  end
  local named, new = 0, false
  for _, reason in ipairs(answer.reasons or {}) do
    local change = pair.changes and pair.changes[reason.name]
    new = new or reason.reason == "new"
    if reason.reason == "input-changed" then
      named = named + 1
      if not change then
        fail(pair, "names %s, which had not changed", tostring(reason.name))
      else
        check_hash(pair, reason.name, "old", change[1], reason.old)
        check_hash(pair, reason.name, "new", change[2], reason.new)
      end
    end
  end
  if not pair.changes then
    if not new then fail(pair, "it was new, and no reason says so") end
  elseif pair.affected then
    if named == 0 then fail(pair, "no changed input is named") end
    if answer.outcome ~= "ran" and answer.outcome ~= "restored" then fail(pair, "outcome %s", answer.outcome) end
  elseif answer.outcome ~= "unchanged" or #(answer.reasons or {}) > 0 then
    fail(pair, "nothing it reads had changed, but the outcome is %s with %d reasons", answer.outcome, #answer.reasons)
  end
end

local function ask(pair)
  local command = ("cd '%s/tree' && '%s' why '%s' --run %d --json"):format(work, weir, pair.name, pair.run)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  local done = pipe:close()
  local ok, answer = pcall(cjson.decode, text)
  if not done or not ok then return fail(pair, "weir why failed, or gave no JSON: %s", text:sub(1, 200)) end
  check(pair, answer)
  local first = answer.reasons and answer.reasons[1] or {}
  print(("%-58s run %2d  %-9s %s"):format(pair.name:sub(1, 58), pair.run, tostring(answer.outcome),
    first.name or first.reason or ""))
end

-- --- pairs -----------------------------------------------------------------------------------------------------------

local affected, others = {}, {}
local world = model.world(work .. "/data", work .. "/render", history.read(layout))
local before
for line in io.lines(work .. "/runs") do
  local step, run = line:match "^(%d+) (%d+)$"
  local nodes = world.nodes(tonumber(step))
  local names = {}
  for name in pairs(nodes) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local pair = { name = name, run = tonumber(run) }
    pair.changes, pair.affected = changes(before and before[name], nodes[name])
    local list = before and (pair.affected or not pair.changes) and affected or others
    if before then list[#list + 1] = pair end
  end
  before = nodes
end

print(("seed %d: %d pairs of %d affected and %d others"):format(seed, count, #affected, #others))
for n = 1, count do
  local list = n % 2 == 1 and #affected > 0 and affected or others
  ask(table.remove(list, math.random(#list)))
end
os.exit(failures == 0)
