--- weir - the table that workflows get with `require "weir"`.
--
-- The engine calls this chunk with the functions that are written in C; what can be said in Lua is added here.
-- The table is read-only afterwards. The C parts are described for editors in weir_defs.lua.

local weir = ...

local function compare(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return ta < tb end
  if ta == "number" or ta == "string" then return a < b end
  return false
end

--- Like pairs, in the order of the keys: numbers, then strings by their bytes.
--- `pairs` itself has another order in every process.
--
--     for name, size in weir.pairs { b = 2, a = 1 } do print(name, size) end   --> a 1, b 2
---@generic K, V
---@param t table<K, V>
---@return fun(): K, V
function weir.pairs(t)
  if type(t) ~= "table" then error("weir.pairs takes a table, not a " .. type(t) .. " value", 2) end
  local keys = {}
  for key in pairs(t) do
    local kind = type(key)
    if kind ~= "number" and kind ~= "string" then
      error("weir.pairs: a key that is a " .. kind .. " has no order", 2)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, compare)
  local at = 0
  return function()
    at = at + 1
    local key = keys[at]
    if key ~= nil then return key, t[key] end
  end
end

--- Every combination of the given lists, as a list of param tables. The last name by alphabet varies fastest.
--
--     for _, p in ipairs(weir.matrix { lang = { "en", "de" }, draft = { true, false } }) do ... end   -- four times
---@param lists table<string, any[]>
---@return table<string, any>[]
function weir.matrix(lists)
  if type(lists) ~= "table" then error("weir.matrix takes a table of lists, { lang = { \"en\", \"de\" } }", 2) end
  local rows = { {} }
  for name, list in weir.pairs(lists) do
    if type(name) ~= "string" then error("weir.matrix: params have names", 2) end
    if type(list) ~= "table" then error("weir.matrix: '" .. name .. "' is not a list", 2) end
    local next_rows = {}
    for _, row in ipairs(rows) do
      for _, value in ipairs(list) do
        local copy = { [name] = value }
        for key, old in pairs(row) do copy[key] = old end
        next_rows[#next_rows + 1] = copy
      end
    end
    rows = next_rows
  end
  return rows
end

return weir
