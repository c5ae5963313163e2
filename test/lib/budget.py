# SPDX-License-Identifier: Apache-2.0
"""What a request costs a worker, and a change also keeper and admin, counted exactly by callgrind: instructions in user
space, calls of functions.

    with Counted(CONF, origin=...) as gw:       # a Gateway under callgrind, with one worker
        load(500)                               # what is made once is there
        cost = gw.cost(load, 2000)              # of load(2000): a Cost
        cost.instructions, cost.calls("malloc", "calloc"), cost.top(20)          # per request

    measure(kinds)                              # {name: Cost} of the kinds of requests of test/budget.def
    copied(*KINDS[kind])                        # (octets, {who: octets}) that are copied for a request

A bell (SIGHUP) to the worker, or a question to keeper and admin, makes callgrind write down what was counted since the
last one. A window without requests is counted first and taken off. No debugger's rights are wanted, as strace would.
"""
import collections
import json
import os
import re
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import hpack

import http2
from gateway import BUILD, TOP, Gateway, GatewayError, until
from origin import Origin
from ports import free_port, release
from wire import Client

# What ends a window: a bell, and the question for the state, of which both hear.
BELLS = {"worker": "worker_hup", "keeper": "keeper_ask", "admin": "api_state"}
QUESTION = "/api/gateway/v1/state"
EMPTY = 2  # windows without requests: the first may still hold what the warming left
WARM, REQUESTS = 500, 2000
TABLE = TOP / "test/budget.def"

# Whatever takes memory, and whatever tells the kernel about a socket. By the names glibc has for them.
ALLOCATORS = ("malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "mmap",
              "mmap64", "brk", "sbrk", "mremap")
SOCKET_CALLS = ("recv", "recvfrom", "recvmsg", "readv", "send", "sendto", "sendmsg", "writev", "accept", "accept4",
                "connect", "socket", "shutdown", "setsockopt", "getsockopt", "splice", "sendfile", "sendfile64", "epoll_ctl")


class Cost:
    """Of a window, or per request what two differ by."""

    def __init__(self, own, calls, requests=1):
        self.own, self.called, self.requests = own, calls, requests

    @property
    def instructions(self):
        return sum(self.own.values()) / self.requests

    def calls(self, *names):
        """Of these functions together, by whomever."""
        return sum(self.called[name] for name in names) / self.requests

    def top(self, n):
        """[(function, instructions in itself, calls)], the dearest first."""
        return [(f, i / self.requests, self.called[f] / self.requests) for f, i in self.own.most_common(n)]

    def less(self, other, requests):
        own, called = self.own.copy(), self.called.copy()
        own.subtract(other.own)
        called.subtract(other.called)
        return Cost(own, called, requests)


def read(path):
    """A file of callgrind's as a Cost."""
    names, own, called, caller, callee, told = {}, collections.Counter(), collections.Counter(), None, None, None
    for line in path.read_text().splitlines():
        m = re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line)
        if m:
            name = re.sub(r"'\d+$|@@?[\w.]+$", "", names.setdefault(m[1], m[2]))
            caller, callee = (caller, name) if line[0] == "c" else (name, None)
        elif line.startswith("calls="):
            called[callee] += int(line[6:].split()[0])
            told = callee
        elif re.match(r"[+*\-\d]\S* \d+$", line):
            if told is None:
                own[caller] += int(line.split()[1])
            told = None  # the line behind calls= is what the callee used
    if not own:
        raise GatewayError(f"{path} counts nothing")
    return Cost(own, called)


class Watched(Gateway):
    """Under a tool of valgrind. Its files, one for each process, are below `counts`."""

    def __init__(self, config, tool, *options, **kw):
        super().__init__("workers = 1;\n" + config, **kw)
        # The program by its real path behind valgrind, children too; their files lie where they can write.
        self.counts = self.dir / "counts"
        self.counts.mkdir()
        os.chmod(self.counts, 0o777)
        self.options = (f"--tool={tool}", "--trace-children=yes", "--vgdb=no", f"--{tool}-out-file={self.counts}/%p", *options)
        self.program, self.binary = self.binary, Path(shutil.which("valgrind") or "valgrind")

    def spawn(self, *args):
        super().spawn(*self.options, self.program, *args)

    def wait_ready(self, timeout=60):
        super().wait_ready(timeout)

    def stop(self, *args, timeout=60, **kw):
        return super().stop(*args, timeout=timeout, **kw)

    def pid_of(self, kind):
        return int(self.wait_log(rf"{kind} (\d+) is up")[1])  # under valgrind a process has no title


