# SPDX-License-Identifier: Apache-2.0
"""A gateway of one's own for a test: a directory, a free port, a configuration, and its processes.

    with Gateway(CONFIG, origin=backend.url) as gw:      # started, ready, stopped and looked after
        assert ask(gw.address, "GET", "/").status == 200

The configuration is what a user would write; "@name@" in it is replaced: @port@ and @dir@ always, other
names from the keywords given. Top-level settings that every test wants (workers, directories, logs, one
listener on @port@ ...) are added where the text does not set them itself. All files live in one directory
under /dev/shm, which holds the maps too.

Stopping checks what no test should have to say: the exit was clean, every process is gone, and neither a
sanitizer nor an assertion of ours spoke.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from ports import free_port
from wire import Client, WireError, ask

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GW_BUILD") or "build")
BUILD = BUILD if BUILD.is_absolute() else TOP / BUILD
SANITIZED = bool(os.environ.get("GW_SAN")) or BUILD.name.endswith("-san")

# Everything takes longer under sanitizers; tests scale their patience by this, never their claims.
SLOW = 4 if SANITIZED else 1

# {setting: text} for those a configuration does not set. "@...@" as in any configuration.
DEFAULTS = {
    "workers": "workers = 2;",
    "run_directory": 'run_directory = "@dir@/run";',
    "state_directory": 'state_directory = "@dir@/state";',
    "pid_file": 'pid_file = "@dir@/gateway.pid";',
    "error_log": 'error_log = { path = "@dir@/error.log"; level = "info"; };',
    "access_log": 'access_log = { path = "@dir@/access.log"; };',
    "shutdown": 'shutdown = { min_drain = "100ms"; deadline = "5s"; };',
    "admin": 'admin = { metrics_listen = ""; };',
    "limits": 'limits = { worker_slots = 8; connections = 1000; map_size = "16M"; };',
    "listeners": 'listeners = ( { id = "main"; address = "127.0.0.1:@port@"; } );',
}
CRASH = re.compile(r"(?m)^.*(ERROR: (?:Address|Leak|Undefined|Thread)\w*Sanitizer|runtime error:|"
                   r"LeakSanitizer|BUG [\w/.]+:\d+|was killed by signal (?:4|6|7|8|11|31)\b).*$")


class GatewayError(AssertionError):
    """The gateway did something no test allows."""


def until(condition, timeout=10.0, what="the condition", step=0.02):
    """Waits for condition() to be true and returns it; says what (words, or what makes them) never came."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise GatewayError(f"waited {timeout * SLOW:g} s in vain for {what() if callable(what) else what}")
        time.sleep(step)


def processes():
    """{pid: (parent, session, state, comm)} of everything that runs."""
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", pid, "stat").read_text()
        except OSError:
            continue
        name, rest = stat.split("(", 1)[1].rsplit(")", 1)
        fields = rest.split()
        out[int(pid)] = (int(fields[1]), int(fields[3]), fields[0], name)
    return out


