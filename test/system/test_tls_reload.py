# SPDX-License-Identifier: Apache-2.0
"""Certificates replaced while it runs: by command, by signal, by files that change under it, by the API; what is no
good is refused and what there was goes on; processes that die take nothing with them. S-SEC-4 S-EC-1 R-7.3"""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from gateway import SANITIZED, SLOW, until
from pki import replace
from ports import free_port
from tls import NAME, certificate, change, client, context, no_clients, peer, s_client, site, tls_address
from torture_reload import torture_tls
from wire import Client, WireError

V1 = "/api/gateway/v1"


class Files:
    """A certificate in files of its own, as an administrator has them."""

    def __init__(self, dir, leaf):
        self.dir = dir
        self.chain, self.key = dir / "site.pem", dir / "site.key"
        dir.mkdir(exist_ok=True)
        self.put(leaf)

    def put(self, leaf, chain=True, key=True):
        if key:
            replace(self.key, leaf.key)
        if chain:
            replace(self.chain, leaf.chain)


@pytest.fixture
def live(gateway, backend, pki, tmp_path):
    """(gateway, files, the certificate in them)"""
    leaf = pki.leaf(NAME)
    files = Files(tmp_path / "tls", leaf)
    return site(gateway, backend(), certificate("a", files)), files, leaf


def offered(gw, leaf, name=NAME, timeout=20):
    until(lambda: peer(gw, name) == leaf.fingerprint, timeout, "the certificate to be offered", 0.1)


def hup(gw):
    """A reload by signal: its end, whatever it was."""
    def count():
        r = gw.ctl_json("status")["reloads"]
        return r["succeeded"] + r["failed"]
    before = count()
    gw.kill(signal.SIGHUP)
    until(lambda: count() > before, 20, "the end of the reload")
    return gw.ctl_json("status")["reloads"]["last_ok"]


def facts(gw, id="a"):
    return next(f for f in gw.ctl_json("certificates")
                if f["id"] == id and f["used_by"] == "certificate")


class Watch(threading.Thread):
    """A client that connects again and again and keeps one connection too: nothing may fail meanwhile."""

    def __init__(self, gw, ca):
        super().__init__(daemon=True)
        self.gw, self.tls, self.end = gw, context(ca), threading.Event()
        self.wrong, self.count = [], 0

    def run(self):
        try:
            with client(self.gw, self.tls) as kept:
                while not self.end.is_set():
                    with client(self.gw, self.tls) as c:
                        assert c.ask("GET", "/", host=NAME).status == 200
                    assert kept.ask("GET", "/", host=NAME).status == 200
                    self.count += 1
        except (OSError, WireError, AssertionError) as e:
            self.wrong.append(repr(e))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.join(30)
        assert not self.wrong and self.count > 0, (self.wrong, self.count)


# --- good ones ---------------------------------------------------------------------------------------
def test_by_hup(live, pki):
    """HUP with the objects as they are and other files: the new certificate, in every worker. S-SEC-4"""
    gw, files, _ = live
    with Watch(gw, pki.ca()):
        for _ in range(5):
            leaf = pki.leaf(NAME)
            files.put(leaf)
            assert hup(gw)
            assert {peer(gw) for _ in range(20)} == {leaf.fingerprint}


def test_by_command(live, pki):
    """gatewayctl reload says ok once every worker has it: no wait after."""
    gw, files, _ = live
    for _ in range(5):
        leaf = pki.leaf(NAME)
        files.put(leaf)
        gw.reload()
        assert {peer(gw) for _ in range(20)} == {leaf.fingerprint}


def test_by_files(live, pki):
    """Nobody tells the gateway: files renamed into place are noticed, key and chain in either order. S-SEC-4"""
    gw, files, _ = live
    generation = gw.metric("gateway_generation")
    with Watch(gw, pki.ca()):
        for order in (("key", "chain"), ("chain", "key")):
            leaf = pki.leaf(NAME)
            for what in order:
                replace(getattr(files, what), getattr(leaf, what))
                time.sleep(0.05)
            offered(gw, leaf)
            assert facts(gw)["fingerprint"] == leaf.fingerprint and facts(gw)["state"] == "ok"
    assert gw.metric("gateway_generation") == generation, "a file is no change of objects"


