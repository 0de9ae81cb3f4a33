-- c_program.lua WORK WEIR JOBS - the steps of c_program.sh: one tree for weir, one for ninja, the same edits in both, and a table.

local work, weir, jobs = table.unpack(arg)

local WORKFLOW = [[
local weir = require "weir"
local include = "-Ilib -Ilib/common -Ilib/compress -Ilib/decompress -Ilib/dictBuilder -Ilib/legacy -Iprograms"

local function compile(source)
  return weir.sh "compile" {
    params = { unit = source.path:match "^(.*)%%.c$" },
    inputs = { source = source },
    outputs = { object = "build/{{unit}}.o" },
    depfile = "build/{{unit}}.d",
    cmd = "cc %s -DNDEBUG -DZSTD_DISABLE_ASM -DZSTD_MULTITHREAD -DZSTD_LEGACY_SUPPORT=1 " .. include ..
      " -MMD -MF build/{{unit}}.d -c -o {{object}} {{source}}",
  }
end

local function objects(pattern)
  local list = {}
  for _, source in ipairs(weir.glob(pattern)) do list[#list + 1] = compile(source) end
  return list
end

local library = weir.sh "library" {
  inputs = { objects = objects "lib/**/*.c" }, outputs = { archive = "build/libzstd.a" },
  cmd = "rm -f {{archive}}; ar rcsD {{archive}} {{objects}}",
}
local function link(name, parts)
  weir.sh "link" {
    params = { program = name }, inputs = { parts = parts, library = library }, outputs = { binary = "build/{{program}}" },
    cmd = "cc -pthread -o {{binary}} {{parts}} {{library}}",
  }
end
link("zstd", objects "programs/*.c")
for _, source in ipairs(weir.glob "examples/*.c") do link(source.stem, { compile(source) }) end
]]

local function sh(command)
  local pipe = assert(io.popen(command .. "; echo $?"))
  local text = pipe:read "a"
  pipe:close()
  local out, code = text:match "^(.-)(%d+)\n$"
  return tonumber(code), out
end

local function must(command)
  local code, out = sh(command .. " 2>&1")
  if code ~= 0 then error(("%s: exit code %d\n%s"):format(command, code, out), 0) end
  return out
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function list(pattern)
  local paths = {}
  for path in must(("cd %s/ninja && find %s -name '*.c' | sort"):format(work, pattern)):gmatch "[^\n]+" do paths[#paths + 1] = path end
  return paths
end

-- The same graph for ninja, written once: new sources would need it to be written again.
local function ninja_file(flags)
  local out = {
    "rule cc\n command = cc " .. flags .. " -DNDEBUG -DZSTD_DISABLE_ASM -DZSTD_MULTITHREAD -DZSTD_LEGACY_SUPPORT=1 -Ilib -Ilib/common " ..
      "-Ilib/compress -Ilib/decompress -Ilib/dictBuilder -Ilib/legacy -Iprograms -MMD -MF $unit.d -c -o $out $in\n" ..
      " depfile = $unit.d\n deps = gcc\n",
    "rule ar\n command = rm -f $out; ar rcsD $out $in\n",
    "rule link\n command = cc -pthread -o $out $in\n",
  }
  local function compile(paths)
    local objects = {}
    for _, path in ipairs(paths) do
      local unit = "build/" .. path:match "^(.*)%.c$"
      out[#out + 1] = ("build %s.o: cc %s\n unit = %s\n"):format(unit, path, unit)
      objects[#objects + 1] = unit .. ".o"
    end
    return objects
  end
  local function join(rule, target, objects)
    out[#out + 1] = ("build %s: %s %s\n"):format(target, rule, table.concat(objects, " "))
  end
  local function link(name, objects)
    objects[#objects + 1] = "build/libzstd.a"
    join("link", "build/" .. name, objects)
  end
  join("ar", "build/libzstd.a", compile(list "lib"))
  link("zstd", compile(list "programs"))
  for _, path in ipairs(list "examples") do link(path:match "([^/]*)%.c$", compile { path }) end
  return table.concat(out)
end

local function define(flags)
  write(work .. "/weir/weir.lua", WORKFLOW:format(flags))
  write(work .. "/ninja/build.ninja", ninja_file(flags))
end

-- Both tools, and all that they made compared. What ran is what each tool says itself.
local function build()
  local result = {}
  local began = must "date +%s%N"
  local out = must(("cd %s/weir && %s run --json -j %s 2>/dev/null"):format(work, weir, jobs))
  local between = must "date +%s%N"
  result.weir = tonumber(out:match '"run_finished".-"ran":(%d+)')
  result.restored = tonumber(out:match '"run_finished".-"restored":(%d+)')
  local lines = must(("cd %s/ninja && ninja -v -j %s"):format(work, jobs))
  result.ninja = select(2, lines:gsub("%f[^\n\0]%[%d+/%d+%]", ""))
  result.weir_seconds, result.ninja_seconds = (between - began) / 1e9, (must "date +%s%N" - between) / 1e9
  must(("cd %s && diff -r -x '*.d' weir/build ninja/build"):format(work))
  return result
end

local function both(action)
  for _, tool in ipairs { "weir", "ninja" } do action(work .. "/" .. tool) end
end

local function append(path, text)
  both(function(root) write(root .. "/" .. path, read(root .. "/" .. path) .. text) end)
end

-- Text for a header that changes every object that includes it.
local function probe(name)
  return ("#ifndef PROBE_%s\n#define PROBE_%s\nstatic const char probe_%s[] __attribute__((used)) = \"x\";\n#endif\n"):format(name, name, name)
end

local COMMENT = "/* a remark at the end */\n"
local steps = {
  { "first build", function() define "-O1" end },
  { "nothing changed", function() end },
  { "every file touched", function() both(function(root) must(("find %s/lib %s/programs -type f -exec touch {} +"):format(root, root)) end) end },
  { "comment in a source", function() append("lib/common/pool.c", COMMENT) end },
  { "code in a source", function() append("programs/util.c", "const char probe_source[] = \"one\";\n") end },
  { "comment in a header (mem.h)", function() append("lib/common/mem.h", COMMENT) end },
  { "code in a header (util.h)", function() append("programs/util.h", probe "header") end },
  { "compiler flag", function() define "-O2" end },
  { "flag back", function() define "-O1" end },
  { "branch with other code", function()
    both(function(root)
      must(("cd %s && git -c init.defaultBranch=main init -q && git add lib programs examples && git -c user.name=a -c user.email=a@b commit -qm a && git checkout -qb other"):format(root))
    end)
    append("lib/common/mem.h", probe "branch")
    append("programs/fileio.c", "const char probe_file[] = \"four\";\n")
    both(function(root) must(("cd %s && git -c user.name=a -c user.email=a@b commit -qam b"):format(root)) end)
  end },
  { "branch back", function() both(function(root) must(("cd %s && git checkout -q main"):format(root)) end) end },
  { "branch forth again", function() both(function(root) must(("cd %s && git checkout -q other"):format(root)) end) end },
  { "an object removed", function() both(function(root) os.remove(root .. "/build/programs/util.o") end) end },
}

print(("%-30s %8s %10s %8s %10s %10s"):format("", "weir ran", "(restored)", "ninja ran", "weir s", "ninja s"))
for _, step in ipairs(steps) do
  step[2]()
  local r = build()
  print(("%-30s %8d %10d %9d %10.2f %10.2f"):format(step[1], r.weir, r.restored, r.ninja, r.weir_seconds, r.ninja_seconds))
end
must(("cd %s/weir && %s db check"):format(work, weir))
