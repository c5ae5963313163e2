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

from gateway import processes, until  # noqa: E402
from ports import free_port, release  # noqa: E402
from wire import WireError, ask  # noqa: E402


# The same work for all: the forwarding headers and a request id, which the gateway always adds.
NGINX_HEADERS = """proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header X-Request-Id $request_id;
			proxy_set_header Via "1.1 nginx";"""
HAPROXY_HEADERS = """option forwardfor
	http-request set-header X-Forwarded-Proto @scheme@
	http-request set-header X-Forwarded-Host %[req.hdr(host)]
	http-request set-header X-Request-Id %[uuid()]
	http-request set-header Via "1.1 haproxy\""""
# TLS 1.3 with one cipher and one group, and the same P-256 certificate.
NGINX_TLS = """ssl_certificate @dir@/cert.pem;
		ssl_certificate_key @dir@/key.pem;
		ssl_protocols TLSv1.3;
		ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
		ssl_ecdh_curve X25519;"""
HAPROXY_TLS = "ssl crt @dir@/both.pem ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256 curves X25519"
GATEWAY_TLS = """tls = { enabled = true; min_version = "1.3"; ciphersuites = "TLS_AES_128_GCM_SHA256";
		groups = "X25519"; };"""
NGHTTPX_TLS = """private-key-file=@dir@/key.pem
certificate-file=@dir@/cert.pem
tls-min-proto-version=TLSv1.3
tls13-ciphers=TLS_AES_128_GCM_SHA256
ecdh-curves=X25519"""
GATEWAY_CERTIFICATES = """certificates = ( { id = "bench"; certificate = "@dir@/cert.pem"; key = "@dir@/key.pem"; } );"""


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

    `words` are what @word@ stands for in both; @dir@, @port@ and @origin@ are always there. What is spoken to
    it is among them: `tls` and `http2` are not empty where it is.
    """

    def __init__(self, name, command, template=None, **words):
        self.name, self.command, self.template, self.words = name, command, template, words

    def start(self, core, origin):
        self.dir = Path(tempfile.mkdtemp(prefix=f"gw-bench-{self.name.replace('/', '_')}-", dir="/dev/shm"))
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        words = {**self.words, "dir": self.dir, "port": self.port, "origin": origin}

        def expand(text):
            while re.search(r"@\w+@", text):  # words may hold words
                text = re.sub(r"@(\w+)@", lambda m: str(words[m[1]]), text)
            return text

        if self.words.get("tls"):
            certificate(self.dir)
        if self.template:
            (self.dir / "conf").write_text(expand(self.template.read_text()))
        with (self.dir / "output").open("wb") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *(expand(a) for a in self.command)], stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.dir)
        try:
            until(self.answers, 15, f"{self.name} to answer")
        except AssertionError:
            output = (self.dir / "output").read_text(errors="replace")
            for log in self.dir.glob("*.log"):
                output += log.read_text(errors="replace")
            self.stop()
            sys.exit(f"bench: {self.name} does not start:\n{output}")

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} left")
        try:
            if self.words.get("http2"):
                url = f"{'https' if self.words.get('tls') else 'http'}://127.0.0.1:{self.port}/16"
                return h2load(None, url, 1, 1, "-n1")["requests"] == 1
            if self.words.get("tls"):
                return handshake(self.port)
            return ask(("127.0.0.1", self.port), "GET", "/16", timeout=2).status == 200
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
        release(self.port)
        shutil.rmtree(self.dir, ignore_errors=True)


def wrk(core, url, connections, seconds):
    """One run of wrk, as numbers; latencies in microseconds."""
    done = subprocess.run(["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                           url], capture_output=True, text=True, check=True)
    text = done.stdout
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


# `http2`: spoken by clients, in clear without any other beside it. `grpc`: spoken to the origin, over HTTP/2.

def nginx(name="nginx", tls=False, headers=NGINX_HEADERS, http2=False, grpc=False):
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if grpc:
        to = "grpc_pass grpc://origin;\n\t\t\t" + headers.replace("proxy_set_header", "grpc_set_header")
    else:
        to = 'proxy_pass http://origin;\n\t\t\tproxy_http_version 1.1;\n\t\t\tproxy_set_header Connection "";' \
             f"\n\t\t\t{headers}"
    return Proxy(name, [program, "-p", "@dir@", "-c", "@dir@/conf"], HERE / "nginx.conf", pass_to=to,
                 ssl="ssl" if tls else "", tls=NGINX_TLS if tls else "", http2="http2" if http2 else "")


def haproxy(name="haproxy", tls=False, headers=HAPROXY_HEADERS, http2=False, grpc=False):
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    speaks = "alpn h2" if tls else "proto h2"
    return Proxy(name, [program, "-f", "@dir@/conf"], HERE / "haproxy.cfg", headers=headers,
                 scheme="https" if tls else "http", tls=HAPROXY_TLS if tls else "", http2=speaks if http2 else "",
                 proto="proto h2" if grpc else "")


def nghttpx(name="nghttpx", tls=False, http2=True, grpc=False):
    program = shutil.which("nghttpx") or "/usr/sbin/nghttpx"
    return Proxy(name, [program, "--conf=@dir@/conf"], HERE / "nghttpx.conf", tls=NGHTTPX_TLS if tls else "",
                 no_tls="" if tls else ";no-tls", http2=http2, proto=";;proto=h2" if grpc else "")


def gateways(a, tls=False, route="", http2=False, grpc=False):
    """The gateway of this build, or those that were asked for."""
    out = []
    for given in a.gateway or ([f"gateway={a.build / 'gateway'}"] if (a.build / "gateway").exists() else []):
        name, _, path = given.partition("=")
        template = Path(path).parent / "bench-gateway.conf"  # put there by compare: that build's own
        out.append(Proxy(name, [str(Path(path).resolve()), "-c", "@dir@/conf"],
                         template if template.exists() else HERE / "gateway.conf", route=route,
                         tls=GATEWAY_TLS if tls else "", certificates=GATEWAY_CERTIFICATES if tls else "",
                         http2=http2, service='protocol = "http2";' if grpc else ""))
    return out
