"""test_socket.py - the control socket of a watch: its language, and clients that do not speak it well."""
import os, random, signal, socket, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.environ["WEIR_SOURCE"], "tests", "watch"))
from watchlib import *

LUA = """
local weir = require "weir"
local up = weir.effect "up" { run = function(i, o) o.to:write((i.from:read():upper())) end }
local list = {}
for _, f in ipairs(weir.glob "src/*.txt") do
  list[#list + 1] = up "up" { params = { n = f.rel }, inputs = { from = f }, outputs = { to = "build/{{n}}.up" } }
end
weir.sh "all" { inputs = { list = list }, outputs = { to = "build/all" }, cmd = "cat {{list}} > {{to}}" }
weir.sh "loud" { outputs = { to = "build/loud" }, cmd = "yes 'a line that is printed' | head -n 200000; echo > {{to}}" }
weir.sh "slow" { inputs = { go = weir.value { name = "go", default = 0 } }, outputs = { to = "build/slow" },
  cmd = "echo > started; while [ {{go}} = 1 ] && [ ! -e stop ]; do sleep 0.02; done; echo {{go}} > {{to}}" }
"""
p = Project("project", LUA, [("src/a.txt", "one\n"), ("src/b.txt", "two\n")]).start("--json")


def ends(lines):
    return lines[-1] if lines else {}


def refused(what, lines, error="request"):
    check(what, ends(lines).get("error") == error, lines)


# --- the language ---------------------------------------------------------------------------------------------------------

with Client(p) as c:
    check("hello", c.hello == {"weir": c.hello["weir"], "protocol": 1, "process": p.process.pid, "workflow": "weir.lua"}, c.hello)
    version = c.hello["weir"]
    check("mode of the socket", os.stat(p.path(".weir/socket")).st_mode & 0o777 == 0o600)
    lines = c.ask(ask="run")
    check("a run with nothing to do", len(lines) == 1 and lines[0]["code"] == 0 and lines[0]["ran"] == 0 and lines[0]["nodes"] == 5, lines)
    lines = c.ask(ask="run", targets=["build/all"], force=True)
    check("events come before the end", [l["event"] for l in lines if "node" in l] == ["execution_started", "execution_finished"], lines)
    check("the second question of a connection", ends(lines).get("ran") == 1, lines)
    lines = c.ask(ask="run", targets=["loud"], force=True)
    log = "".join(l["log"] for l in lines if "log" in l)
    check("captured output comes in parts", len(log) == 200000 * 23 and log.endswith("a line that is printed\n"), len(log))
    check("an unknown target", ends(c.ask(ask="run", targets=["nothing"])).get("code") == -6)
    check("and the watch goes on", c.look())

# An edit is taken in before a question is answered.
for i in range(20):
    p.write("src/a.txt", "round %d\n" % i)
    with Client(p) as c:
        if i % 2:
            c.look()
        else:
            c.ask(ask="run")
    check("an edit before the question, round %d" % i, p.read("build/all").startswith("ROUND %d\n" % i), p.read("build/all"))

# --- events ---------------------------------------------------------------------------------------------------------------

recorded = json.loads(p.weir("log", "--events", "--from", "1", "--json").stdout)
with Client(p) as c, Client(p) as late:
    c.say(ask="events")
    check("all events", [c.line() for _ in recorded] == recorded)
    late.say(ask="events", **{"from": recorded[-1]["seq"] + 1})
    p.write("src/b.txt", "more\n")
    event = late.line()
    check("events as they come", event["seq"] == recorded[-1]["seq"] + 1, event)
    kinds = [event["kind"]]
    while kinds[-1] != "run_finished":
        kinds.append(late.line()["kind"])
    check("the run of an edit in the events", "run_started" in kinds, kinds)

# weir log --follow: with a watch, without one, and with another one; nothing twice, nothing left out.
follower = subprocess.Popen([WEIR, "log", "--follow", "--json", "--from", "5"], cwd=p.folder, stdout=subprocess.PIPE, text=True)
followed = []


def follow_until(what, is_it):
    while not followed or not is_it(followed[-1]):
        line = follower.stdout.readline()
        if not check("follow: " + what, line != "", followed[-1:]):
            sys.exit(1)
        followed.append(json.loads(line))


last = json.loads(p.weir("log", "--events", "-n", "1", "--json").stdout)[0]["seq"]
follow_until("what was there", lambda e: e["seq"] == last)
p.write("src/b.txt", "for the follower\n")
follow_until("from the watch", lambda e: e["seq"] > last and e["kind"] == "run_finished")
p.stop()
alone = p.weir("run", "--force", "up*")
check("a run without a watch", alone.returncode == 0, alone)
last = followed[-1]["seq"]
follow_until("from the database", lambda e: e["seq"] > last and e["kind"] == "run_finished")
p.start("--json")
p.write("src/b.txt", "for the follower, once more\n")
last = followed[-1]["seq"]
follow_until("from the next watch", lambda e: e["seq"] > last and e["kind"] == "run_finished")
until("quiet", p.is_quiet)
recorded = json.loads(p.weir("log", "--events", "--from", "5", "--json").stdout)
follow_until("to the end", lambda e: e["seq"] == recorded[-1]["seq"])
check("each event once, in order", followed == recorded)
follower.send_signal(signal.SIGINT)
check("^C ends it", follower.wait(PATIENCE) == 130)
done = p.weir("log", "--follow", "up")
check("--follow of a node", done.returncode == 2 and b"whole log" in done.stderr, done)

