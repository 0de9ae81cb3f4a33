#!/usr/bin/env lua5.4
-- real.lua - what the effects of graph.h compute, once more: as Lua effects (required by weir.lua) and as a command (tools/sim).

local M = {}
local CONCAT, FIRST, LENGTH, CONSTANT, INCLUDE, FAIL, NEED = 0, 1, 2, 3, 4, 5, 6
local SLOTS, ROWS = 25, 3

-- Texts are cut where C's arrays end.
local function append(all, text) return (all .. text):sub(1, 1023) end

local function included(what, slot)
  if what:match "[0-9]" then return "s/" .. what end
  local maker = what:byte() - 65
  if maker >= 0 and maker < SLOTS and maker < slot then return "o/" .. maker .. ".a" end
end

local function include(all, kind, slot, read, is_command)
  local found, at, stop = 0, 1, #all
  while kind == INCLUDE and at <= #all and found < 4 do
    if is_command and at > stop then break end
    if all:sub(at, at) == "@" and at < #all then
      found = found + 1
      local path = included(all:sub(at + 1, at + 1), slot)
      if path then all = append(all, read(path)) end
    end
    at = at + 1
  end
  return all
end

-- "&Cd4": what to ask for in one call
local function letters(all, at)
  local names = {}
  while #names < 3 do
    local what = all:sub(at + #names, at + #names)
    local slot = what:match "[A-Y]" and what:byte() - 65 or what:match "[a-y]" and what:byte() - 97
    if what:match "[A-Y]" then names[#names + 1] = ("n%d[id=%d]"):format(slot, slot)
    elseif slot then names[#names + 1] = ("o/%d.a"):format(slot)
    elseif what:match "[0-9]" then names[#names + 1] = "s/" .. what
    else break end
  end
  return names
end

-- The one file of a node, and its value if it is a text; or the file.
local function needed(name, h)
  if name:sub(1, 1) ~= "n" then return h and h:read() or "-" end
  local one, text = pcall(function() return h:read() end)
  local has, value = pcall(function() return h.value end)
  if not has then value = nil end
  return (one and text:sub(1, 30) or "-") .. "," .. (type(value) == "string" and value:sub(1, 3) or "-")
end

local function need(i, all)
  local at, found = 1, 0
  while at <= #all and found < 3 do
    if all:sub(at, at) == "&" then
      found = found + 1
      local names = letters(all, at + 1)
      local handles = #names > 0 and table.pack(i:need(table.unpack(names))) or {}
      for k, name in ipairs(names) do all = append(all, needed(name, handles[k])) end
    end
    at = at + 1
  end
  return all
end

-- Rows of lists: what row_node says in graph.h.
local rows = { a = { CONCAT, 0, 0 }, b = { INCLUDE, 0, 0 }, c = { CONCAT, 1, 2 }, d = { NEED, 0, 0 }, f = { FAIL, 0, 0 }, g = { CONCAT, 1, 0 } }

local function row(slot, parent, what)
  local outputs, input = { a = "o/" .. slot .. ".a" }, "s/" .. (8 + (what:byte() - 97) % 2)
  if what == "e" then
    return { effect = "sh", name = "n" .. slot, params = { id = slot }, inputs = { c = { "s/8", "s/9" } }, outputs = outputs,
             cmd = { "tools/sim", tostring(slot), "0", "0", "-", "--in", "{{c}}", "--out", "{{a}}" } }
  end
  if what == "c" and slot > parent + 1 then input = { node = ("n%d[id=%d]"):format(slot - 1, slot - 1) } end
  if what == "g" then input = { node = ("n%d[id=%d]"):format(parent - 1, parent - 1), output = "a" } end
  local r = rows[what]
  return { effect = ("e%d_%d_%dc"):format(r[1], r[2], r[3]), name = "n" .. slot, params = { id = slot }, inputs = { c = input }, outputs = outputs }
end

local function list(all, parent)
  local entries = {}
  for k, what in all:gmatch "#([1-3])([a-g])" do
    if #entries < 4 then entries[#entries + 1] = row(parent + tonumber(k), parent, what) end
  end
  return entries
end

-- a, b, value; nil: it fails
local function results(all, kind, variant)
  if kind == FAIL and all:find("!", 1, true) then return nil end
  local a
  if kind == FIRST then a = all:sub(1, 1)
  elseif kind == LENGTH then a = ("012"):sub(#all % 3 + 1, #all % 3 + 1)
  elseif kind == CONSTANT then a = "k" .. variant
  else a = (variant == 1 and "r" or "") .. variant .. all:sub(1, 40) end
  return a, ("01"):sub(#all % 2 + 1, #all % 2 + 1), a:sub(1, 2)
end

-- All that an effect reads. ports: which inputs there are, as letters; l: c is a list; is_file: port x is one, else a variable or value
local function gather(weir, i, kind, ports, is_file)
  local has_c, has_list, has_v, has_x = ports:find "c", ports:find "l", ports:find "v", ports:find "x"
  local all = ""
  if has_c then
    all = append(all, i.c:read())
  elseif has_list then
    for _, member in ipairs(i.c) do all = append(all, member:read()) end
  end
  if has_v then
    for _, member in ipairs(i.v) do all = append(all, member.value) end
  end
  if has_x and all:sub(1, 1) == "r" then all = append(all, is_file and i.x:read() or i.x.value or "-") end
  all = include(all, kind, i.id, function(path) return weir.read(path) or "-" end, false)
  return kind == NEED and need(i, all) or all
end

local made = {}
function M.effect(weir, kind, variant, shape, ports, version, is_file)
  local name = ("e%d_%d_%d%s%s"):format(kind, variant, shape, ports, is_file and "" or "n")
  made[name] = made[name] or weir.effect(name) {
    version = tostring(version),
    run = function(i, o)
      local a, b, value = results(gather(weir, i, kind, ports, is_file), kind, variant)
      if not a then error "there is a !" end
      if shape ~= 3 then o.a:write(a) end
      if shape == 1 then o.b:write(b) end
      if shape >= 2 then return value end
    end,
  }
  return made[name]
end

-- An expand node; what its list may name is registered with it.
function M.expand(weir, slot, kind, variant, ports, version, is_file, versions, name, node)
  for _, r in pairs(rows) do M.effect(weir, r[1], r[2], r[3], "c", versions[r[1] + 1], true) end
  node.version = variant .. "." .. version
  node.run = function(i) return list(gather(weir, i, kind, ports, is_file), slot) end
  return weir.expand(name)(node)
end

local arg = { ... }
if not tonumber(arg[1]) then return M end

-- tools/sim <slot> <kind> <variant> <depfile> --in ... --out ...
local slot, kind, variant, depfile = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3]), arg[4]
local inputs, outputs, into, found = {}, {}, nil, {}
for k = 5, #arg do
  if arg[k] == "--in" then into = inputs elseif arg[k] == "--out" then into = outputs else into[#into + 1] = arg[k] end
end
local function content(path)
  local f = io.open(path, "rb")
  if not f then return "-" end
  local text = f:read "a"
  f:close()
  return text
end
local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end
local all, declared = "", {}
for _, path in ipairs(inputs) do
  all = append(all, content(path))
  declared[path] = true
end
all = include(all, kind, slot, function(path)
  if not declared[path] then found[#found + 1] = path end
  return content(path)
end, true)
local a, b = results(all, kind, variant)
write(outputs[1], a or "half")
if outputs[2] then write(outputs[2], b) end
if depfile ~= "-" then
  write(depfile, "x: " .. table.concat(found, " "))
end
os.exit(a and 0 or 3)
