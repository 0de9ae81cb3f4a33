local weir = require "weir"

weir.sh "count" {
  inputs = { notes = weir.glob "notes/*.txt" },
  outputs = { total = "build/words.txt" },
  cmd = "cat {{notes}} | wc -w > {{total}}",
}