def test_by_writing_in_place(live, pki):
    """Written over, as scp does: half a file is never offered."""
    gw, files, first = live
    leaf = pki.leaf(NAME)
    with Watch(gw, pki.ca()):
        text = leaf.chain.read_bytes()
        with open(files.chain, "wb") as f:
            f.write(text[:200])
            f.flush()
            time.sleep(1.5)
            assert peer(gw) == first.fingerprint
            f.write(text[200:])
        files.key.write_bytes(leaf.key.read_bytes())
        offered(gw, leaf)


def test_by_symlink(gateway, backend, pki, tmp_path):
    """The directory is a symlink that is swapped for another, as Kubernetes mounts secrets. S-SEC-4"""
    leaves = [pki.leaf(NAME) for _ in range(4)]
    for i, leaf in enumerate(leaves):
        Files(tmp_path / f"v{i}", leaf)
    (tmp_path / "data").symlink_to("v0")
    (tmp_path / "site.pem").symlink_to("data/site.pem")
    (tmp_path / "site.key").symlink_to("data/site.key")

    class Linked:
        chain, key = tmp_path / "site.pem", tmp_path / "site.key"
    gw = site(gateway, backend(), certificate("a", Linked))
    with Watch(gw, pki.ca()):
        for i in range(1, 4):
            (tmp_path / "new").symlink_to(f"v{i}")
            os.replace(tmp_path / "new", tmp_path / "data")
            offered(gw, leaves[i])
            shutil.rmtree(tmp_path / f"v{i - 1}")
    assert peer(gw) == leaves[3].fingerprint


