-- summary.lua FOLDER N CASE TOOL... - one table from the lines that measure wrote to FOLDER/N.CASE.TOOL.
local folder, count, case = arg[1], arg[2], arg[3]

local function median(list)
  table.sort(list)
  local middle = #list // 2
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

local function read(tool)
  local wall, cpu, memory, failed = {}, {}, 0, 0
  local file = io.open(("%s/%s.%s.%s"):format(folder, count, case, tool))
  if not file then return nil end
  for line in file:lines() do
    local w, c, m, code = line:match "^(%S+) (%S+) (%S+) (%S+)"
    wall[#wall + 1], cpu[#cpu + 1] = tonumber(w), tonumber(c)
    memory = math.max(memory, tonumber(m))
    if code ~= "0" then failed = failed + 1 end
  end
  file:close()
  return { runs = #wall, wall = median(wall), least = wall[1], cpu = median(cpu), memory = memory / 1024, failed = failed }
end

local rows = {}
for position = 4, #arg do rows[#rows + 1] = { tool = arg[position], got = read(arg[position]) } end
local base
for _, row in ipairs(rows) do
  if row.tool == "ninja" then base = row.got end
end

print(("\n%s sources, %s\n%-8s %5s %10s %10s %10s %10s %9s"):format(count, case, "tool", "runs", "median s", "minimum s",
  "of ninja", "CPU s", "MiB"))
for _, row in ipairs(rows) do
  local got = row.got
  if got then
    local ratio = base and ("%.2f"):format(got.least / base.least) or "-"
    print(("%-8s %5d %10.4f %10.4f %10s %10.3f %9.1f%s"):format(row.tool, got.runs, got.wall, got.least, ratio, got.cpu,
      got.memory, got.failed > 0 and ("  %d FAILED"):format(got.failed) or ""))
  end
end
