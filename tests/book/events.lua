-- events.lua FILE ran          - names of the nodes executed, sorted, one a line; one that ran twice is there twice
-- events.lua FILE get NAME...  - fields of run_finished or of its stats, in one line; "-" where there is none
local cjson = require "cjson"

local finished, names = {}, {}
for line in assert(io.open(arg[1])):lines() do
  local ok, event = pcall(cjson.decode, line)
  if not ok then error(("%s: not an event: %s"):format(arg[1], line), 0) end
  if event.event == "execution_finished" and event.outcome ~= "restored" and event.outcome ~= "unchanged" then
    names[#names + 1] = event.node
  elseif event.event == "run_finished" then
    finished = event
  end
end

if arg[2] == "ran" then
  table.sort(names)
  for _, name in ipairs(names) do print(name) end
else
  local fields = {}
  for position = 3, #arg do
    local value = finished[arg[position]]
    if value == nil and type(finished.stats) == "table" then value = finished.stats[arg[position]] end
    if math.type(value) == "float" and value % 1 == 0 then value = math.tointeger(value) end
    fields[#fields + 1] = value == nil and "-" or tostring(value)
  end
  print(table.concat(fields, " "))
end
