"""test_forward.py - what a command says when a watch answers it is what it says alone.

Two copies of a project, one of them with a watch: each command is given to both, and both must say the same on both streams, with the same exit code,
apart from times, and from which of two nodes that run beside one another ended first.
"""
import os, signal, socket, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.environ["WEIR_SOURCE"], "tests", "watch"))
from watchlib import *

LUA = r"""
local weir = require "weir"
local mode = weir.value { name = "mode", default = "good" }
local up = weir.effect "up" { run = function(i, o) o.to:write(i.from:read():upper() .. i.mode.value) return { n = #i.mode.value } end }
local list = {}
for _, f in ipairs(weir.glob "src/*.txt") do
  list[#list + 1] = up "up" { params = { n = f.rel }, inputs = { from = f, mode = mode }, outputs = { to = "build/{{n}}.up" } }
end
weir.sh "all" { inputs = { list = list }, outputs = { to = "build/all" }, env = { SHOWN = weir.env "SHOWN" },
  cmd = "printf 'odd \\351\\000 bytes\\033[31m\\n'; cat {{list}} > {{to}}; echo $SHOWN >> {{to}}" }
weir.sh "maybe" { inputs = { mode = mode }, outputs = { to = "build/maybe" },
  cmd = "echo trying {{mode}}; [ {{mode}} != bad ] || { echo no >&2; exit 3; }; echo {{mode}} > {{to}}" }
weir.sh "user" { inputs = { it = weir.file "build/maybe" }, outputs = { to = "build/user" }, cmd = "cat {{it}} > {{to}}" }
"""
FILES = [("src/a.txt", "one\n"), ("src/b.txt", "two\n"), ("src/c.txt", "three\n")]
os.environ["SHOWN"] = "first"
here = Project("x/alone/project", LUA, FILES)
there = Project("x/" + "a folder with a long name, so that the path of the socket is too long for an address, " * 2 + "/project", LUA, FILES)


def told(text, p):
    """Without times, and that others were first; the lines before the last one in any order."""
    lines = without_times(text.decode(errors="backslashreplace").replace(p.folder, "ROOT")).splitlines()
    lines = [line for line in lines if not line.endswith("is at work; this comes next")]
    return "\n".join(sorted(lines[:-1]) + lines[-1:])


def both(*words, env=None):
    alone, asked = here.weir(*words, env=env), there.weir(*words, env=env)
    name = "weir " + " ".join(words)
    for stream in ("stdout", "stderr"):
        mine, theirs = told(getattr(alone, stream), here), told(getattr(asked, stream), there)
        check("%s: %s" % (name, stream), mine == theirs, "\n--- alone\n%s--- with a watch\n%s" % (mine, theirs))
    check("%s: exit code" % name, alone.returncode == asked.returncode, (alone.returncode, asked.returncode))
    return asked


def outputs():
    for name in ("all", "a.up", "maybe", "user"):
        check("build/" + name, here.read("build/" + name) == there.read("build/" + name), (here.read("build/" + name), there.read("build/" + name)))


here.weir("run")
there.start("--json")
serving = there.process.pid
with Client(there) as c:
    version = c.hello["weir"].encode()
both("run")
both("run", "--json")
both("run", "--json", "--force")
both("run", "--force", "-v", "-j1")
both("run", "up*", "--force", "--json", "-j1")
both("run", "build/all", "--force")
both("run", "nothing")
both("run", "--json", "nothing")
both("run", "what=7", "--json")
both("run", "-C", "src", "../build/all", "--force")
both("run", "mode=better", "--json", "-j1")
outputs()
both("run", "mode=better")
both("run", "mode=bad", "--json", "-j1")
outputs()
both("run", "mode=bad", "-x", "-j1")
both("run", "mode=bad", "-n")
both("status")
both("status", "--exit-code", "--json")
both("run", "--json", "-j1")
outputs()
both("run", "--json", "-j1", env={"SHOWN": "second"})
outputs()
both("run", "-j1")
both("run", "-n", "--json", "--force")
both("ls", "--json")
both("why", "all")
both("show", "maybe", "--json")
both("get", "build/all")
both("log", "maybe")
both("get", "nothing")
both("accept", "maybe", "--json")
both("accept")
both("accept", "nothing")
for p in (here, there):
    p.write("weir.lua", LUA + "\nnonsense(\n")
both("run")
both("run", "--json")
both("check")
both("void", "nothing")
for p in (here, there):
    p.write("weir.lua", LUA)
both("run", "-j1")
both("set", "mode")
both("set", "mode=set")
until("the watch has made what hangs on it", lambda: there.read("build/maybe") == "set\n" and there.is_quiet())
here.weir("run")
outputs()
both("status", "--check")
both("set", "--unset", "mode")
both("void", "all")
until("quiet", there.is_quiet)
check("the same watch all the time", there.is_alive() and there.process.pid == serving)

