-- What the crash tests run: every kind of effect, commands that write their outputs in place and slowly, one that leaves
-- its process group, and nodes that fail while src/flag.txt says "bad". Never "bad": equal to a clean run.
local weir = require "weir"

local STAMP = "stamp 0" -- changed by the driver: another definition, and other code of `shout`

local flag = weir.file "src/flag.txt"

local shout = weir.effect "shout" {
  run = function(i, o)
    local text = i.text:read()
    o.up:write(STAMP, "\n"):write(text:upper())
    return #text
  end,
}

local large = weir.effect "large" { -- above the inline limit of the store
  run = function(i, o) o.many:write((i.text:read():rep(3000))) end,
}

local page = weir.effect "page" {
  run = function(i, o) o.html:write("<main>", i.body.value, "</main>\n") end,
}

local fragile = weir.effect "fragile" {
  run = function(i, o)
    local text = i.flag:read()
    o.text:write("begin\n", text)
    if text:find "bad" then error("the flag is bad", 0) end
    o.text:write("end\n")
  end,
}

local chop = weir.effect "chop" { -- a folder of a script
  run = function(i, o)
    local n = i.text:read():match "%d+"
    o.bits:file("same/file"):write "same\n"
    o.bits:file("n" .. n .. "/a"):write(i.text:read())
    o.bits:file("n" .. n .. "/b"):write(n)
    if i.text:read():find "^bad" then error("the flag is bad", 0) end
  end,
}

local shouted = {}
for _, source in ipairs(weir.glob "src/*.md") do
  local params, inputs = { name = source.stem }, { text = source }
  shouted[#shouted + 1] = shout "shout" { params = params, inputs = inputs, outputs = { up = "build/script/{{name}}.up" } }
  large "large" { params = params, inputs = inputs, outputs = { many = "build/script/{{name}}.large" } }
  page "page" {
    params = params,
    inputs = { body = weir.markdown "body" { params = params, inputs = inputs } },
    outputs = { html = "build/script/{{name}}.html" },
  }
  weir.copy("copy-" .. source.stem) { inputs = { from = source }, outputs = { to = ("build/script/%s.copy"):format(source.stem) } }
  weir.sh "slow" {
    params = params, inputs = inputs,
    outputs = { whole = "build/slow/{{name}}.whole", half = "build/slow/{{name}}.half" },
    cmd = "head -c 9 {{text}} > {{half}}; head -c 20 {{text}} > {{whole}}; sleep 0.04; cat {{text}} > {{whole}}; "
      .. "sleep 0.02; tail -c 9 {{text}} >> {{half}}",
  }
  chop "chop" { params = params, inputs = inputs, outputs = { bits = "build/chop/{{name}}/" } }
  weir.sh "split" { -- a folder whose names come from the text
    params = params, inputs = inputs, outputs = { parts = "build/split/{{name}}/" },
    cmd = [[n=$(tr -dc 0-9 < {{text}} | head -c 4); cd {{parts}}; mkdir -p same "d$n"; echo same > same/file; echo half > "d$n/a"; sleep 0.01
      echo "$n whole" > "d$n/a"; echo '#!/bin/sh' > run; chmod +x run; ln -s "d$n/a" "link$n"]],
  }
end

weir.concat "all" { inputs = { parts = shouted }, outputs = { to = "build/script/all.up" } }

local first = weir.file "src/a.md"
weir.sh "leaves" { -- its child is in a session of its own
  inputs = { text = first }, outputs = { out = "build/leaves.txt" },
  cmd = [[printf begin > {{out}}; setsid sh -c 'sleep 0.08; cat "$0" > "$1"' {{text}} {{out}} & wait]],
}
weir.sh "update" { -- in place: half of it is there after a kill
  inputs = { text = first }, outputs = { out = "build/update.txt" }, update = true,
  cmd = "head -c 5 {{text}} > {{out}}; sleep 0.06; cat {{text}} > {{out}}",
}
weir.sh "included" {
  inputs = { text = first }, outputs = { out = "build/included.txt" }, depfile = "build/included.d",
  cmd = "cat {{text}} > {{out}}; sleep 0.03; cat src/inc.txt >> {{out}}; echo '{{out}}: src/inc.txt' > build/included.d",
}
weir.sh "big" {
  inputs = { text = first }, outputs = { out = "build/big.txt" },
  cmd = "yes \"$(cat {{text}})\" | head -n 4000 > {{out}}; sleep 0.02; echo end >> {{out}}",
}
weir.sh "chained" {
  inputs = { big = weir.concat "pair" {
    inputs = { parts = { first, flag } }, outputs = { to = "build/script/pair.txt" },
  } },
  outputs = { out = "build/chained.txt" },
  cmd = { "cp", "{{big}}", "{{out}}" },
}

weir.sh "arrived" {
  inputs = { passing = weir.sh "passing" {
    inputs = { text = first }, outputs = { out = "build/passing.txt" }, transient = true, cmd = "sort {{text}} > {{out}}",
  } },
  outputs = { out = "build/arrived.txt" }, cmd = "uniq {{passing}} > {{out}}",
}

local made = fragile "fragile" { inputs = { flag = flag }, outputs = { text = "build/script/fragile.txt" } }
weir.copy "behind" { inputs = { from = made }, outputs = { to = "build/script/behind.txt" } }
weir.plugin "half.so"
weir.half "half" { inputs = { text = flag }, outputs = { to = "build/script/half.txt" } }
weir.sh "brittle" {
  inputs = { flag = flag }, outputs = { out = "build/brittle.txt" },
  cmd = "echo begin > {{out}}; sleep 0.05; cat {{flag}} >> {{out}}; ! grep -q bad {{flag}}",
}
weir.sh "crumbs" {
  inputs = { flag = flag }, outputs = { out = "build/crumbs/" },
  cmd = "echo begin > {{out}}/other; sleep 0.02; cat {{flag}} > {{out}}/flag; ! grep -q bad {{flag}}",
}

local bulk = weir.effect "bulk" { -- what the store cannot make smaller: the log of the database grows to a checkpoint
  run = function(i)
    local n, out = #i.text:read() + i.k * 7919, {}
    for at = 1, 6000 do
      n = (n * 1103515245 + 12345) % 2147483648
      out[at] = string.char(33 + n // 65536 % 90)
    end
    return table.concat(out)
  end,
}
for k = 1, tonumber(weir.read "src/many" or "") or 0 do bulk "bulk" { params = { k = k }, inputs = { text = first } } end
