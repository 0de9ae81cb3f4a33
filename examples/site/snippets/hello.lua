local weir = require "weir"

local shout = weir.effect "shout" {
  run = function(i, o) o.text:write(i.from:read():upper()) end,
}

for _, file in ipairs(weir.glob "notes/*.txt") do
  shout "shout" {
    params = { note = file.rel },
    inputs = { from = file },
    outputs = { text = "loud/{{note}}.txt" },
  }
end