# --- bad ones ----------------------------------------------------------------------------------------
def bad_files(kind, files, pki):
    """Makes the files bad; returns what an error says of it."""
    if kind == "pair":
        files.put(pki.leaf(NAME), key=False)
        return "key"
    if kind == "garbage":
        replace(files.chain, b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n")
        return "certificate"
    if kind == "empty":
        replace(files.chain, b"")
        return "site.pem"
    if kind == "missing":
        files.key.unlink()
        return "site.key"
    if kind == "passphrase":
        subprocess.run(["openssl", "pkcs8", "-topk8", "-in", files.key, "-out", f"{files.key}.x", "-passout", "pass:secret"],
                       check=True)
        os.replace(f"{files.key}.x", files.key)
        return "site.key"
    replace(files.key, b"secret words " * 100_000)
    return "site.key"


BAD = ("pair", "garbage", "empty", "missing", "passphrase", "large")


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_at_a_reload(live, pki, kind):
    """Refused, with the object, the setting and the reason; the old certificate goes on; mended it is taken.
    S-EC-1 S-SEC-4"""
    gw, files, leaf = live
    word = bad_files(kind, files, pki)
    with Watch(gw, pki.ca()):
        done = gw.reload(check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and word in said and "certificates[a]." in said, said
        assert not hup(gw)
        assert peer(gw) == leaf.fingerprint
        new = pki.leaf(NAME)
        files.put(new)
        gw.reload()
        assert peer(gw) == new.fingerprint and facts(gw)["state"] == "ok"
    assert "secret words" not in gw.error_log()


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_by_themselves(live, pki, kind):
    """What there was is kept, whole; the log, gatewayctl and a metric say so; mended it is taken. S-EC-1"""
    gw, files, leaf = live
    with Watch(gw, pki.ca()):
        bad_files(kind, files, pki)
        until(lambda: facts(gw)["state"] == "kept", 20, "it to be told", 0.2)
        told = facts(gw)
        assert told["error"] and told["fingerprint"] == leaf.fingerprint
        assert "kept" in gw.ctl("certificates").stdout or told["error"][:20] in gw.ctl("certificates").stdout
        assert gw.metric("gateway_certificate_state", certificate="a", state="kept") == 1
        assert peer(gw) == leaf.fingerprint
        gw.wait_log(r"warn.*tls/site\.")
        new = pki.leaf(NAME)
        files.put(new)
        offered(gw, new)
        until(lambda: facts(gw)["state"] == "ok", 20, "it to be told", 0.2)
        assert gw.metric("gateway_certificate_state", certificate="a", state="kept") == 0
    assert "secret words" not in gw.error_log()


def test_bad_at_the_start(gateway, backend, pki, tmp_path):
    """It does not start, and says which file; -t says the same. S-EC-1"""
    files = Files(tmp_path / "tls", pki.leaf(NAME))
    files.put(pki.leaf(NAME), key=False)
    gw = site(gateway, backend(), certificate("a", files), start=False)
    done = subprocess.run([str(gw.binary), "-t", "-c", str(gw.conf_file)], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "site.key" in done.stdout + done.stderr, done.stdout + done.stderr
    gw.start(ready=False)
    assert until(gw.exit_status, 20, "its end") != 0
    assert "site.key" in gw.error_log()
    gw.stop(check=False)
    files.put(pki.leaf(NAME))
    gw.start()
    assert s_client(gw, ca=pki.ca()).status == 200


def test_one_bad_of_many(gateway, backend, pki, tmp_path):
    """A file gone bad by itself holds back its own certificate and no other."""
    a, b = Files(tmp_path / "a", pki.leaf(NAME)), Files(tmp_path / "b", pki.leaf("b.example"))
    gw = site(gateway, backend(), [certificate("a", a), certificate("b", b)])
    old = peer(gw, NAME)
    a.chain.write_text("nothing")
    until(lambda: facts(gw, "a")["state"] == "kept", 20, "the bad one to be noticed", 0.2)
    new = pki.leaf("b.example")
    b.put(new)
    offered(gw, new, "b.example")
    assert peer(gw, NAME) == old and facts(gw, "a")["state"] == "kept" and facts(gw, "b")["state"] == "ok"


# --- what is told ------------------------------------------------------------------------------------
def test_expiry_is_told(gateway, backend, pki):
    """The end of each as a metric and in gatewayctl; one that is over is offered, and said to be. S-SEC-4"""
    leaf, old = pki.leaf([NAME, "x.example"], days=20), pki.leaf("old.example", days=-2)
    gw = site(gateway, backend(), [certificate("a", leaf), certificate("old", old)])
    end = gw.metric("gateway_certificate_expiry_timestamp_seconds", certificate="a")
    assert abs(end - time.time() - 20 * 86400) < 600
    assert gw.metric("gateway_certificate_expiry_timestamp_seconds", certificate="old") < time.time()
    told = facts(gw)
    assert set(told["names"]) == {NAME, "x.example"} and told["key"] == "EC P-256" and told["issuer"] == "CN=root"
    assert told["serial"].upper().lstrip("0") == leaf.serial.lstrip("0") and told["days_left"] in (19, 20)
    assert facts(gw, "old")["days_left"] < 0
    table = gw.ctl("certificates").stdout
    assert NAME in table and "old" in table
    gw.wait_log(r"warn.*old.*(expired|over|ended)")


# --- documents ---------------------------------------------------------------------------------------
def test_by_the_api(gateway, backend, pki):
    """A certificate put, used, replaced and deleted by the admin API; in use it stays (409); bad files are told to
    the caller and nothing changes. S-SEC-4"""
    a, b = pki.leaf(NAME), pki.leaf("b.example")
    gw = site(gateway, backend(), certificate("a", a))

    def call(method, path, body=None):
        octets = None if body is None else json.dumps(body).encode()
        return gw.api(method, V1 + path, octets, {"Content-Type": "application/json"})
    put = {"certificate": str(b.chain), "key": str(b.key)}
    with Watch(gw, pki.ca()):
        assert peer(gw, "b.example") == a.fingerprint
        assert call("PUT", "/certificates/b", put).status == 201
        assert {peer(gw, "b.example") for _ in range(10)} == {b.fingerprint}
        assert facts(gw, "b")["fingerprint"] == b.fingerprint
        new = pki.leaf("b.example", key="rsa")
        assert call("PUT", "/certificates/b", {"certificate": str(new.chain), "key": str(new.key)}).status == 200
        assert {peer(gw, "b.example") for _ in range(10)} == {new.fingerprint}
        bad = call("PUT", "/certificates/b", {"certificate": str(new.chain), "key": str(a.key)})
        assert bad.status == 422 and b"key" in bad.body, bad.body
        missing = call("PUT", "/certificates/b", {"certificate": "/nowhere.pem", "key": str(a.key)})
        assert missing.status == 422 and b"/nowhere.pem" in missing.body, missing.body
        assert peer(gw, "b.example") == new.fingerprint
        change(gw, "enabled = true;", 'enabled = true; certificates = [ "a" ];')
        assert call("DELETE", "/certificates/b").status in (200, 204)
        assert peer(gw, "b.example") == a.fingerprint
    refused = call("DELETE", "/certificates/a")
    assert refused.status == 409, refused.body


def test_in_use(gateway, backend, pki):
    """A certificate of the API that a listener names cannot be deleted."""
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME)))
    b = pki.leaf("b.example")
    kind = {"Content-Type": "application/json"}
    assert gw.api("PUT", V1 + "/certificates/b", json.dumps({"certificate": str(b.chain), "key": str(b.key)}).encode(),
                  kind).status == 201
    body = {"address": f"127.0.0.1:{free_port()}", "tls": {"enabled": True, "certificates": ["b"]}}
    answer = gw.api("PUT", V1 + "/listeners/third", json.dumps(body).encode(), kind)
    assert answer.status == 201, answer.body
    refused = gw.api("DELETE", V1 + "/certificates/b", None, kind)
    assert refused.status in (409, 422) and b"third" in refused.body, refused.body
    assert gw.api("DELETE", V1 + "/listeners/third", None, kind).status == 200
    assert gw.api("DELETE", V1 + "/certificates/b", None, kind).status == 200


