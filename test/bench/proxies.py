# SPDX-License-Identifier: Apache-2.0
"""What the benchmark starts and asks: proxies, what they used, and wrk."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
START = 120  # s: nginx with 100,000 locations takes its time

import configs  # noqa: E402
from gateway import processes, until  # noqa: E402
from ports import free_port, release  # noqa: E402
from wire import WireError, ask  # noqa: E402




class Failed(Exception):
    """A proxy or a client did not do what a row needs; the other rows go on."""


def certificate(where):
    """A P-256 certificate of its own in three files."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench,IP:127.0.0.1",
                    "-keyout", where / "key.pem", "-out", where / "cert.pem"], check=True, capture_output=True)
    (where / "both.pem").write_text((where / "cert.pem").read_text() + (where / "key.pem").read_text())


def handshake(port):
    """Whether TLS is spoken there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 2) as s, context.wrap_socket(s) as t:
        t.sendall(b"GET /16 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        return t.recv(64).startswith(b"HTTP/1.1 200")


class Proxy:
    """A kind of proxy: how its configuration is made and its command line.

    `words` are what @word@ stands for in both; @dir@, @port@, @origin@ and @metrics@ are always there. What is
    spoken to it is among them: `tls` and `http2` are not empty where it is. `needs` are words that the template must
    have for the proxy to do what is asked; `files` are written beside the configuration.
    """

    def __init__(self, name, command, template=None, needs=(), **words):
        self.name, self.command, self.template, self.needs = name, command, template, needs
        self.words, self.files = {"probe": "/16", **words}, {}

    def start(self, core, origin):
        self.dir = Path(tempfile.mkdtemp(prefix=f"gw-bench-{self.name.replace('/', '_')}-", dir="/dev/shm"))
        os.chmod(self.dir, 0o755)
        self.port, self.metrics = free_port(), free_port()
        self.process = None
        try:
            self.prepare(origin)
            with (self.dir / "output").open("wb") as out:
                self.process = subprocess.Popen(
                    ["taskset", "-c", str(core), *(self.expand(a) for a in self.command)], stdin=subprocess.DEVNULL,
                    stdout=out, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.dir)
            until(self.answers, START, f"{self.name} to answer")
        except AssertionError as e:
            output = "".join(p.read_text(errors="replace")[-4000:]
                             for p in (self.dir / "output", self.dir / "error.log") if p.exists())
            self.stop()
            raise Failed(f"{self.name} does not start: {e}\n{output}") from e
        except BaseException:
            self.stop()
            raise

    def prepare(self, origin):
        """Writes what it reads."""
        self.now = {**self.words, "dir": self.dir, "port": self.port, "origin": origin, "metrics": self.metrics}
        if self.words.get("tls"):
            certificate(self.dir)
        if self.template:
            text = self.template.read_text()
            if missing := [w for w in self.needs if f"@{w}@" not in text]:
                raise Failed(f"{self.name}: {self.template} has no @{'@, @'.join(missing)}@")
            (self.dir / "conf").write_text(self.expand(text))
        for name, text in self.files.items():
            (self.dir / name).write_text(text)

    def expand(self, text):
        while re.search(r"@\w+@", text):  # words may hold words
            text = re.sub(r"@(\w+)@", lambda m: str(self.now[m[1]]), text)
        return text

    def url(self, path):
        return f"{'https' if self.words.get('tls') else 'http'}://127.0.0.1:{self.port}{path}"

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("it left")
        try:
            if self.words.get("http2"):
                return h2load(None, self.url(self.words["probe"]), 1, 1, "-n1")["requests"] == 1
            if self.words.get("tls"):
                return handshake(self.port)
            return ask(("127.0.0.1", self.port), "GET", self.words["probe"], timeout=2).status == 200
        except (OSError, WireError):
            return False

    def pids(self):
        """The process and all its descendants."""
        table, out, more = processes(), [], [self.process.pid]
        while more:
            out += more
            more = [p for p, (parent, _, state, _) in table.items() if parent in more and state != "Z"]
        return [p for p in out if p in table]

    def cpu(self):
        """Seconds of CPU used so far by the whole tree, those who left included."""
        total = 0.0
        tick = os.sysconf("SC_CLK_TCK")
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[13]) + int(fields[14])) / tick  # cutime, cstime: children waited for
            try:  # the same clock as utime + stime, in nanoseconds instead of ticks
                for task in Path(f"/proc/{pid}/task").iterdir():
                    total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except (OSError, IndexError):
                total += (int(fields[11]) + int(fields[12])) / tick
        return total

    def memory(self):
        """Proportional set size of the tree, in KiB."""
        total = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        return total

    def stop(self):
        if self.process:
            self.end()
        release(self.port)
        release(self.metrics)
        shutil.rmtree(self.dir, ignore_errors=True)

    def end(self):
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)


def wrk(core, url, connections, seconds, *more):
    """One run of wrk, as numbers; latencies in microseconds. `more`: its options, or words for requests.lua."""
    if more and not more[0].startswith("-"):
        more = ("-s", HERE / "requests.lua", url, "--", *map(str, more))
    else:
        more = (*more, url)
    done = subprocess.run(["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                           *more], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    text = done.stdout
    if done.returncode != 0:
        raise Failed(f"wrk: {done.stderr or text}")
    units = {"us": 1, "ms": 1e3, "s": 1e6}

    def latency(share):
        m = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s)", text, re.M)
        return float(m[1]) * units[m[2]]

    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", text), re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return {"requests": int(re.search(r"(\d+) requests in", text)[1]),
            "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
            "p50": latency(50), "p99": latency(99),
            "errors": sum(int(g) for m in errors if m for g in m.groups())}


def h2load(core, url, connections, streams, *more):
    """One run of h2load: how many requests were answered, in how many seconds, and how many were not."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    done = subprocess.run([*pin, "h2load", "-t1", f"-c{connections}", f"-m{streams}", *more, url], check=False,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    good, took = (re.search(p, done.stdout) for p in (r"status codes: (\d+) 2xx", r"finished in ([\d.]+)(ms|us|s)"))
    bad = re.search(r" (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    if done.returncode != 0 or not (good and took and bad):
        return {"requests": 0, "seconds": 0, "errors": 1}
    return {"requests": int(good[1]), "seconds": float(took[1]) * {"s": 1, "ms": 1e-3, "us": 1e-6}[took[2]],
            "errors": sum(map(int, bad.groups())) + sum(map(int, re.findall(r"(\d+) [345]xx", done.stdout)))}


# How each is configured for a row's work. `tls`, `http2`: spoken by clients, HTTP/2 in clear without any other
# beside it. `grpc`: spoken to the origin, over HTTP/2. `log`: an access log, metrics and traces. `routes`: so many,
# to be asked for paths of `size`. `bulk`: bodies are large.

def relay(a, **_):
    return Proxy("relay", [str(a.build / "test/bench/relay"), "@port@", "@origin@"])


def nginx(name="nginx", tls=False, headers=configs.NGINX_HEADERS, http2=False, grpc=False, log=False, routes=0,
          size=0, bulk=False, **_):
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    to = "grpc_pass grpc://origin;" if grpc else "proxy_pass http://origin;"
    headers += configs.NGINX_TRACE if log and headers else ""
    if grpc:
        headers = headers.replace("proxy_set_header", "grpc_set_header")
    return Proxy(name, [program, "-p", "@dir@", "-c", "@dir@/conf"], HERE / "nginx.conf",
                 log=configs.NGINX_LOG if log else "access_log off;", headers=headers,
                 locations=configs.nginx_locations(routes, size) if routes else f"location / {{ {to} }}",
                 bulk=configs.NGINX_BULK if bulk else "", ssl="ssl" if tls else "",
                 tls=configs.NGINX_TLS if tls else "", http2="http2" if http2 else "", probe=probe(routes, size))


def haproxy(name="haproxy", tls=False, headers=configs.HAPROXY_HEADERS, http2=False, grpc=False, log=False, routes=0,
            size=0, bulk=False, **_):
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    speaks = "alpn h2" if tls else "proto h2"
    to = "use_backend %[path,map(@dir@/map)]" if routes else "default_backend back"
    made = Proxy(name, [program, "-f", "@dir@/conf"], HERE / "haproxy.cfg", headers=headers, to=to,
                 log=configs.HAPROXY_LOG if log else "", metrics_front=configs.HAPROXY_METRICS if log else "",
                 id="var(txn.id)" if log else "uuid()", bulk=configs.HAPROXY_BULK if bulk else "",
                 scheme="https" if tls else "http", tls=configs.HAPROXY_TLS if tls else "",
                 http2=speaks if http2 else "", proto="proto h2" if grpc else "", probe=probe(routes, size))
    if routes:
        made.files["map"] = configs.haproxy_map(routes, size)
    return made


def nghttpx(name="nghttpx", tls=False, http2=True, grpc=False, **_):
    program = shutil.which("nghttpx") or "/usr/sbin/nghttpx"
    return Proxy(name, [program, "--conf=@dir@/conf"], HERE / "nghttpx.conf",
                 tls=configs.NGHTTPX_TLS if tls else "", no_tls="" if tls else ";no-tls", http2=http2,
                 proto=";;proto=h2" if grpc else "")


def gateway(name, path, tls=False, route="", http2=False, grpc=False, log=False, routes=0, size=0, **_):
    template = Path(path).parent / "bench-gateway.conf"  # put there by compare: that build's own
    return Proxy(name, [str(Path(path).resolve()), "-c", "@dir@/conf"],
                 template if template.exists() else HERE / "gateway.conf",
                 needs=["routes"] * bool(routes) + ["access_log"] * log,
                 routes=configs.gateway_routes(routes, size) if routes else configs.ALL, route=route,
                 limits=configs.gateway_limits(routes) if routes else configs.PLAIN_LIMITS,
                 access_log=configs.GATEWAY_LOG if log else "enabled = false;",
                 metrics_at="127.0.0.1:@metrics@" if log else "",
                 tls=configs.GATEWAY_TLS if tls else "", certificates=configs.GATEWAY_CERTIFICATES if tls else "",
                 http2=http2, service='protocol = "http2";' if grpc else "", probe=probe(routes, size))


def gateways(a, **how):
    """The gateway of this build, or those that were asked for."""
    program = getattr(a, "program", None) or a.build / "gateway"  # other benchmarks have no such option
    given = a.gateway or ([f"gateway={program}"] if program.exists() else [])
    return [gateway(name, path, **how) for name, _, path in (g.partition("=") for g in given)]


def probe(routes, size):
    """A path that is answered as soon as the proxy serves."""
    return configs.path_of(0, size) if routes else "/16"