# --- those who do not speak it well -----------------------------------------------------------------------------------------

for text in (b"nonsense\n", b"[1,2]\n", b"{\"ask\":\"run\",\"ask\":\"run\"}\n", b"\xff\xfe\n", b"{}\n", b"{\"ask\":\"dance\"}\n", b"[" * 3000 + b"\n",
             b"{\"ask\":\"run\",\"targets\":7}\n", b"{\"ask\":\"set\",\"values\":[{\"json\":\"1\"}]}\n"):
    with Client(p) as c:
        c.send(text)
        refused("%r" % text[:40], list(c.lines()))
for hello in ({"weir": "9.9.9", "protocol": 1}, {"protocol": 2}, {"ask": "run"}):
    with Client(p, greet=False) as c:
        c.say(**hello)
        refused("greeted with %s" % hello, list(c.lines()), "version")
with Client(p) as c:
    c.say(ask="events", **{"from": 1 << 40})
    refused("two questions at once", c.ask(ask="run"))
with Client(p) as c:
    c.send(b"{\"ask\":\"" + b"x" * (4 << 20))
    refused("a line without end", list(c.lines()))

chance = random.Random(7)
for i in range(400):
    with Client(p, greet=i % 3 > 0) as c:
        c.send(bytes(chance.randrange(256) for _ in range(chance.randrange(200))) + b"\n" * (i % 2))
half = [Client(p, greet=False) for _ in range(50)]
for c in half:
    c.send(b"{\"weir\":\"" + version.encode())
deaf = [Client(p) for _ in range(3)]
for c in deaf:
    c.say(ask="events")
deaf[0].say(ask="cancel")
deaf[0].say(ask="run", force=True)  # and never reads 4 MB of events
check("while others stall or never read", p.is_quiet() or until("quiet again", p.is_quiet))
with Client(p) as c:
    check("a run, too", ends(c.ask(ask="run", force=True)).get("ran") == 5)

answers = []


def look_once():
    try:
        with Client(p) as c:
            answers.append(ends(c.ask(ask="look")).get("end"))
    except BlockingIOError:
        answers.append("no room to knock")


threads = [threading.Thread(target=look_once) for _ in range(60)]
[t.start() for t in threads]
[t.join() for t in threads]
check("many at once", len(answers) == 60 and "look" in answers and set(answers) <= {"look", "no room to knock"}, answers)
more = []
while len(more) < 300:
    more.append(Client(p))  # greeted: the others are sent away after ten seconds, which may not be enough to open so many
    if more[-1].hello and "error" in more[-1].hello:
        break
check("too many", more[-1].hello and more[-1].hello.get("error") == "full", more[-1].hello)
for c in half + deaf + more:
    c.close()
until("quiet when they are gone", p.is_quiet)
check("the watch lives", p.is_alive())

if os.geteuid() == 0:
    code = "import os, socket; s = socket.socket(socket.AF_UNIX); f = os.open(%r, os.O_RDONLY)\nos.setgroups([]); os.setuid(65534)\n" \
           "s.connect('/proc/self/fd/%%d/socket' %% f); print(s.recv(1000).decode())" % p.path(".weir")
    os.chmod(p.path(".weir"), 0o711)
    os.chmod(p.path(".weir/socket"), 0o666)
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    check("another user", '"error":"user"' in other.stdout, other)
    os.chmod(p.path(".weir/socket"), 0o600)
    os.chmod(p.path(".weir"), 0o700)

# --- stopping -------------------------------------------------------------------------------------------------------------


def begin_slow(c):
    if p.has("started"):
        os.remove(p.path("started"))
    c.say(ask="run", targets=["slow"], values=[{"name": "go", "json": "1"}])
    until("the slow node runs", lambda: p.has("started"))


with Client(p) as c:
    begin_slow(c)
    with Client(p) as other:
        other.say(ask="run", targets=["up*"])
        check("who comes second is told", other.line() == {"queued": True})
        c.say(ask="cancel")
        c.say(ask="cancel")
        lines = list(c.lines())
        check("a cancelled run", ends(lines).get("code") == -10 and ends(lines).get("status") == "interrupted", lines)
        check("and then the second one", ends(list(other.lines())).get("code") == 0)
with Client(p) as c:
    begin_slow(c)
    with Client(p) as other:
        other.say(ask="run", force=True)
        other.line()
        check("a queued one taken back", ends(other.ask(ask="cancel")).get("code") == -10)
        with Client(p) as third:
            check("a look while a run goes on", ends(third.ask(ask="look")) == {"end": "look", "busy": True})
    c.close()  # the first ^C, so to say: what runs comes to its end
p.write("stop", "")
until("quiet after its client is gone", p.is_quiet)
done = json.loads(p.weir("log", "slow", "--json").stdout)[0]
check("what ran came to its end", done["result"] == "ok", done)
check("the watch lives on", p.is_alive())

# --- ends -----------------------------------------------------------------------------------------------------------------

p.stop(signal.SIGKILL)
check("killed: its socket is left", p.has(".weir/socket"))
done = p.weir("run")
check("a run at once after it", done.returncode == 0, done)
p.start("--json")
check("another watch takes over", p.is_quiet())
check("ended by TERM", p.stop() == 143)
check("its socket is gone", not p.has(".weir/socket"))
done = p.weir("db", "check")
check("db check", done.returncode == 0, done)
end()
