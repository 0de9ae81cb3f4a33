-- A small C program: a generated header, one object per source, a link, and a test that runs when the program changed.
local weir = require "weir"

local flags = weir.param("flags", "-O2") -- weir run flags=-O0

-- messages.txt (name = text) becomes a header. It keeps its old content and time when the texts are the same.
local messages = weir.effect "messages" {
  run = function(i, o)
    local out = { "/* made from messages.txt */" }
    for line in i.list:lines() do
      local name, text = line:match "^(%w+)%s*=%s*(.-)%s*$"
      if name then out[#out + 1] = ("#define MSG_%s %q"):format(name:upper(), text) end
    end
    o.header:write(table.concat(out, "\n") .. "\n")
  end,
}

local header = messages "messages" {
  inputs = { list = weir.file "messages.txt" },
  outputs = { header = "build/include/messages.h" },
}

-- The compiler names the headers it read (-MD); they count from then on. A generated one must be made before, so its users say
-- that they need it: a node can depend on it before the compiler was ever run.
local uses_messages = { main = true, report = true }

local function compile(source)
  return weir.sh "compile" {
    params = { unit = source.stem },
    inputs = { source = source, flags = flags, generated = uses_messages[source.stem] and header or nil },
    outputs = { object = "build/{{unit}}.o" },
    depfile = "build/{{unit}}.d",
    cmd = "cc {{flags}} -Wall -Isrc -Ibuild/include -MMD -MF build/{{unit}}.d -c -o {{object}} {{source}}",
  }
end

local main, units = nil, {}
for _, source in ipairs(weir.glob "src/*.c") do
  local object = compile(source)
  if source.stem == "main" then main = object else units[#units + 1] = object end
end

local function link(name, first)
  return weir.sh "link" {
    params = { program = name },
    inputs = { first = first, units = units },
    outputs = { binary = "build/{{program}}" },
    cmd = { "cc", "-o", "{{binary}}", "{{first}}", "{{units}}" },
  }
end

link("tally", main)

weir.sh "test" {
  inputs = { program = link("test_words", compile(weir.file "test/test_words.c")) },
  outputs = { log = "build/test.log" },
  cmd = "./{{program}} > {{log}}",
}
