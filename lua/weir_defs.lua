---@meta weir
-- weir_defs.lua - what the table `require "weir"` holds, for editors (LuaLS). It is never run.
-- luacheck: ignore 212 241

---@class weir.File A file below the project root.
---@field path string relative to the root
---@field name string last component
---@field stem string name without its extension
---@field ext string extension without the dot, or ""
---@field rel string path below the fixed part of its glob, without extension
local File = {}

--- The content, or nil where nothing is. A recorded read: of the definition while loading, of the node in an effect.
---@return string?
function File:read() end

--- An iterator over the lines, without their ends.
---@return fun(): string
function File:lines() end

--- The content as JSON.
---@return any
function File:json() end

--- One key of a .json or .toml file, as an input: an effect has it as .value, a command as {{port}}. A change elsewhere in the file runs
--- nothing. An absent key is nil, or the default.
---
---     inputs = { title = weir.file "site.toml":key "site.title", first = weir.file "a.json":key("authors[1]", "nobody") }
---@param key string names with dots between them, positions in lists from 1, odd names in double quotes
---@param default? any
---@return weir.Key
function File:key(key, default) end

---@class weir.Key One key of a document.
---@field name string path of the document

---@class weir.Item A variable or a named value.
---@field name string
---@field value any looking at it while loading is a read of the definition

---@class weir.Tool A program on PATH.
---@field name string

---@class weir.Folder A folder, tree or link.
---@field path string
---@field name string
---@field stem string
---@field ext string
---@field rel string

---@class weir.Output One output of a node: a file, or a folder.
---@field path string
---@field name string
---@field stem string
---@field ext string
---@field rel string
local Output = {}

--- One key of it, as an input: as with a file. What changes elsewhere in it stops there.
---@param key string
---@param default? any
---@return weir.Key
function Output:key(key, default) end

--- One file of an output that is a folder, as an input: weir.file of its path does the same.
---@param path string below the folder
---@return weir.Output
function Output:file(path) end

---@class weir.Node What a declaration gives: in `inputs` it is all its outputs and its value; node.PORT is one output.
---@field name string full name, page[post=intro]
---@field params table
---@field path string path of its only output
---@field [string] weir.Output

---@alias weir.Handle weir.File|weir.Key|weir.Folder|weir.Item|weir.Tool|weir.Output|weir.Node
---@alias weir.Inputs table<string, weir.Handle|weir.Handle[]>

---@class weir.Declaration
---@field params? table<string, any> data; hashed, and part of the node's name
---@field inputs? weir.Inputs
---@field outputs? table<string, string> paths; {{param}} is replaced; "public/" is a folder with all that is below
---@field version? string|number
---@field always? boolean due in every run
---@field timeout? number seconds
---@field pool? string a name given to weir.pool
---@field cpus? integer slots it takes, at most those there are
---@field mem? string|number "2G": counts against the budget of --mem
---@field retries? integer further attempts in the same run; what fails then is tried again by the next one
---@field store? boolean false: outputs are not kept in the store
---@field inflight? "queue"|"restart"|"ignore" of a watch: what to do when an input changes while it runs. "queue": it goes on, and runs again; "restart": it is ended and begins anew; "ignore": it goes on, and the next change makes it run again
---@field inflight? "queue"|"restart"|"ignore" in a watch, when an input changes while it runs: it goes on and runs once more (queue), is ended and begins anew (restart), or goes on and waits for the next change (ignore)
---@field transient? boolean outputs are on disk only while a reader needs them; the store keeps them

---@class weir.Command : weir.Declaration
---@field jobserver? boolean a GNU make that shares our slots
---@field cmd string|(string|number)[] a text for /bin/sh, or a list of words; {{port}}, {{param}}, {{port:file}}
---@field depfile? string
---@field env? table<string, string|number|weir.Item>
---@field update? boolean outputs stay in place before the run
---@field job? "pure"|"batch"|"ops"|"daemon"|"service" what happens if it is interrupted: run again, failed once, never repeated by itself, adopted

