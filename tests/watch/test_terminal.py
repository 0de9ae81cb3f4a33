"""test_terminal.py - a watch on a terminal: keys, resizing, ^C, ^Z, fg and bg, and a terminal that is as it was afterwards.

The terminal is a pseudo terminal with a shell in it, which does what shells do with jobs. What is awaited is what a person would see.
"""
import fcntl, os, pty, re, signal, struct, sys, termios

sys.path.insert(0, os.path.join(os.environ["WEIR_SOURCE"], "tests", "watch"))
from watchlib import *
import select

LUA = r"""
local weir = require "weir"
local up = weir.effect "up" { run = function(i, o) o.to:write((i.from:read():upper())) end }
for _, f in ipairs(weir.glob "src/*.txt") do
  up "up" { params = { n = f.rel }, inputs = { from = f }, outputs = { to = "build/{{n}}.up" } }
end
weir.sh "test" { inputs = { from = weir.file "test.txt" }, outputs = { to = "build/test" },
  cmd = "{ grep -q good {{from}} || [ -e hidden ]; } && echo tested > {{to}}" }
weir.sh "after" { inputs = { it = weir.file "build/test" }, outputs = { to = "build/after" }, cmd = "cat {{it}} > {{to}}" }
weir.sh "slow" { inputs = { from = weir.file "slow.txt" }, outputs = { to = "build/slow" },
  cmd = "read s < {{from}}; echo $s > reading; while [ $s = wait ]; do sleep 0.02; done; echo $s > {{to}}" }
"""
ADDED = 'weir.sh "extra" { outputs = { to = "build/extra" }, cmd = "echo > {{to}}" }\n'