class Counted(Watched):
    def __init__(self, config, **kw):
        super().__init__(config, "callgrind", *(f"--dump-before={f}*" for f in BELLS.values()), "--dump-line=no", **kw)
        self.parts = collections.Counter()

    def ring(self, kind):
        if kind == "worker":
            os.kill(self.pid_of(kind), signal.SIGHUP)
            self.parts[kind] += 1
        else:
            self.api("GET", QUESTION)
            self.parts.update(("keeper", "admin"))

    def window(self, kind="worker"):
        """Ends a window, and is what was counted in it."""
        # Whatever a request leaves behind it for the end of a turn is done when the process sleeps again.
        pid = self.pid_of(kind)
        until(lambda: state(pid) == "S", 10, f"the {kind} to sleep")
        self.ring(kind)
        path = self.counts / f"{pid}.{self.parts[kind]}"
        until(lambda: path.exists() and "\ntotals:" in path.read_text()[-200:], 10,
              f"{path.name}: callgrind writes it as {BELLS[kind]}() is called")
        return read(path)

    def cost(self, load, requests, kind="worker"):
        for _ in range(1 + EMPTY):
            empty = self.window(kind)
        load(requests)
        return self.window(kind).less(empty, requests)


# --- the kinds of requests -----------------------------------------------------------------------------------
CONF = """
    access_log = { enabled = @log@; path = "@dir@/access.log"; };
    trusted_proxies = [ "127.0.0.0/8" ];
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { requests_per_connection = 0; }; } );
    services = ( { id = "origin"; url = "@origin@"; pool = { requests = 0; }; },
                 { id = "calls"; url = "@calls@"; protocol = "http2"; } );
    routes = ( { id = "all"; path = "/*"; service = "origin"; },
               { id = "calls"; path = "/bench.Bench/*"; service = "calls"; } );
"""
OBSERVED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id": "4711"}


def http1(gw, headers=(), octets=1024):
    """One after the other on one connection."""
    c = Client(gw.address)

    def load(n):
        for _ in range(n):
            if c.ask("GET", f"/{octets}", headers).status != 200:
                raise GatewayError("not answered by 200")
    return load


def http2_streams(gw, fields, body=b""):
    """The same over HTTP/2, with fields that the peer has seen before."""
    c, encoder, ids = Client(gw.address), hpack.Encoder(), iter(range(1, 1 << 31, 2))
    c.send(http2.PREFACE + http2.settings_octets({http2.INITIAL_WINDOW_SIZE: 1 << 30}) +
           http2.octets(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))

    def ended(stream):
        while True:
            head = c.exactly(9)
            payload = c.exactly(int.from_bytes(head[:3], "big"))
            kind, flags, at = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in (http2.RST_STREAM, http2.GOAWAY):
                raise GatewayError(f"{http2.NAMES[kind]} {payload}")
            if kind == http2.SETTINGS and not flags & http2.ACK:
                c.send(http2.octets(http2.SETTINGS, http2.ACK, 0))
            if at == stream and flags & http2.END_STREAM and kind in (http2.DATA, http2.HEADERS):
                return

    def load(n):
        for _ in range(n):
            stream, end = next(ids), 0 if body else http2.END_STREAM
            data = http2.octets(http2.HEADERS, http2.END_HEADERS | end, stream, encoder.encode(fields))
            c.send(data + (http2.octets(http2.DATA, http2.END_STREAM, stream, body) if body else b""))
            ended(stream)
    return load


def grpc(gw):
    fields = http2.request("POST", "/bench.Bench/1024", ("content-type", "application/grpc"), ("te", "trailers"))
    return http2_streams(gw, fields, struct.pack(">BI", 0, 128) + b"x" * 128)


