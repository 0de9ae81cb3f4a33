-- model.lua - works out, without weir, what every node of the book's workflow reads and makes.
--
-- Shares no code with weir.lua: it walks the text by positions where the workflow matches lines. What a node reads is
-- written down as a list { {name, kind, text}, ... } in the order of reading, kind being "file", "value" or "absent".
local history = require "history"

local model = {}

-- --- text ------------------------------------------------------------------------------------------------------------

local function split(text)
  local list, at = {}, 1
  while at <= #text do
    local stop = text:find("\n", at, true) or #text + 1
    local line = text:sub(at, stop - 1)
    if line:sub(-1) == "\r" then line = line:sub(1, -2) end
    list[#list + 1] = line
    at = stop + 1
  end
  return list
end

local function clean(folder, path)
  local whole = folder .. "/" .. path
  local before
  repeat
    before = whole
    whole = whole:gsub("/%./", "/"):gsub("//+", "/"):gsub("[^/]+/%.%./", "", 1)
  until whole == before
  return whole
end

local function marker(line)
  local at = line:find("ANCHOR", 1, true)
  if not at then return end
  local closing, name = false, nil
  local rest = line:sub(at + 6)
  if rest:sub(1, 4) == "_END" then closing, rest = true, rest:sub(5) end
  if rest:sub(1, 1) == ":" then name = rest:match("^:%s*([%w_-]+)") end
  return name, closing
end

-- Which lines of an included file show: a set of numbers; and which are left out whatever happens (marks of anchors).
local function chosen(list, range)
  local show, drop = {}, {}
  if range == "" then range = "1:" end
  if not range:find("[^%d:]") then
    local colon = range:find(":", 1, true)
    local from = tonumber(colon and range:sub(1, colon - 1) or range) or 1
    local to = not colon and from or tonumber(range:sub(colon + 1)) or #list
    for n = from, math.min(to, #list) do show[n] = true end
    return show, drop
  end
  local inside = false
  for n, line in ipairs(list) do
    local name, closing = marker(line)
    if name then
      drop[n] = true
      if name == range then inside = not closing end
    else
      show[n] = inside or nil
    end
  end
  return show, drop
end

local function included(text, range, hide)
  local list = split(text)
  local show, drop = chosen(list, range)
  local out = {}
  for n, line in ipairs(list) do
    if show[n] then out[#out + 1] = line
    elseif hide and not drop[n] then out[#out + 1] = "# " .. line end
  end
  return table.concat(out, "\n")
end

-- Text of a page with its includes, and what was read for it.
local function expanded(tree, page, load)
  local text = load(tree[page])
  local reads, out, at = { { page, "file", text } }, {}, 1
  while true do
    local open, stop = text:find("{{#", at, true)
    local close = open and text:find("}}", stop + 1, true)
    if not close then break end
    local words = {}
    for word in text:sub(stop + 1, close - 1):gmatch "%S+" do words[#words + 1] = word end
    local kind, target = words[1], words[2]
    local result
    if target and (kind == "include" or kind == "rustdoc_include" or kind == "playground") then
      local colon = target:find(":", 1, true)
      local path = clean(page:match "^(.*)/", colon and target:sub(1, colon - 1) or target)
      local found = tree[path] and load(tree[path])
      reads[#reads + 1] = { path, found and "file" or "absent", found or "" }
      result = found and included(found, colon and target:sub(colon + 1) or "", kind == "rustdoc_include")
    end
    out[#out + 1] = text:sub(at, open - 1) .. (result or text:sub(open, close + 1))
    at = close + 2
  end
  return table.concat(out) .. text:sub(at), reads
end

local function navigation(summary)
  local out = { "<ul>" }
  for _, line in ipairs(split(summary)) do
    local open, middle, stop = line:find("[", 1, true), line:find("](", 1, true), line:find(".md)", 1, true)
    if line:sub(1, 2) == "##" then
      out[#out + 1] = '<li class="part">' .. line:gsub("^#+%s+", "") .. "</li>"
    elseif open and middle and stop then
      local class = line:find "^%s" and "section" or "chapter"
      out[#out + 1] = '<li class="' .. class .. '"><a href="' .. line:sub(middle + 2, stop - 1) .. '.html">'
        .. line:sub(open + 1, middle - 1) .. "</a></li>"
    end
  end
  out[#out + 1] = "</ul>"
  return table.concat(out, "\n")
end

-- --- rendering -------------------------------------------------------------------------------------------------------

-- html[text] for all texts, asking the program `render` once for those not yet known.
local function render_all(program, texts, html)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  local wanted = {}
  for _, text in ipairs(texts) do
    if not html[text] then
      html[text] = true
      wanted[#wanted + 1] = text
      file:write(#text, "\n", text)
    end
  end
  assert(file:close())
  if #wanted > 0 then
    local pipe <close> = assert(io.popen(("'%s' < '%s'"):format(program, name), "r"))
    for _, text in ipairs(wanted) do
      local size = tonumber(pipe:read "l")
      html[text] = size == 0 and "" or assert(pipe:read(size), "render answered too little")
    end
  end
  os.remove(name)
end

-- --- nodes -----------------------------------------------------------------------------------------------------------

-- A world remembers file contents and rendered texts between steps.
function model.world(data, render, layout)
  local contents, html = {}, {}
  local world = { history = history.open(data) }
  local function load(path)
    contents[path] = contents[path] or history.read(path)
    return contents[path]
  end

  -- All nodes at a step: name -> { effect, params, reads }.
  function world.nodes(step)
    local tree = world.history:at(step)
    local nodes, pages, texts = {}, {}, {}
    for path in pairs(tree) do
      local post = path:match "^src/(.+)%.md$"
      if post and post ~= "SUMMARY" and not path:find "/%." then
        local text, reads = expanded(tree, path, load)
        pages[post] = text
        texts[#texts + 1] = text
        nodes["expand[post=" .. post .. "]"] = { effect = "expand", params = post, reads = reads }
      end
    end
    render_all(render, texts, html)
    local summary = load(tree["src/SUMMARY.md"])
    local nav = navigation(summary)
    nodes.nav = { effect = "contents", params = "", reads = { { "src/SUMMARY.md", "file", summary } } }
    for post, text in pairs(pages) do
      local expand, body = "expand[post=" .. post .. "]", "body[post=" .. post .. "]"
      nodes[body] = { effect = "markdown", params = post, reads = { { expand, "value", text } } }
      nodes["page[post=" .. post .. "]"] = { effect = "page", params = post, reads = {
        { body, "value", html[text] }, { "layout.html", "file", layout }, { "nav", "value", nav } } }
    end
    return nodes
  end
  return world
end

return model