class Terminal:
    def __init__(self, folder, env=None):
        self.seen = ""
        self.at = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update({"PS1": "READY> ", "TERM": "xterm", **(env or {})})
            os.environ.pop("ENV", None)
            os.execvp("sh", ["sh", "-i"])
        self.resize(100)
        self.await_("READY> ")

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def read(self, wait):
        if select.select([self.fd], [], [], wait)[0]:
            try:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                pass

    def await_(self, pattern, what=None):
        """What came since the last thing that was awaited must show this, now or soon."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.search(pattern, self.seen[self.at:])
            if found:
                self.at += found.end()
                return found
            self.read(0.05)
        check(what or "awaited " + pattern, False, repr(self.seen[self.at:][-2000:]))
        sys.exit(1)

    def send(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.send(text + "\n")

    def is_raw(self):
        return not termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO)

    def await_raw(self, is_raw, what):
        until("%s: keys %s read one by one" % (what, "are" if is_raw else "are not"), lambda: self.is_raw() == is_raw)

    def code(self):
        self.line("echo code $?.")
        return int(self.await_(r"code (\d+)\.").group(1))

    def close(self):
        self.read(0)
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


p = Project("project", LUA, [("src/a.txt", "one\n"), ("src/b.txt", "two\n"), ("test.txt", "good\n"), ("slow.txt", "go\n")])
QUIET = r"watching, up to date +\[r\]un"
t = Terminal(p.folder, {"NO_COLOR": "1"})
t.line("'%s' watch" % WEIR)
t.await_(r"--- .* ---\r\n", "a block for the first run")
t.await_(r"weir: 5 ran \(new 5\)")
t.await_(QUIET)
t.await_raw(True, "a watch")
check("no colour", "\x1b[3" not in t.seen, repr(t.seen))

# --- keys ---------------------------------------------------------------------------------------------------------------------

t.send("h")
t.await_(r"  f  run what failed once more\r\n")
t.send("w")
t.await_(r"ran in run 1 .*\r\n +new ")
t.send("l")
t.await_(r"run 1 +.*5 ran")
t.send("f")
t.await_("weir: nothing has failed")
t.send("a")
t.await_(r"weir: 5 ran \(forced 5\)")
t.send("r")
t.await_("weir: nothing to do, 5 nodes")
t.send("\x1b[A\x1b[1;5Cx\x7f")  # keys that mean nothing
p.write("src/a.txt", "three\n")
t.await_(r"\r\n--- .* ---\r\n", "a block for an edit")
t.await_(r"ran       up\[n=a\] \(input-changed src/a.txt\)")
t.await_(r"weir: 1 ran \(input-changed 1\), 4 unchanged")
t.await_(QUIET)
p.write("src/a.txt", "one\n")
t.await_(r"restored  up\[n=a\]")
t.await_(QUIET)
t.send("w")
t.await_(r"up\[n=a\]: ran in run 4 ", "why it ran, not why it was restored since")
p.write("src/a.txt", "three\n")
t.await_(r"restored  up\[n=a\]")
t.await_(QUIET)
t.send("p")
t.await_(r"paused +\[r\]un")
p.write("src/a.txt", "four\n")
t.send("l")
t.await_(r"run 6 +.*\(watch\)\r\n", "the last run is the one before the pause")
t.await_(r"paused +\[r\]un")
check("an edit while it is paused", p.read("build/a.up") == "THREE\n")
t.send("p")
t.await_(r"up\[n=a\] \(input-changed src/a.txt\)")
t.await_(QUIET)

# --- a node that fails, a workflow that is edited ---------------------------------------------------------------------------------

p.write("test.txt", "bad\n")
t.await_(r"failed    test: exit code 1")
t.await_(r"watching, 2 not made")
t.send("f")
t.await_(r"failed    test: exit code 1")
t.await_(r"watching, 2 not made")
t.send("w")
t.await_(r"test: failed in run")
p.write("hidden", "")  # nothing that anybody declared, so nothing is due
t.send("f")
t.await_(r"1 ran \(forced 1\)")
t.await_(QUIET, "what was blocked by it")
p.write("test.txt", "good\n")
t.await_(r"test \(input-changed test.txt\)")
t.await_(QUIET)
p.write("weir.lua", LUA + ADDED)
t.await_(r"weir: the workflow: \+1 -0 ~0 nodes\r\n")
t.await_(QUIET)
p.write("weir.lua", LUA + ADDED + "nonsense(\n")
t.await_(r"weir.lua:\d+: .*\r\n")
t.await_(r"watching, weir.lua has errors")
p.write("weir.lua", LUA + ADDED)
t.await_(r"weir: the workflow: \+0 -0 ~0 nodes\r\n", "mended")
t.await_(QUIET)
p.write("weir.lua", LUA.replace(":upper()", ":lower()"))
t.await_(r"weir: the workflow: \+0 -1 ~2 nodes\r\n")
t.await_(r"2 ran \(code-changed 2\)")
t.await_(QUIET)

# --- a run for somebody else -------------------------------------------------------------------------------------------------------

done = p.weir("run", "--force", "up*")
check("a run from elsewhere", done.returncode == 0 and b"2 ran (forced 2)" in done.stderr, done)
t.await_(r"--- .* asked by process \d+ ---\r\n")
t.await_(r"2 ran \(forced 2\)")
t.await_(QUIET)

# A run of somebody else that is cancelled: what it leaves due waits for the next change, and then runs once.


def cancel_slow(meanwhile=None):
    """What the watch says of it is awaited. It is paused, so that the run is not its own."""
    t.send("p")
    t.await_(r"paused +\[r\]un")
    p.write("slow.txt", "wait\n")
    client = p.begin("run")
    until("it has read its input", lambda: p.read("reading") == "wait\n")
    if meanwhile:
        p.write("slow.txt", meanwhile)
    client.send_signal(signal.SIGINT)
    t.await_("interrupt again to end it")
    client.send_signal(signal.SIGINT)
    t.await_("weir: interrupted, 1 still due")
    check("cancelled", client.wait(PATIENCE) == 130)
    t.send("p")


def attempts():
    return len(json.loads(p.weir("log", "slow", "--json").stdout))


before = attempts()
cancel_slow()
t.await_(r"watching, 1 still due +\[r\]un")
for i in range(3):
    p.write("src/unused", "%d\n" % i)
    check("the watch looks, and lets it be", p.is_quiet() and attempts() == before + 1, attempts())
p.write("slow.txt", "went\n")
t.await_(r"ran       slow")
t.await_(QUIET)
check("the next change runs it, once", attempts() == before + 2 and p.read("build/slow") == "went\n", attempts())
os.remove(p.path("reading"))
cancel_slow("meanwhile\n")
t.await_(r"ran       slow", "an edit that came while it ran")
t.await_(QUIET)
check("that is made, once", attempts() == before + 4 and p.read("build/slow") == "meanwhile\n", attempts())
p.write("slow.txt", "go\n")
t.await_(r"ran       slow|restored  slow")
t.await_(QUIET)

# --- another size ------------------------------------------------------------------------------------------------------------------

t.resize(30)
found = t.await_(r"\r\x1b\[J(watching[^\r\x1b]*)")
t.read(0.2)
check("cut to the width", len(found.group(1)) == 29, found.group(1))
t.resize(100)
t.await_(QUIET)

# --- ^Z, fg, bg --------------------------------------------------------------------------------------------------------------------

t.send("\x1a")
t.await_("READY> ")
t.await_raw(False, "stopped")
p.write("src/b.txt", "while it was stopped\n")
t.line("fg")
t.await_(r"up\[n=b\] \(input-changed src/b.txt\)")
t.await_(QUIET)
t.await_raw(True, "in front again")
t.send("h")
t.await_("run what failed once more")
t.send("\x1a")
t.await_("READY> ")
t.line("bg")
t.await_("READY> ")
p.write("src/b.txt", "in the background\n")
until("a run in the background", lambda: p.read("build/b.up") == "in the background\n")
t.await_(r"weir: 1 ran \(input-changed 1\)")
check("in the background the terminal is left alone", not t.is_raw())
t.line("echo it is the $((1 + 1))nd line")
t.await_("it is the 2nd line")
t.line("fg")
t.await_raw(True, "in front once more")
t.send("w")
t.await_(r"up\[n=b\]: ran in run")

# --- ^C, once and twice; q; ends of other kinds -------------------------------------------------------------------------------------

p.write("slow.txt", "wait\n")
t.await_(r"\d running: slow")
t.send("\x03")
t.await_("interrupted; 1 still running, interrupt again to end")
t.send("\x03")
t.await_(r"stopped   slow")
t.await_("READY> ")
t.await_raw(False, "after ^C")
check("code after ^C", t.code() == 130)
p.write("slow.txt", "go\n")
for end_of_it, code in (("q", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGSEGV, None), (signal.SIGABRT, None)):
    t.line("'%s' watch" % WEIR)
    t.await_(QUIET)
    t.await_raw(True, "once more")
    if end_of_it == "q":
        t.send("q")
    else:
        os.kill(os.tcgetpgrp(t.fd), end_of_it)
    t.await_("READY> ")
    t.await_raw(False, "after %s" % end_of_it)
    got = t.code()
    check("code after %s" % end_of_it, got == code if code is not None else got != 0, got)
t.close()

# --- terminals that can do less ------------------------------------------------------------------------------------------------------

for words, env in (("watch", {"TERM": "dumb"}), ("watch --json", {})):
    t = Terminal(p.folder, env)
    t.line("'%s' %s 2>&1" % (WEIR, words))
    t.await_("nothing to do|run_finished")
    t.await_(r"\^C ends it") if "json" not in words else None
    p.write("src/a.txt", words + "\n")
    t.await_(r"ran       up\[n=a\]|execution_finished")
    check("%s: keys are left alone" % words, not t.is_raw())
    check("%s: plain lines" % words, "\x1b" not in t.seen.replace("\x1b[?2004", ""), repr(t.seen))
    t.send("\x03")
    t.await_("READY> ")
    check("%s: code" % words, t.code() == 130)
    t.close()
done = p.weir("db", "check")
check("db check", done.returncode == 0, done)
end()