---@class weir.Input What i.PORT is inside an effect. Every look is recorded.
---@field path string
---@field name string
---@field stem string
---@field ext string
---@field value any value of the node, variable, named value or key
---@field params table params of the node
local Input = {}
--- The content; of a file in a folder or tree by its path there (nil where none is): a read of that file alone. Of an output that is a folder,
--- without a path: the list of all that is in it, with hashes; a read of all of it.
---@param path? string
---@return string?
function Input:read(path) end
--- What is in a folder, a tree, an output that is a folder, sorted; in weir.folder the name of a folder ends with a slash. A read of the names, not
--- of contents.
---@return string[]?
function Input:files() end
---@return fun(): string
function Input:lines() end
---@return any
function Input:json() end

---@class weir.In What i is inside an effect: inputs and params by name.
---@field [string] any
local In = {}
--- Wait until these nodes and files are up to date; recorded. One handle for each, nil for a file that is not there. Ask for what is known together.
---
---     local page, css = i:need("page[id=3]", "build/site.css")
---@param ... string names of nodes, paths of files
---@return weir.Input? ...
function In:need(...) end

---@class weir.Out What o.PORT is inside an effect.
---@field path string
---@field name string
---@field stem string
---@field ext string
local Out = {}
--- Appends; an output that is never written to is an error.
---@param ... string|number
---@return weir.Out
function Out:write(...) end
---@param input weir.Input
---@return weir.Out
function Out:copy(input) end
---@param bits integer permission bits
---@return weir.Out
function Out:mode(bits) end
--- A file in an output that is a folder; it takes :write, :copy and :mode. It is there even if nothing is written to it.
---@param path string below the folder
---@return weir.Out
function Out:file(path) end

---@class weir.EffectTable
---@field run fun(i: weir.In, o: table<string, weir.Out>): any the returned value is the node's value
---@field version? string|number
---@field always? boolean
---@field inflight? "queue"|"restart"|"ignore" of its nodes, unless they say otherwise
---@field code? "track"|"warn"|"pin" what a change of the code does: its results are made anew (track), are kept with a warning, or are kept until `version` changes
---@field doc? string

---@class weir.Query : weir.Declaration
---@field sql string one SELECT; each input port is a table with the columns name, path, params, value, content; :NAME is a param

---@alias weir.Apply fun(name: string): fun(declaration?: weir.Declaration): weir.Node

---@class weir
---@field sh fun(name: string): fun(command: weir.Command): weir.Node
---@field copy weir.Apply
---@field concat weir.Apply
---@field markdown weir.Apply
---@field symbols weir.Apply the interface of an ELF file (port: file)
---@field query fun(name: string): fun(query: weir.Query): weir.Node its value: the rows of a SELECT over its inputs
---@field null lightuserdata JSON's null
---@field json { encode: (fun(value: any, indent?: integer): string), decode: (fun(text: string): any) }
local weir = {}

--- A file below the root.
---
---     local layout = weir.file "templates/page.html"
---@param path string
---@return weir.File
function weir.file(path) end

--- Everything below a folder, as one input: names, types, executable bits, contents; links by their text. Dot files are part of it, empty
--- folders, weir's own outputs and .weir are not. A command gets the path; an effect has :files() and :read "name".
---
---     weir.sh "pack" { inputs = { src = weir.tree "src" }, outputs = { tar = "src.tar" }, cmd = "tar -cf {{tar}} {{src}}" }
---@param path string
---@return weir.Folder
function weir.tree(path) end

--- The names directly in a folder, and whether they are folders; not what is in them.
---@param path string
---@return weir.Folder
function weir.folder(path) end

--- The text of a symbolic link, not what is behind it: .value in an effect. (weir.file follows links.)
---@param path string
---@return weir.Folder
function weir.link(path) end

--- The files that match, sorted; a new file evaluates the workflow again.
---
---     for _, md in ipairs(weir.glob "content/**/*.md") do ... end
---@param pattern string
---@return weir.File[]
function weir.glob(pattern) end

