-- The Rust book, as tests/book/test_book.sh runs it: expand the includes, render, lay out.
--
-- Pages are found by a glob; the table of contents is read by an effect of its own, so that a change to it evaluates
-- nothing here and an edit that leaves its links as they are stops at `nav`. Included files are found only by reading a
-- page, and are read by the effect itself.
local weir = require "weir"

-- join("src", "../listings/a.rs") is "listings/a.rs"
local function join(folder, path)
  local parts = {}
  for part in (folder .. "/" .. path):gmatch "[^/]+" do
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return table.concat(parts, "/")
end

-- Lines of an included text. `range`: nil, a line "3", lines "6:9", "6:" or ":9", or the name of an ANCHOR. The other
-- lines are left out, or with `hide` kept behind "# ", as rustdoc wants them.
local function pick(text, range, hide)
  local from, to = (range or ":"):match "^(%d*):(%d*)$"
  if range and range:match "^%d+$" then from, to = range, range end
  local first, last = tonumber(from) or 1, tonumber(to) or math.huge
  local out, number, open = {}, 0, false
  for line in (text:gsub("\n?$", "\n")):gmatch "(.-)\r?\n" do
    number = number + 1
    local mark = not from and line:match "ANCHOR[_END]*:%s*[%w_-]+"
    if mark then
      if mark:match "[%w_-]+$" == range then open = not mark:find "END" end
    elseif from and first <= number and number <= last or open then
      out[#out + 1] = line
    elseif hide then
      out[#out + 1] = "# " .. line
    end
  end
  return table.concat(out, "\n")
end

local expand = weir.effect "expand" {
  run = function(i)
    local folder = i.md.path:match "^(.*)/" or "."
    return (i.md:read():gsub("{{#([%w_]+)%s+([^%s}:]+):?([^%s}]*)[^}]*}}", function(kind, path, range)
      if kind ~= "include" and kind ~= "rustdoc_include" and kind ~= "playground" then return nil end
      local text = weir.read(join(folder, path)) -- absent: the line stays, and its absence is what was read
      return text and pick(text, range ~= "" and range or nil, kind == "rustdoc_include")
    end))
  end,
}

local contents = weir.effect "contents" {
  run = function(i)
    local out = {}
    for line in i.md:lines() do
      local indent, title, page = line:match "^(%s*)[-*]?%s*%[(.+)%]%(([^)]+)%.md%)"
      local part = line:match "^##+%s+(.+)"
      if part then out[#out + 1] = ("<li class=\"part\">%s</li>"):format(part) end
      if page then
        local class = indent == "" and "chapter" or "section"
        out[#out + 1] = ("<li class=\"%s\"><a href=\"%s.html\">%s</a></li>"):format(class, page, title)
      end
    end
    return "<ul>\n" .. table.concat(out, "\n") .. "\n</ul>"
  end,
}

local page = weir.effect "page" {
  run = function(i, o)
    local body = i.body.value
    local title = (body:match "<h1>(.-)</h1>" or "The book"):gsub("<[^>]*>", "")
    o.html:write((i.layout:read():gsub("%$(%u+)", { TITLE = title, NAV = i.nav.value, BODY = body })))
  end,
}

local layout = weir.file "layout.html"
local nav = contents "nav" { inputs = { md = weir.file "src/SUMMARY.md" } }

for _, md in ipairs(weir.glob "src/**/*.md") do
  if md.path ~= "src/SUMMARY.md" then
    local name = { post = md.rel }
    local text = expand "expand" { params = name, inputs = { md = md } }
    local body = weir.markdown "body" { params = name, inputs = { text = text } }
    page "page" {
      params = name,
      inputs = { body = body, layout = layout, nav = nav },
      outputs = { html = "public/{{post}}.html" },
    }
  end
end
