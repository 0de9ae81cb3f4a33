-- A document is split into chapters. How many there are, and what their files are called, is known only after looking.
local weir = require "weir"

local split = weir.effect "split" {
  run = function(i, o)
    local name
    for line in i.book:lines() do
      local title = line:match "^# (.+)"
      if title then name = title:lower():gsub("%W+", "-") .. ".md" end
      if name then o.chapters:file(name):write(line, "\n") end
    end
  end,
}
local chapters = split "split" { inputs = { book = weir.file "book.md" }, outputs = { chapters = "build/chapters/" } }

local contents = weir.effect "contents" {                    -- reads the names alone: a chapter that is rewritten does not run it
  run = function(i, o)
    for n, name in ipairs(i.chapters:files()) do o.list:write(n, ". ", name, "\n") end
  end,
}
contents "contents" { inputs = { chapters = chapters }, outputs = { list = "build/contents.txt" } }

weir.sh "preview" {                                          -- one of them: runs when that one changed
  inputs  = { chapter = weir.file "build/chapters/the-harbour.md" },
  outputs = { text = "build/preview.txt" },
  cmd     = "head -n 3 {{chapter}} > {{text}}",
}

weir.sh "count" {                                            -- all of them
  inputs  = { chapters = chapters },
  outputs = { words = "build/words.txt" },
  cmd     = "cat {{chapters}}*.md | wc -w > {{words}}",
}