def test_tls_on_and_off(gateway, backend, pki):
    """A listener becomes a TLS one by a reload and a plain one again; connections that are open stay as they began."""
    gw = site(gateway, backend(), certificate("a", pki.leaf(NAME)))
    with client(gw, context(pki.ca())) as inside:
        assert inside.ask("GET", "/", host=NAME).status == 200
        change(gw, "enabled = true;", "enabled = false;")
        assert inside.ask("GET", "/", host=NAME).status == 200
        with Client(tls_address(gw)) as plain:
            assert plain.ask("GET", "/").status == 200
            change(gw, "enabled = false;", "enabled = true;")
            assert plain.ask("GET", "/").status == 200 and inside.ask("GET", "/", host=NAME).status == 200
    assert s_client(gw, ca=pki.ca()).status == 200
    no_clients(gw)


# --- processes that die ------------------------------------------------------------------------------
def test_secrets_process_killed(live, pki):
    """Nobody notices; its successor sees files change, and refuses what is no good, as it did. S-EC-1"""
    gw, files, _ = live
    gw.allow_crash = "signal 9"
    with Watch(gw, pki.ca()):
        for turn in range(3):
            pid = gw.child("secrets")
            os.kill(pid, signal.SIGKILL)
            until(lambda: set(gw.children("secrets")) - {pid}, 20, "its successor")
            leaf = pki.leaf(NAME)
            files.put(leaf)
            if turn % 2:
                gw.reload()
                assert peer(gw) == leaf.fingerprint
            else:
                offered(gw, leaf)
        files.put(pki.leaf(NAME), key=False)
        assert gw.reload(check=False).returncode != 0
        assert peer(gw) == leaf.fingerprint


def test_changed_while_it_was_away(live, pki):
    """Files that changed between a death and the successor's start are noticed too."""
    gw, files, _ = live
    gw.allow_crash = "signal 9"
    leaf = pki.leaf(NAME)
    os.kill(gw.child("secrets"), signal.SIGKILL)
    files.put(leaf)
    offered(gw, leaf)


def test_secrets_process_stopped(live, pki):
    """It hangs: clients are served as ever; a reload waits or is refused, and works once it is replaced. S-EC-1"""
    gw, files, _ = live
    gw.allow_crash = "signal 9"
    pid = gw.child("secrets")
    os.kill(pid, signal.SIGSTOP)
    try:
        with Watch(gw, pki.ca()):
            time.sleep(0.5)
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    leaf = pki.leaf(NAME)
    files.put(leaf)
    gw.reload()
    assert peer(gw) == leaf.fingerprint