--- An environment variable; .value is nil where it is unset.
---@param name string
---@return weir.Item
function weir.env(name) end

--- A named value, set by `weir set k=v` or `weir run k=v`.
---
---     local size = weir.value { name = "size", default = 10, type = "integer" }
---@param name string|{ name: string, default: any, type?: string, doc?: string }
---@param options? any { default = ..., type = ... }, or the default itself
---@return weir.Item
function weir.value(name, options) end

--- Another name of weir.value.
---@param name string|{ name: string, default: any, type?: string, doc?: string }
---@param options? any
---@return weir.Item
function weir.param(name, options) end

--- A program on PATH, as an input.
---@param name string
---@return weir.Tool
function weir.tool(name) end

--- Content of a file; nil where nothing is. Recorded.
---@param path string|weir.File
---@return string?
function weir.read(path) end

--- Registers an effect.
---
---     local page = weir.effect "page" { run = function(i, o) o.html:write(i.text:read()) end }
---@param name string
---@return fun(effect: weir.EffectTable): weir.Apply
function weir.effect(name) end

---@class weir.Listed One entry of the list that an expand node returns: a declaration as plain data. Other fields as in weir.Declaration and weir.Command.
---@field effect string Name of a registered effect, of a built-in one, or "sh".
---@field name? string Without params; the name of the effect if there is none.
---@field params? table
---@field inputs? table<string, weir.ListedInput|weir.ListedInput[]>
---@field outputs? table<string, string>

---@alias weir.ListedInput
---| string                           # the path of a file; what another node makes there counts
---| { node: string }                 # a node by its full name, with all it makes: "page[id=3]"
---| { node: string, output: string } # one output of it, by port
---| { env: string }
---| { value: string }
---| { tool: string }

---@class weir.ExpandTable : weir.EffectTable
---@field inputs? table As for any node.
---@field params? table As for any node.
---@field run fun(i: table): weir.Listed[]

---@class weir.ExpandNode : weir.Node
local ExpandNode = {}

--- For inputs: a list of all nodes that the expand node declares, in the order of its list. (The node itself is its value.)
---@return weir.Node[]
function ExpandNode:nodes() end

--- Declares a node whose value is a list of declarations. It runs like any other node; when its list changes, nodes are added, declared
--- anew, and removed with their outputs. A list with a mistake is a failed node, and the nodes of before stay.
---
---     local rows = weir.expand "rows" {
---       inputs = { data = weir.file "data.json" },
---       run = function(i)
---         local list = {}
---         for _, row in ipairs(i.data:json()) do
---           list[#list + 1] = { effect = "page", params = { id = row.id },
---                               inputs = { tpl = "page.html" }, outputs = { html = "public/{{id}}.html" } }
---         end
---         return list
---       end,
---     }
---     index "index" { inputs = { pages = rows:nodes() }, outputs = { html = "public/index.html" } }
---@param name string
---@return fun(expand: weir.ExpandTable): weir.ExpandNode
function weir.expand(name) end

--- Loads effects written in C; they are then weir.NAME, and in the table that is returned.
---@param path string
---@param how? { code: "track"|"warn"|"pin" } as for weir.effect; the code of a plug-in is its file
---@return table<string, weir.Apply>
function weir.plugin(path, how) end

--- A pool: of the nodes with `pool = NAME` at most `depth` run at once. Gives the name.
---
---     local link = weir.pool("link", 2)
---@param name string
---@param depth? integer one, if not given
---@return string
function weir.pool(name, depth) end

--- What `weir run` without a target makes.
---@param ... string|weir.Node|weir.Output|table
function weir.default(...) end

--- Marks a table as a JSON array, also an empty one.
---@generic T: table
---@param t? T
---@return T
function weir.array(t) end

--- Marks a table as a JSON object.
---@generic T: table
---@param t? T
---@return T
function weir.object(t) end

return weir
