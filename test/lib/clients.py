# SPDX-License-Identifier: Apache-2.0
"""Clients that are not ours: node programs (test/clients), with the modules their lock file names.

    with Node("ws.js", ca, "a.example", url) as node:
        node.expect(lambda m: "open" in m)      # waits for such a line of JSON and returns it
        node.tell([0, "send", "hello"])

The modules come from the npm registry into BUILD/clients, once, and are checked against the lock's digests.
Where they cannot be had the test is skipped, and says why.
"""
import base64
import fcntl
import hashlib
import io
import json
import os
import queue
import shutil
import subprocess
import tarfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from gateway import BUILD, SLOW, TOP

CLIENTS = TOP / "test" / "clients"
REGISTRY = "https://registry.npmjs.org"


def fetch(place):
    """What `npm ci` would do, for where there is node and no npm (as where Debian's nodejs is all)."""
    for name, row in json.loads((CLIENTS / "package-lock.json").read_text())["packages"].items():
        if not name:
            continue
        short = name.removeprefix("node_modules/")
        with urllib.request.urlopen(f"{REGISTRY}/{short}/-/{short.split('/')[-1]}-{row['version']}.tgz",
                                    timeout=60) as answer:
            octets = answer.read()
        kind, digest = row["integrity"].split("-", 1)
        if base64.b64encode(hashlib.new(kind, octets).digest()).decode() != digest:
            raise OSError(f"{short}: the digest is not the one in package-lock.json")
        with tarfile.open(fileobj=io.BytesIO(octets)) as tar:
            for member in tar:
                parts = Path(member.name).parts[1:]  # below "package/"
                if member.isfile() and parts and ".." not in parts:
                    target = place / name / Path(*parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())


def install(place):
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CLIENTS / name, place)
    if shutil.which("npm"):
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=place, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=300, check=False)
        if done.returncode == 0:
            return
    fetch(place)


def modules():
    """The folder with the modules."""
    if not shutil.which("node"):
        pytest.skip("no node here")
    place = BUILD / "clients"
    want = hashlib.sha256((CLIENTS / "package-lock.json").read_bytes()).hexdigest()
    stamp = place / "stamp"
    if not is_there(stamp, want):
        place.mkdir(parents=True, exist_ok=True)
        with open(place / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_there(stamp, want):
                shutil.rmtree(place / "node_modules", ignore_errors=True)
                try:
                    install(place)
                except (OSError, subprocess.SubprocessError) as e:
                    pytest.skip(f"the node modules of {CLIENTS} are not to be had: {e}")
                stamp.write_text(want)
    return place / "node_modules"


def is_there(stamp, want):
    return stamp.exists() and stamp.read_text() == want


class Node:
    """A program of test/clients that runs; lines of JSON in both directions."""

    def __init__(self, script, *args, **env):
        self.process = subprocess.Popen(
            ["node", str(CLIENTS / script), *map(str, args)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**os.environ, "NODE_PATH": str(modules()), **env})
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def tell(self, what):
        self.process.stdin.write((what if isinstance(what, str) else json.dumps(what)) + "\n")
        self.process.stdin.flush()

    def expect(self, what=lambda m: True, timeout=30):
        """The next line that `what` holds for; those before it are in self.seen."""
        end = time.monotonic() + timeout * SLOW
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited {timeout * SLOW} s in vain; seen: {self.seen[-20:]}") from None
            assert line is not None, f"the client left; seen: {self.seen[-20:]}"
            if what(line):
                return line
            self.seen.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
            self.process.wait(10 * SLOW)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
        self.process.wait()


class Browser(Node):
    """Chromium at a page. certificates: the Authorities it trusts; home: an empty folder."""

    def __init__(self, url, home, certificates=()):
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        if not chromium:
            pytest.skip("no chromium here")
        store = f"sql:{home}/.pki/nssdb"
        Path(home, ".pki", "nssdb").mkdir(parents=True)
        subprocess.run(["certutil", "-d", store, "-N", "--empty-password"], check=True)
        for c in certificates:
            subprocess.run(["certutil", "-d", store, "-A", "-t", "C,,", "-n", str(c.cert), "-i", str(c.cert)],
                           check=True)
        super().__init__("browser.js", url, home, CHROMIUM=chromium)
        self.page = self.expect(timeout=60)

    def value(self, expression, timeout=30):
        """What an expression (or the promise it gives) comes to in the page."""
        self.tell(" ".join(expression.split("\n")))
        line = self.expect(timeout=timeout)
        assert "error" not in line, line
        return line.get("value")
