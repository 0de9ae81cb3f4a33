-- A documentation site: expand includes, render Markdown, lay out. Run `weir run`, then look into public/.
local weir = require "weir"

-- Replaces {{#include path}} by the file; which files a page includes is found only by reading it.
local expand = weir.effect "expand" {
  run = function(i)
    return (i.md:read():gsub("{{#include%s+([^%s}]+)%s*}}", function(path)
      local text = weir.read(path)
      if not text then error(i.md.path .. " includes " .. path .. ", which is not there", 0) end
      return (text:gsub("\n$", ""))
    end))
  end,
}

-- The table of contents as a list: { { title = "Inputs", page = "inputs" }, ... }
local contents = weir.effect "contents" {
  run = function(i)
    local list = {}
    for line in i.summary:lines() do
      local title, page = line:match "%[(.-)%]%((.-)%.md%)"
      if page then list[#list + 1] = { title = title, page = page } end
    end
    return list
  end,
}

local function link(entry, class)
  return entry and ('<a class="%s" href="%s.html">%s</a>'):format(class, entry.page, entry.title) or ""
end

-- Body and navigation into the layout; $NAME in the layout stands for a part.
local page = weir.effect "page" {
  run = function(i, o)
    local list, at, nav = i.contents.value, 0, {}
    for n, entry in ipairs(list) do
      if entry.page == i.post then at = n end
      nav[n] = "<li>" .. link(entry, entry.page == i.post and "here" or "there") .. "</li>"
    end
    local title = at > 0 and list[at].title or i.post
    o.html:write((i.layout:read():gsub("%$(%u+)", {
      TITLE = title, BODY = i.body.value, NAV = table.concat(nav, "\n"),
      PREVIOUS = link(list[at - 1], "previous"), NEXT = link(at > 0 and list[at + 1], "next"),
    })))
  end,
}

local layout = weir.file "templates/page.html"
local toc = contents "toc" { inputs = { summary = weir.file "SUMMARY.md" } }

for _, md in ipairs(weir.glob "content/**/*.md") do -- a new page is found by the next run
  local params = { post = md.rel }
  local text = expand "expand" { params = params, inputs = { md = md } }
  local body = weir.markdown "body" { params = params, inputs = { text = text } } -- equal HTML: the edit stops here
  page "page" {
    params = params,
    inputs = { body = body, contents = toc, layout = layout },
    outputs = { html = "public/{{post}}.html" },
  }
end

weir.copy "style" { inputs = { from = weir.file "templates/style.css" }, outputs = { to = "public/style.css" } }