def looked(*words):
    """Asks until the watch is not at work: on a crowded machine a run may take longer than a look waits."""
    done = there.weir(*words)
    while b"recorded so far" in done.stderr:
        done = there.weir(*words)
    return done


# An edit, then a question: the answer speaks of the file as it is.
for i in range(10):
    there.write("src/a.txt", "edit %d\n" % i)
    if i % 2:
        answer = json.loads(looked("why", "up[n=a]", "--json").stdout)
        check("why after an edit", answer["outcome"] == "ran", answer)
        rows = looked("sql", "SELECT count(*) AS n FROM weir_runs", "--json").stdout
        check("sql beside a watch", json.loads(rows)[0]["n"] > 0, rows)
        check("get after an edit", looked("get", "build/a.up").stdout.startswith(b"EDIT %d\n" % i))
    else:
        there.weir("run")
        check("run after an edit", there.read("build/a.up").startswith("EDIT %d\n" % i), there.read("build/a.up"))

# --- another graph, another version, another watch ----------------------------------------------------------------------------

there.write("other.lua", LUA)
done = there.weir("run", "-f", "other.lua")
check("another definition file", done.returncode == 4 and b"not on other.lua" in done.stderr, done)
done = there.weir("watch")
check("a second watch", done.returncode == 4 and str(serving).encode() in done.stderr, done)
check("the first one lives", there.is_alive())
there.stop(signal.SIGKILL)

weirdir = os.open(there.path(".weir"), os.O_RDONLY)
os.unlink(there.path(".weir/socket"))
fake = socket.socket(socket.AF_UNIX)
fake.bind("/proc/self/fd/%d/socket" % weirdir)
fake.listen()