@pytest.mark.parametrize("kind", ["worker", "admin", "keeper", "prober", "logger"])
def test_other_processes_killed(live, pki, kind):
    """Their successors know the certificates there are, files that changed meanwhile included. S-EC-1"""
    gw, files, _ = live
    gw.allow_crash = "signal 9"
    leaf = pki.leaf(NAME)
    files.put(leaf)
    offered(gw, leaf)
    for _ in range(2):
        before = set(gw.children(kind))
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(set(gw.children(kind)) - before) == len(before), 20, "the successors")
        gw.wait_ready()
        until(lambda: s_client(gw, ca=pki.ca()).status == 200, 20, "the listener")
        assert {peer(gw) for _ in range(10)} == {leaf.fingerprint}
        until(lambda: gw.api("GET", "/metrics").status == 200, 10, "the admin API")
        assert facts(gw)["fingerprint"] == leaf.fingerprint
    new = pki.leaf(NAME)
    files.put(new)
    until(lambda: gw.reload(check=False).returncode == 0, 20, "a reload")
    assert peer(gw) == new.fingerprint


def test_restart_after_all_is_gone(live, pki):
    """Stopped and started: state on disk holds no key, and the files are read again."""
    gw, files, leaf = live
    gw.stop()
    secret = "".join(leaf.key.read_text().splitlines()[1:-1])[:40].encode()
    for path in gw.dir.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    gw.start()
    assert peer(gw) == leaf.fingerprint


@pytest.mark.xdist_group("alone")
@pytest.mark.timeout(300 * SLOW)
def test_torture():
    """A short turn of make torture-reload TORTURE_ARGS=--tls: 200 WebSockets, 200 event streams and downloads through
    50 reloads with the certificate replaced meanwhile, half of them over TLS: none closed. R-7.3 S-SEC-4"""
    figures = torture_tls(50 if SLOW == 1 else 10, streams=200 if SLOW == 1 else 40)
    print(figures)
    assert figures["requests"] > 100


# --- many --------------------------------------------------------------------------------------------
def private(pid):
    """kB that are this process's alone: what many certificates cost a worker."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        rows = dict(line.split(":", 1) for line in f.read().splitlines()[1:])
    return sum(int(rows[k].split()[0]) for k in ("Private_Dirty", "Private_Clean"))


@pytest.mark.xdist_group("alone")
@pytest.mark.timeout(300 * SLOW)
def test_ten_thousand_certificates(gateway, backend, pki):
    """10,000 certificates: a start, a reload, one file changed, each in bounded time; a worker holds one profile and
    those certificates that were asked for, not all. S-SEC-4"""
    count = 1000 if SANITIZED else 10_000
    many = pki.many(count)
    limits = 'limits = { worker_slots = 8; connections = 1000; map_size = "256M"; };'
    one = certificate("one", pki.leaf(NAME))
    gw = site(gateway, backend(), one, more=limits)
    text = ", ".join(certificate(f"c{i:05}", c, f"h{i:05}.example") for i, c in enumerate(many))
    worker = min(gw.children("worker"))
    assert s_client(gw, ca=pki.ca()).status == 200
    before = private(worker)
    start = time.monotonic()
    change(gw, one, one + ", " + text)
    load = time.monotonic() - start
    for i in (0, 1, count // 2, count - 1):
        assert peer(gw, f"h{i:05}.example") == many[i].fingerprint
    grown = private(worker) - before
    start = time.monotonic()
    gw.reload()
    again = time.monotonic() - start
    leaf = pki.leaf("h00007.example", key=many[7])
    start = time.monotonic()
    replace(many[7].cert, leaf.cert)
    offered(gw, leaf, "h00007.example", 30)
    noticed = time.monotonic() - start
    print(f"{count} certificates: load {load:.1f} s, again {again:.1f} s, a file noticed {noticed:.1f} s, "
          f"a worker grew by {grown} kB")
    assert load < 60 * SLOW and again < 60 * SLOW and noticed < 30 * SLOW
    assert grown < 30_000 * SLOW
    assert gw.metric("gateway_certificates") == count + 1
    no_clients(gw)