def changes(gw):
    """One after the other through the admin API, each a generation."""
    c, body = Client(gw.socket, timeout=60), '{"path": "/changed", "service": "origin", "priority": %d}'

    def load(n):
        for i in range(n):
            a = c.ask("PUT", "/api/gateway/v1/routes/changed", (("Content-Type", "application/json"),),
                      (body % (i % 7)).encode(), host="localhost")
            if a.status >= 300:
                raise GatewayError(f"a change was refused: {a.first} {a.body}")
    return load


# {name: (is there an access log, what makes its load)}
KINDS = {
    "h1": (False, http1),
    "h1-observed": (True, lambda gw: http1(gw, OBSERVED)),
    "h2": (False, lambda gw: http2_streams(gw, http2.request("GET", "/1024", ("user-agent", "budget")))),
    "grpc": (False, grpc),
    "change": (False, changes),
    "keeper": (False, changes),
    "admin": (False, changes),
}
OF = {"keeper": "keeper", "admin": "admin"}  # the process that is counted, where it is not the worker


class Calls:
    """The origin of gRPC (test/bench/h2origin.c)."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([str(BUILD / "test/bench/h2origin"), str(self.port)])

    def __enter__(self):
        def listens():
            try:
                Client(("127.0.0.1", self.port)).close()
                return True
            except OSError:
                return False
        until(listens, 5, "the origin of gRPC")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        release(self.port)


def measure(names):
    """{name: Cost} of these kinds."""
    out = {}
    with Origin() as origin, Calls() as calls:
        for log in sorted({KINDS[name][0] for name in names}):
            with Counted(CONF, log=str(log).lower(), origin=origin.url, calls=calls.url) as gw:
                for name in names:
                    if KINDS[name][0] == log:
                        load = KINDS[name][1](gw)
                        load(WARM)
                        out[name] = gw.cost(load, REQUESTS, OF.get(name, "worker"))
    return out


# --- what is copied ------------------------------------------------------------------------------------------
LIBC = re.compile(r"(__)?mem(cpy|move|pcpy)|st[rp]n?cpy|\?\?\?")


def copies(log, load, requests):
    """{who: octets} of memcpy, memmove and their kind while a gateway did so much and no more, by DHAT. `who`: the
    three functions next to it. What the compiler made of a copy of a few octets itself is not seen."""
    with Origin() as origin, Calls() as calls:
        with Watched(CONF, "dhat", "--mode=copy", log=str(log).lower(), origin=origin.url, calls=calls.url) as gw:
            load(gw)(requests)
            worker = gw.pid_of("worker")
            gw.stop()
            told = json.loads((gw.counts / str(worker)).read_text())
    names = [re.sub(r"^\S+: | \(.*", "", f) for f in told["ftbl"]]
    out = collections.Counter()
    for point in told["pps"]:
        frames = [names[i] for i in point["fs"]]
        while frames and LIBC.fullmatch(frames[0]):
            frames.pop(0)
        out[" < ".join(frames[:3])] += point["tb"]
    return out


def copied(log, load):
    """(octets, {who: octets}) a request: what the runs of two numbers of requests differ by."""
    more = copies(log, load, WARM + REQUESTS)
    more.subtract(copies(log, load, WARM))
    each = collections.Counter({who: n / REQUESTS for who, n in more.items()})
    return sum(each.values()), each


# --- the table -----------------------------------------------------------------------------------------------
Row = collections.namedtuple("Row", "name instructions allocations socket_calls what")


def rows():
    """{name: Row} of test/budget.def."""
    out = {}
    for line in TABLE.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, *numbers, what = line.split(None, 4)
            out[name] = Row(name, *map(float, numbers), what)
    return out


def unfit():
    """Why the instructions of this build are not those the budgets are about; None: they are."""
    flags = (BUILD / "flags").read_text() if (BUILD / "flags").exists() else ""
    if not re.search(r" -O2 ", flags) or re.search(r"-flto|-fprofile|--coverage|-fsanitize", flags):
        return f"budgets are about a plain build by -O2, which {BUILD.name} is not"
    made = re.search(rb"GCC: \([^)]*\) (\d+)\.", (BUILD / "gateway").read_bytes())
    want = re.search(r"gcc (\d+)", TABLE.read_text())[1]
    if not made or made[1].decode() != want:
        return f"budgets are about what gcc {want} makes, and gateway is by {made[1].decode() if made else 'another'}"
    return None


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