class Gateway:
    """One instance. start() and stop() may be called again and again; a `with` does both."""

    def __init__(self, config="", *, dir=None, host="127.0.0.1", port=None, build=BUILD, env=None, args=(), files=None, **words):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = Path(dir or tempfile.mkdtemp(prefix="gw-test-", dir=base))
        os.chmod(self.dir, 0o755)  # children of a root master run under users of their own
        self.host, self.port = host, port or free_port()
        self.binary, self.ctl_binary = Path(build) / "gateway", Path(build) / "gatewayctl"
        self.conf_file = self.dir / "gateway.conf"
        self.env, self.args, self.words = dict(env or {}), list(args), dict(words)
        self.pid = None
        self.allow_crash = None  # a regular expression of crash lines a test provokes itself
        self._shell = None
        for name, text in (files or {}).items():
            path = self.dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.expand(text))
        if config is not None:
            self.write_conf(config)

    # --- configuration ----------------------------------------------------------------------------
    def expand(self, text):
        words = {"port": self.port, "dir": self.dir, **self.words}
        return re.sub(r"@(\w+)@", lambda m: str(words[m[1]]) if m[1] in words else m[0], text)

    def write_conf(self, config, **words):
        """Writes gateway.conf, atomically, with the defaults added."""
        self.words.update(words)
        added = [line for key, line in DEFAULTS.items()
                 if not re.search(rf"(?m)^[ \t]*{key}[ \t]*[=:]", config)]
        new = self.conf_file.with_suffix(".new")
        new.write_text(self.expand("\n".join(added) + "\n" + config + "\n"))
        os.replace(new, self.conf_file)

    # --- life -------------------------------------------------------------------------------------
    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self._give_up()
            raise

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self._give_up()

    def _give_up(self):
        """The test failed already: clean up, and let its own words stand."""
        self.stop(check=False)
        print(self.report())
        shutil.rmtree(self.dir, ignore_errors=True)

    def _environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        env["ASAN_OPTIONS"] = "abort_on_error=1:detect_leaks=1:disable_coredump=1"
        env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        env["GW_TEST_DIR"] = str(self.dir)
        env.update(self.env)
        return env

    def spawn(self, *args):
        """Starts the program in a session of its own, under a shell that keeps its pid and exit status,
        so that another process (test/scen/gw) can find them again."""
        for name in ("pid", "exit"):
            (self.dir / name).unlink(missing_ok=True)
        script = '"$@" >"$GW_TEST_DIR/stdout" 2>>"$GW_TEST_DIR/stderr" </dev/null & echo $! >"$GW_TEST_DIR/pid.new" && ' \
                 'mv "$GW_TEST_DIR/pid.new" "$GW_TEST_DIR/pid"; wait $!; echo $? >"$GW_TEST_DIR/exit.new" && ' \
                 'mv "$GW_TEST_DIR/exit.new" "$GW_TEST_DIR/exit"'
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", script, "gateway", str(self.binary), *map(str, args)], cwd=self.dir,
            env=self._environment(), start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (self.dir / "session").write_text(str(self._shell.pid))
        until((self.dir / "pid").exists, 5, "the gateway's pid")
        self.pid = int((self.dir / "pid").read_text())

    def attach(self):
        """Takes over an instance that another process started in the same directory."""
        self.pid = int((self.dir / "pid").read_text())
        return self

    def start(self, ready=True, timeout=15):
        self.spawn("-c", self.conf_file, *self.args)
        if ready:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=15):
        def ready():
            if self.exit_status() is not None:
                raise GatewayError(f"the gateway left with {self.exit_status()} at its start\n{self.report()}")
            try:
                return ask(self.address, "GET", "/health", timeout=2).status == 200
            except (OSError, WireError):
                return False
        try:
            until(ready, timeout, "/health to answer 200")
        except GatewayError as e:
            raise GatewayError(f"{e}\n{self.report()}") from None

    def exit_status(self):
        """None while it runs; then as a shell has it (128 + signal)."""
        try:
            return int((self.dir / "exit").read_text())
        except OSError:
            return None

    def kill(self, number):
        os.kill(self.pid, number)

    def _signal_to_end(self, sig):
        try:
            self.kill(sig)
        except ProcessLookupError:
            pass  # it left by itself, and the shell is about to write its status, which tells how

    def stop(self, sig=signal.SIGTERM, timeout=15, check=True):
        """Ends it and returns its exit status. check: see the head of this file."""
        if self.pid is None:
            return None
        if self.exit_status() is None:
            try:
                self._signal_to_end(sig)
                until(lambda: self.exit_status() is not None, timeout, f"the end after signal {sig}")
            except GatewayError:
                if check:
                    raise
        try:
            if check:
                until(lambda: not self.leftovers(), 3, "the children to leave")
        except GatewayError:
            raise GatewayError(f"processes left behind: {self.leftovers()}\n{self.report()}") from None
        finally:
            for pid in self.leftovers():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self._shell:
            self._shell.wait(10)
            self._shell = None
        status, self.pid = self.exit_status(), None
        if check:
            self.check_crashes()
            if status != 0:
                raise GatewayError(f"the gateway left with {status}\n{self.report()}")
        return status

    def close(self):
        """stop(), and the directory goes."""
        try:
            self.stop()
        finally:
            self.pid = None
            shutil.rmtree(self.dir, ignore_errors=True)

    def leftovers(self):
        """Our processes that still run, master and shell included."""
        try:
            session = int((self.dir / "session").read_text())
        except OSError:
            return {}
        mark = f"GW_TEST_DIR={self.dir}".encode()
        out = {}
        for pid, (_, sid, state, comm) in processes().items():
            if state == "Z" or pid == os.getpid():
                continue
            ours = sid == session
            if not ours:  # a daemon has a session of its own
                try:
                    ours = mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and \
                        Path(f"/proc/{pid}/exe").resolve() == self.binary.resolve()
                except OSError:
                    pass
            if ours and pid != (self._shell.pid if self._shell else session):
                out[pid] = comm
        return out

    def check_crashes(self):
        text = self._text("stderr") + self._text("error.log")
        seen = [m[0] for m in CRASH.finditer(text)]
        if self.allow_crash:
            seen = [line for line in seen if not re.search(self.allow_crash, line)]
        if seen:
            raise GatewayError("\n".join(seen) + "\n" + self.report())

    def report(self, lines=60):
        out = []
        for name in ("stderr", "error.log"):
            tail = self._text(name).splitlines()[-lines:]
            out.append(f"--- {name}\n" + "\n".join(tail))
        return "\n".join(out)

    def _text(self, name):
        try:
            return (self.dir / name).read_text(errors="replace")
        except OSError:
            return ""

    # --- processes --------------------------------------------------------------------------------
    def children(self, kind=None):
        """{pid: name} of the master's children, those whose title or name contains `kind`."""
        out = {}
        for pid, (parent, _, state, comm) in processes().items():
            if parent != self.pid or state == "Z":
                continue
            try:
                title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if kind is None or kind in comm or kind in title:
                out[pid] = comm
        return out

    def child(self, kind):
        """The pid of the one child (or the first) of this kind; waits for it."""
        return min(until(lambda: self.children(kind), 10, f"a {kind} process"))

    # --- talking to it ----------------------------------------------------------------------------
    @property
    def address(self):
        return (self.host, self.port)

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    @property
    def socket(self):
        return str(self.dir / "run" / "admin.sock")

    def ask(self, method="GET", target="/", *args, **kw):
        return ask(self.address, method, target, *args, **kw)

    def client(self, **kw):
        return Client(self.address, **kw)

    def ctl(self, *args, check=True, timeout=60):
        """Runs gatewayctl against this instance."""
        done = subprocess.run([str(self.ctl_binary), "--socket", self.socket, *map(str, args)], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout * SLOW,
                              env=self._environment(), check=False)
        if CRASH.search(done.stderr) or (check and done.returncode != 0):
            raise GatewayError(f"gatewayctl {' '.join(map(str, args))}: exit {done.returncode}\n"
                               f"{done.stdout}{done.stderr}{self.report(20)}")
        return done

    def ctl_json(self, *args):
        return json.loads(self.ctl("--json", *args).stdout)

    def reload(self, config=None, check=True, **words):
        """Writes the configuration, where one is given, reloads, and waits for the verdict."""
        if config is not None:
            self.write_conf(config, **words)
        return self.ctl("reload", check=check)

    def api(self, method, target, body=None, headers=()):
        """A request on the admin socket."""
        return ask(self.socket, method, target, headers, body, host="localhost")

    # --- what it says -----------------------------------------------------------------------------
    def metrics(self):
        """{(name, ((label, value), ...)): number} as /metrics has them now."""
        answer = self.api("GET", "/metrics")
        if answer.status != 200:
            raise GatewayError(f"/metrics answers {answer.first}")
        out = {}
        for line in answer.body.decode().splitlines():
            if not line or line.startswith("#"):
                continue
            m = re.fullmatch(r'([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?', line)
            if not m:
                raise GatewayError(f"not a line of metrics: {line!r}")
            labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or "")))
            if (m[1], labels) in out:
                raise GatewayError(f"metric twice: {line!r}")
            out[m[1], labels] = float(m[3])
        return out

    def metric(self, name, **labels):
        """The sum over all rows of a metric that carry these labels."""
        want = set(labels.items())
        return sum(v for (n, have), v in self.metrics().items() if n == name and want <= set(have))

    def wait_metric(self, name, value, timeout=5, **labels):
        """Waits until a metric has this value: what is counted down follows the answer."""
        until(lambda: self.metric(name, **labels) == value, timeout,
              lambda: f"{name} to be {value}, it is {self.metric(name, **labels)}")

    def access_log(self, count=0, where=lambda line: True, timeout=5, name="access.log"):
        """The access lines that `where` holds for; waits until there are `count`."""
        def lines():
            text = self._text(name)
            whole = text[:text.rfind("\n") + 1]  # a line may be half written
            return [line for line in map(json.loads, whole.splitlines()) if where(line)]
        if count:
            until(lambda: len(lines()) >= count, timeout, f"{count} access lines")
        return lines()

    def error_log(self):
        return self._text("error.log") + self._text("stderr")

    def wait_log(self, pattern, timeout=10):
        """Waits until the error log has a match, and returns it."""
        return until(lambda: re.search(pattern, self.error_log()), timeout, f"{pattern!r} in the error log")
