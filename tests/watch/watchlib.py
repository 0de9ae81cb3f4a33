"""watchlib.py - a watch as tests see it: a project, its process, and clients of its socket."""
import atexit, json, os, re, shutil, signal, socket, subprocess, sys, time

WEIR = os.environ["WEIR_BIN"]
PATIENCE = float(os.environ.get("WEIR_PATIENCE", 60))  # seconds until something that must come is given up; no test asserts a time
failures = 0


def check(what, is_so, got=""):
    global failures
    if not is_so:
        failures += 1
        print("FAILED: %s: %s" % (what, got), flush=True)
    return is_so


def until(what, question, got=lambda: ""):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.01)
    check(what, False, got() or "waited in vain")
    return None


class Project:
    started = []

    def __init__(self, folder, workflow, files=()):
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder)
        self.write("weir.lua", workflow)
        for name, text in files:
            self.write(name, text)
        self.process = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def read(self, name):
        """Its content; "" while it is not there."""
        try:
            with open(self.path(name), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def has(self, name):
        return os.path.exists(self.path(name))

    def weir(self, *words, env=None):
        return subprocess.run([WEIR, *words], cwd=self.folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE * 3,
                              env={**os.environ, **(env or {})})

    def begin(self, *words):
        """As weir, but it goes on while the test does; what it says is to be read from its stderr."""
        return subprocess.Popen([WEIR, *words], cwd=self.folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def launch(self, *words):
        self.out = open(self.path("watch.out"), "wb")
        self.process = subprocess.Popen([WEIR, "watch", *words], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)
        Project.started.append(self.process)

    def start(self, *words):
        self.launch(*words)
        until("a watch listens and is quiet", self.is_quiet, lambda: self.read("watch.out"))
        return self

    def is_quiet(self):
        try:
            with Client(self) as c:
                return c.ask(ask="look") == [{"end": "look", "busy": False}]
        except OSError:
            return False

    def is_alive(self):
        return self.process.poll() is None

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        self.out.close()
        return code


class Client:
    """A client of the socket; `greet` False: it has not said hello."""

    def __init__(self, project, greet=True):
        here = os.open(project.path(".weir"), os.O_RDONLY)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect("/proc/self/fd/%d/socket" % here)
        except OSError:
            self.socket.close()
            raise
        finally:
            os.close(here)
        self.file = self.socket.makefile("rb")
        self.hello = self.line()
        if greet:
            self.say(protocol=1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def say(self, **members):
        self.send(json.dumps(members).encode() + b"\n")

    def line(self):
        """The next line; None: the watch has closed the connection."""
        try:
            text = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(text) if text.endswith(b"\n") else None

    def lines(self):
        """Until the end of an answer, or of the connection."""
        while True:
            line = self.line()
            if line is None:
                return
            yield line
            if "end" in line or "error" in line:
                return

    def look(self):
        """Asks until the watch has seen all and is done with it: on a crowded machine a run may take longer than a look waits."""
        return until("a look", lambda: self.ask(ask="look") == [{"end": "look", "busy": False}])

    def ask(self, **members):
        """The whole answer; that others are first is not part of it."""
        self.say(**members)
        return [line for line in self.lines() if line != {"queued": True}]


@atexit.register
def leave():
    for process in Project.started:
        if process.poll() is None:
            process.kill()


def without_times(text):
    text = re.sub(r'"((cpu_)?seconds)":[0-9.]+', r'"\1":0', text)
    text = re.sub(r'"(\w+)":"[-0-9]+T[0-9:.]+Z","\1_us":[0-9]+', r'"\1":0', text)
    text = re.sub(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}", "WHEN", text)
    return re.sub(r", (\d+ min )?[0-9.]+ s\b", "", text)


def end():
    if failures == 0:
        print("ok")
    sys.exit(1 if failures else 0)