def serve(hello):
    one, _ = fake.accept()
    try:
        one.sendall(hello)
        one.recv(100000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    one.close()


def ask_fake(hello, *words):
    thread = threading.Thread(target=serve, args=(hello,))
    thread.start()
    done = there.weir(*words)
    thread.join()
    return done


for words in (("run",), ("set", "mode=x"), ("accept", "all")):
    done = ask_fake(b'{"weir":"9.9.9","protocol":1,"process":1}\n', *words)
    check("a watch of another version", done.returncode == 4 and b"9.9.9" in done.stderr, done)
done = ask_fake(b'{"weir":"9.9.9","protocol":1,"process":1}\n', "ls")
check("looking beside a watch of another version", done.returncode == 0 and b"9.9.9" in done.stderr and b"maybe" in done.stdout, done)
done = ask_fake(b"what?\n", "run")
check("something else behind the socket", done.returncode == 4 and done.stderr, done)
done = ask_fake(b"", "run")
check("a watch that ends just then", done.returncode == 0, done)
# One that is at work for longer than anybody answers in (its first look at a large tree) is waited for.
for words in (("run",), ("set", "mode=x")):
    client = there.begin(*words)
    one, _ = fake.accept()
    line = client.stderr.readline()
    check("weir %s waits for a watch that does not answer yet" % words[0], "process %d" % os.getpid() in line and "waiting for it" in line, line)
    one.sendall(b'{"weir":"%s","protocol":1,"process":1}\n' % version)
    one.recv(100000)
    one.close()
    said = client.stderr.read()
    check("and goes on alone when it has ended", client.wait(PATIENCE) == 0, said)
client = there.begin("run")
one, _ = fake.accept()
client.stderr.readline()
client.send_signal(signal.SIGINT)
check("^C ends that", client.wait(PATIENCE) == 130)
one.close()
fake.close()
done = there.weir("run")
check("nobody behind the socket", done.returncode == 0, done)

# --- ^C at the client, a client within a run -------------------------------------------------------------------------------------

p = Project("slow", """
local weir = require "weir"
weir.sh "slow" { inputs = { go = weir.value { name = "go", default = 0 } }, outputs = { to = "slow.out" },
  cmd = "echo > started; while [ {{go}} = 1 ] && [ ! -e stop ]; do sleep 0.02; done; echo {{go}} > {{to}}" }
weir.sh "inside" { inputs = { go = weir.value { name = "inside", default = "status" } }, outputs = { to = "inside.out" },
  cmd = "set +e; '%s' {{go}} > {{to}} 2>&1; echo code $? >> {{to}}" }
""" % WEIR).start()
os.remove(p.path("started"))
client = p.begin("run", "slow", "go=1")
until("the slow node runs", lambda: p.has("started"))
second = p.begin("run", "go=0")
check("who comes second is told", "is at work" in second.stderr.readline())
client.send_signal(signal.SIGINT)
line = ""
while "interrupt again" not in line:
    line = client.stderr.readline()
    if not check("the first ^C is understood", line != ""):
        break
client.send_signal(signal.SIGINT)
said = client.stderr.read()
check("the second ^C ends it", client.wait(PATIENCE) == 130 and "interrupted" in said, said)
said = second.stderr.read()
check("the second one has its turn", second.wait(PATIENCE) == 0 and p.read("slow.out") == "0\n", said)
check("the watch lives", p.is_alive())
done = p.weir("run", "inside=run")
check("a run within a run does not wait for itself", done.returncode == 0 and "code 4" in p.read("inside.out"), p.read("inside.out"))
done = p.weir("run", "inside=status", "--force")
check("a look within a run", "code 0" in p.read("inside.out"), p.read("inside.out"))

# A watch that was stopped (^Z) answers nobody, and nobody waits for it for ever.
os.remove(p.path("started"))
client = p.begin("run", "slow", "go=1")
until("the slow node runs", lambda: p.has("started"))
p.process.send_signal(signal.SIGSTOP)
for i in range(3):
    client.send_signal(signal.SIGINT)
    time.sleep(0.1)
check("the third ^C leaves at once", client.wait(PATIENCE) == 130)
done = p.weir("status")
check("a look beside a stopped watch", done.returncode == 0 and b"does not answer" in done.stderr, done)
p.process.send_signal(signal.SIGCONT)
until("it goes on, and ends what nobody waits for", p.is_quiet)
check("ended by TERM", p.stop() == 143)

# A watch that is killed in the middle of it: who asked takes over.
p.start()
os.remove(p.path("started"))
client = p.begin("run", "slow", "go=1")
until("the slow node runs", lambda: p.has("started"))
os.remove(p.path("started"))
p.stop(signal.SIGKILL)
until("it runs once more", lambda: p.has("started"))
p.write("stop", "")
said = client.stderr.read()
check("who asked goes on alone", client.wait(PATIENCE) == 0 and "the watch has ended" in said, said)
check("and what it made", p.read("slow.out") == "1\n", p.read("slow.out"))

# A watch that has the lock and does not listen yet: it ends what an earlier one has left running.
p = Project("begins", """
local weir = require "weir"
weir.sh "stubborn" { inputs = { go = weir.value { name = "go", default = 0 } }, outputs = { to = "out" },
  cmd = "trap '' TERM; echo > started; while [ ! -e stop ]; do sleep 0.02; done; echo {{go}} > {{to}}" }
""")


def ask_while_it_begins(*words):
    """What was said, and the exit code; None: it began too soon to be met."""
    for name in ("started", "stop"):
        if p.has(name):
            os.remove(p.path(name))
    p.write("weir.lua", p.read("weir.lua").replace("echo ", "echo again ", 1))
    p.launch()
    until("it runs", lambda: p.has("started"))
    p.stop(signal.SIGKILL)
    p.launch()
    until("the next one has the lock", lambda: "process %d, a watch" % p.process.pid in p.read(".weir/lock"))
    client = p.begin(*words)
    line = client.stderr.readline()
    p.write("stop", "")
    said = line + client.stderr.read()
    code = client.wait(PATIENCE)
    is_met = "a watch (process %d)" % p.process.pid in line and "waiting for it" in line
    check("weir %s is answered when the watch is up" % words[0], code == 0 and p.is_alive(), (code, said))
    if words[0] == "run":
        check("and what it was asked for", p.read("out") == "7\n", p.read("out"))
    p.stop()
    return is_met


for words in (("run", "go=7"), ("set", "go=8")):
    check("weir %s waits for a watch that begins" % words[0], any(ask_while_it_begins(*words) for _ in range(5)))

# The environment of who asks: also for what loading the workflow reads of it.
p = Project("environment", """
local weir = require "weir"
local tail = weir.env "TAIL"
local up = weir.effect "up" { run = function(i, o) o.to:write(i.tail.value or "none") end }
up "up" { inputs = { tail = tail }, outputs = { to = "build/up" } }
weir.sh "sh" { params = { n = 1 }, inputs = { tail = tail }, outputs = { to = "build/sh" }, cmd = "echo {{tail}} > {{to}}" }
""").start()
for text in ("one", "two", "one"):
    done = p.weir("run", env={"TAIL": text})
    check("run with TAIL=" + text, done.returncode == 0 and p.read("build/up") == text and p.read("build/sh") == text + "\n", (done, p.read("build/up")))
    p.write("weir.lua", p.read("weir.lua") + "-- again\n")
    until("quiet", p.is_quiet)
    check("an edit after it goes on with TAIL=" + text, p.read("build/up") == text, p.read("build/up"))
check("ended by TERM", p.stop() == 143)
end()
