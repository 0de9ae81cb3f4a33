#!/usr/bin/env lua5.4
-- real.lua - what the effects of graph.h compute, once more: as Lua effects (required by weir.lua) and as a command (tools/sim).

local M = {}
local CONCAT, FIRST, LENGTH, CONSTANT, INCLUDE, FAIL = 0, 1, 2, 3, 4, 5
local SOURCES, SLOTS = 8, 25

-- Texts are cut where C's arrays end.
local function append(all, text) return (all .. text):sub(1, 1023) end

local function included(what, slot)
  if what:match "[0-7]" then return "s/" .. what end
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

local made = {}
-- ports: which inputs there are, as letters; l: c is a list; is_file: port x is one, else a variable or value
function M.effect(weir, kind, variant, shape, ports, version, is_file)
  local name = ("e%d_%d_%d%s%s"):format(kind, variant, shape, ports, is_file and "" or "n")
  local has_c, has_list, has_v, has_x = ports:find "c", ports:find "l", ports:find "v", ports:find "x"
  made[name] = made[name] or weir.effect(name) {
    version = tostring(version),
    run = function(i, o)
      local all, slot = "", i.id
      if has_c then
        all = append(all, i.c:read())
      elseif has_list then
        for _, member in ipairs(i.c) do all = append(all, member:read()) end
      end
      if has_v then
        for _, member in ipairs(i.v) do all = append(all, member.value) end
      end
      if has_x and all:sub(1, 1) == "r" then all = append(all, is_file and i.x:read() or i.x.value or "-") end
      all = include(all, kind, slot, function(path) return weir.read(path) or "-" end, false)
      local a, b, value = results(all, kind, variant)
      if not a then error "there is a !" end
      if shape ~= 3 then o.a:write(a) end
      if shape == 1 then o.b:write(b) end
      if shape >= 2 then return value end
    end,
  }
  return made[name]
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
