# SPDX-License-Identifier: Apache-2.0
"""The benchmark's origin (test/bench/origin.c) as a service for tests that load the gateway: cheap enough that
what is seen is the gateway. GET /N answers N octets.

    with Origin() as o: ... o.url, o.address
"""
import subprocess

from gateway import BUILD, TOP, until
from ports import free_port, release
from wire import ask

BINARY = BUILD / "test" / "bench" / "origin"


class Origin:
    def __init__(self):
        if not BINARY.exists():
            subprocess.run(["make", "-s", "-C", str(TOP), f"BUILD={BUILD}", "bench-tools"], check=True)
        self.port = free_port()
        self.process = None

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _answers(self):
        try:
            return ask(self.address, "GET", "/1").status == 200
        except OSError:
            return False

    def __enter__(self):
        self.process = subprocess.Popen([str(BINARY), str(self.port)])
        until(self._answers, 5, "the origin")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        release(self.port)
