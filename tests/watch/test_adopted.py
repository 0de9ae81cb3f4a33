"""test_adopted.py - a watch that ends an adopted process which does not care: it does the rest meanwhile, and answers."""
import os, signal, sys

sys.path.insert(0, os.path.join(os.environ["WEIR_SOURCE"], "tests", "watch"))
from watchlib import *

LUA = """
local weir = require "weir"
weir.sh "served" { job = "service", inputs = { a = weir.file "a" }, outputs = { to = "out/served" },
  cmd = "trap '' TERM; echo $$ >> pids; while [ ! -e stop ]; do sleep 0.02; done; cat {{a}} > {{to}}" }
weir.sh "quick" { inputs = { b = weir.file "b" }, outputs = { to = "out/quick" }, cmd = "cat {{b}} > {{to}}" }
"""
p = Project("project", LUA, [("a", "a\n"), ("b", "b\n")])


def pids():
    return [int(line) for line in p.read("pids").split()]


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def leave_running():
    """A watch is killed, and the next one adopts what it has started."""
    if p.has("stop"):
        os.remove(p.path("stop"))
    count = len(pids())
    p.launch("--json")
    until("the service runs", lambda: len(pids()) > count)
    until("its start is recorded", lambda: b'"spawned"' in p.weir("log", "--events", "--json", "-n", "2").stdout)
    p.stop(signal.SIGKILL)
    p.start("--json")
    return pids()[-1]


def check_meanwhile(what, pid):
    with Client(p) as other:
        check(what + ": the watch answers", other.ask(ask="look") == [{"end": "look", "busy": True}])
    check(what + ": and the old process still runs", is_running(pid), pid)


pid = leave_running()
check("it is left alone", is_running(pid) and len(pids()) == 1, pids())
with Client(p) as c:
    c.say(ask="run", targets=["served", "quick"], force=True)
    told = []
    while not any(e.get("event") == "execution_finished" and e.get("node") == "quick" for e in told):
        told.append(c.line())
        if not check("the other node runs meanwhile", told[-1] is not None and "end" not in told[-1], told):
            sys.exit(1)
    check_meanwhile("forced", pid)
    check("forced: it is told", any("is ended" in e.get("message", "") for e in told), told)
    p.write("stop", "")
    end_of_run = list(c.lines())[-1]
    check("forced: then it runs anew", end_of_run.get("code") == 0 and len(pids()) == 2, end_of_run)
check("forced: and the old one is gone", not is_running(pid))
check("what it made", p.read("out/served") == "a\n", p.read("out/served"))
check("ended by TERM", p.stop() == 143)

p.write("a", "other\n")
pid = leave_running()
p.write("weir.lua", LUA.replace("cat {{a}}", "cat {{a}} {{a}}"))
until("told: declared otherwise", lambda: "declared otherwise now" in p.read("watch.out"))
check_meanwhile("declared otherwise", pid)
p.write("stop", "")
until("it runs anew", lambda: p.read("out/served") == "other\nother\n")
until("quiet", p.is_quiet)
p.stop()

# A first interrupt in the middle: nothing new starts, and the next run sees to it.
p.write("a", "third\n")
pid = leave_running()
with Client(p) as c:
    c.say(ask="run", targets=["served"], force=True)
    told = []
    while not any("is ended" in e.get("message", "") for e in told):
        told.append(c.line())
    c.say(ask="cancel")
    check("cancelled", list(c.lines())[-1].get("code") == -10)
p.write("stop", "")
until("quiet again", p.is_quiet)
done = p.weir("run")
check("a run after it", done.returncode == 0 and p.read("out/served") == "third\nthird\n" and not is_running(pid), (done, p.read("out/served")))
check("ended by TERM", p.stop() == 143)
done = p.weir("db", "check")
check("db check", done.returncode == 0, done)
end()
