# SPDX-License-Identifier: Apache-2.0
"""Real Redis for tests: servers on free ports, with TLS, passwords, replicas, Sentinel and Cluster; and a TCP proxy
that breaks connections.

    with RedisServer() as server:             # answers PING, ends with the block
        server.client().set("a", "b")
        server.kill(); server.start()         # the same port, the same directory

    with TcpProxy(server.port) as proxy:      # 127.0.0.1:proxy.port
        proxy.blackhole(True)                 # octets vanish both ways, connections stay
        proxy.cut()                           # every connection is reset

    with Sentinels(master, n=3) as sentinels: # watch `master` under the name "console"
    with RedisCluster() as cluster:           # three masters
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import redis as pyredis

from gateway import until
from ports import free_port, release


class RedisServer:
    """One redis-server. tls=Certificates: TLS only. args: more of its command line."""

    def __init__(self, args=(), tls=None, port=None, program="redis-server"):
        self.dir = Path(tempfile.mkdtemp(prefix="gw-redis-"))
        self.port = port or free_port()
        self.args, self.tls, self.program = list(args), tls, program
        self.process = None

    def command(self):
        where = ["--port", self.port]
        if self.tls:
            where = ["--port", 0, "--tls-port", self.port, "--tls-cert-file", self.tls.cert, "--tls-key-file",
                     self.tls.key, "--tls-ca-cert-file", self.tls.ca, "--tls-auth-clients", "optional"]
        return [self.program, "--bind", "127.0.0.1", "--dir", self.dir, "--save", "", "--daemonize", "no",
                "--logfile", self.dir / "log", *where, *self.args]

    def start(self):
        self.process = subprocess.Popen(list(map(str, self.command())), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir)
        until(self.answers, 10, f"{self.program} on port {self.port}")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.program} left: {(self.dir / 'log').read_text(errors='replace')[-2000:]}")
        try:
            return self.client().ping()
        except (pyredis.AuthenticationError, pyredis.exceptions.NoPermissionError):
            return True
        except pyredis.ResponseError as e:
            return "NOAUTH" in str(e)
        except (pyredis.ConnectionError, pyredis.TimeoutError):
            return False

    def client(self, **kw):
        if self.tls:
            kw.update(ssl=True, ssl_ca_certs=str(self.tls.ca))
        return pyredis.Redis("127.0.0.1", self.port, decode_responses=True, socket_timeout=5,
                             socket_connect_timeout=5, **kw)

    def _end(self, sig):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(sig)
            self.process.wait(10)

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
        release(self.port)
        shutil.rmtree(self.dir, ignore_errors=True)


class Sentinels:
    """n Sentinels over one master, quorum n // 2 + 1, quick to act."""

    class One(RedisServer):
        def __init__(self, master, quorum, name, more):
            super().__init__(program="redis-server")
            self.conf = self.dir / "sentinel.conf"
            self.conf.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.dir}\nlogfile {self.dir}/log\n"
                                 f"sentinel monitor {name} 127.0.0.1 {master.port} {quorum}\n"
                                 f"sentinel down-after-milliseconds {name} 500\n"
                                 f"sentinel failover-timeout {name} 2000\n{more}\n")

        def command(self):
            return ["redis-server", self.conf, "--sentinel"]

    def __init__(self, master, n=3, name="console", more=""):
        self.name = name
        self.all = [self.One(master, n // 2 + 1, name, more) for _ in range(n)]

    @property
    def addresses(self):
        return [f"127.0.0.1:{s.port}" for s in self.all]

    def master_port(self):
        return int(self.all[0].client().sentinel_get_master_addr_by_name(self.name)[1])

    def __enter__(self):
        for s in self.all:
            s.start()
        until(lambda: all(int(s.client().sentinel_master(self.name)["num-other-sentinels"]) == len(self.all) - 1
                          for s in self.all), 15, "the sentinels to meet")
        return self

    def __exit__(self, *_):
        for s in self.all:
            s.__exit__()


class RedisCluster:
    """Three masters that share the slots."""

    def __init__(self, n=3):
        self.nodes = [RedisServer(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
                                   "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no",
                                   "--cluster-port", str(free_port())])
                      for _ in range(n)]

    @property
    def addresses(self):
        return [f"127.0.0.1:{s.port}" for s in self.nodes]

    def __enter__(self):
        for s in self.nodes:
            s.start()
        subprocess.run(["redis-cli", "--cluster", "create", *self.addresses, "--cluster-yes"], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        until(lambda: all("cluster_state:ok" in str(s.client().execute_command("CLUSTER", "INFO")).replace("'", "")
                          .replace(" ", "") or s.client().cluster("info").get("cluster_state") == "ok"
                          for s in self.nodes), 30, "the cluster")
        return self

    def __exit__(self, *_):
        for s in self.nodes:
            s.__exit__()

    def owner(self, key):
        """The node that has the key's slot."""
        c = self.nodes[0].client()
        slot = int(c.execute_command("CLUSTER", "KEYSLOT", key))
        for row in c.execute_command("CLUSTER", "SLOTS"):
            if int(row[0]) <= slot <= int(row[1]):
                return next(s for s in self.nodes if s.port == int(row[2][1])), slot
        raise AssertionError("nobody has the slot")


class Certificates:
    """A CA, a server's certificate for localhost and 127.0.0.1, and a client's, made by openssl."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="gw-certs-"))
        os.chmod(self.dir, 0o755)
        self.ca, self.ca_key = self.dir / "ca.pem", self.dir / "ca.key"
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                  "-subj", "/CN=test CA", "-keyout", self.ca_key, "-out", self.ca)
        self.cert, self.key = self.make("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.client_cert, self.client_key = self.make("client", "extendedKeyUsage=clientAuth")

    def _run(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def make(self, name, extension):
        key, request, cert, ext = (self.dir / f"{name}.{x}" for x in ("key", "csr", "pem", "ext"))
        ext.write_text(extension + "\n")
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                  "-keyout", key, "-out", request)
        self._run("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days",
                  "30", "-extfile", ext, "-out", cert)
        return cert, key

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)


class TcpProxy:
    """127.0.0.1:port to another port, breakable."""

    def __init__(self, to):
        self.to, self.port = to, free_port()
        self.hole = self.refusing = self.ended = False
        self.pairs, self.lock = set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def blackhole(self, on):
        """Connections stay, new ones are taken, octets vanish. When it ends, what lived through it is cut: as a
        network that comes back finds its connections dead."""
        self.hole = on
        if not on:
            self.cut()

    def refuse(self, on):
        """New connections are reset at once."""
        self.refusing = on

    def retarget(self, to):
        self.to = to
        self.cut()

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for s in pair:
                self._reset(s)

    @staticmethod
    def _reset(s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                self._reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.to), 5)
                server.settimeout(None)
            except OSError:
                self._reset(client)
                continue
            with self.lock:
                self.pairs.add((client, server))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b, (client, server)), daemon=True).start()

    def _pump(self, a, b, pair):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if not self.hole:
                    b.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.pairs.discard(pair)
        for s in pair:
            self._reset(s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()
        release(self.port)
