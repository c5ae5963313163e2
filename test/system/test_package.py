# SPDX-License-Identifier: Apache-2.0
"""What is installed and packaged runs; the demonstration; shared memory left by something else.
C-7, C-2"""
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from gateway import BUILD, CRASH, SANITIZED, SLOW, TOP, Gateway, until
from ports import free_port
from wire import ask

SITE = """
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""
pytestmark = pytest.mark.xdist_group("package")


def run(*args, **kw):
    kw.setdefault("timeout", 300 * SLOW)
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **kw)


def good(*args, **kw):
    done = run(*args, **kw)
    assert done.returncode == 0, (args, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def make(*args, **kw):
    """A make of our own, not a part of the one that runs the tests."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "GW_"))}
    return good("make", "-C", TOP, *args, env=env, **kw)


def install(where):
    """Of the programs that are tested, as they are: built already, and not to be touched while others run them."""
    shutil.rmtree(BUILD / "man", ignore_errors=True)  # printed by the programs: from these anew
    old = [word for name in ("gateway", "gatewayctl") for word in ("-o", BUILD / name)]
    make("-o", "all", *old, f"BUILD={BUILD}", f"SAN={os.environ.get('GW_SAN', '')}", "install", f"DESTDIR={where}")


# --- an installation ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def installed():
    """make install DESTDIR= of the build that is tested, in a directory that others may read."""
    where = Path(tempfile.mkdtemp(prefix="gw-install-", dir="/dev/shm"))
    os.chmod(where, 0o755)
    try:
        install(where)
        yield where
    finally:
        shutil.rmtree(where)


@pytest.fixture(scope="module")
def unpacked():
    """make rpm, and what rpm2cpio takes out of it: (directory, package)."""
    if not shutil.which("rpmbuild") or not shutil.which("cpio"):
        pytest.skip("needs rpmbuild and cpio")
    if SANITIZED:
        pytest.skip("the package is not built with sanitizers")
    make("rpm", "RPM_ARGS=--define 'pgo_seconds 2'", timeout=600)
    package = max((TOP / "rpmbuild/RPMS").glob("*/*.rpm"), key=lambda p: p.stat().st_mtime)
    where = Path(tempfile.mkdtemp(prefix="gw-rpm-", dir="/dev/shm"))
    os.chmod(where, 0o755)
    try:
        good("sh", "-c", 'rpm2cpio "$1" | cpio -idm --quiet', "sh", package, cwd=where)
        yield where, package
    finally:
        shutil.rmtree(where)


FILES = {
    "usr/sbin/gateway": 0o755, "usr/bin/gatewayctl": 0o755, "etc/gateway/gateway.conf": 0o644,
    "etc/logrotate.d/gateway": 0o644, "etc/sysconfig/gateway": 0o640, "usr/lib/systemd/system/gateway.service": 0o644,
    "usr/lib/systemd/system/gateway@.service": 0o644, "usr/lib/sysusers.d/gateway.conf": 0o644,
    "usr/share/bash-completion/completions/gatewayctl": 0o644,
    "usr/share/man/man1/gatewayctl.1": 0o644, "usr/share/man/man5/gateway.conf.5": 0o644,
    "usr/share/man/man8/gateway.8": 0o644, "usr/share/doc/gateway/README": 0o644, "usr/share/doc/gateway/LICENSE": 0o644,
}


def check_tree(where):
    for name, mode in FILES.items():
        path = where / name if (where / name).exists() else where / (name + ".gz")
        assert path.is_file(), name
        assert path.stat().st_mode & 0o777 == mode, (name, oct(path.stat().st_mode))
    assert (where / "etc/gateway/conf.d").is_dir()


def check_programs(where):
    """The programs inside run, and the sample configuration is good."""
    gateway, ctl = where / "usr/sbin/gateway", where / "usr/bin/gatewayctl"
    version = re.search(r"(?m)^Version:\s*(\S+)", (TOP / "gateway.spec").read_text())[1]
    assert good(gateway, "-V").startswith(f"gateway {version}\n")
    assert good(ctl, "--version") == f"gatewayctl {version}\n"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GATEWAY_", "SERVICE"))}
    assert "configuration is ok" in good(gateway, "-t", "-c", where / "etc/gateway/gateway.conf", env=env)
    assert "configuration is ok" in good(ctl, "config", "check", where / "etc/gateway/gateway.conf",
                                         env={**env, "PATH": f"{where}/usr/sbin:{env['PATH']}"})


def check_serves(where, backend):
    """The installed program with the installed configuration, its paths from the environment."""
    one, two = backend(name="one"), backend(name="two")
    gw = Gateway(None)
    gw.binary, gw.ctl_binary = where / "usr/sbin/gateway", where / "usr/bin/gatewayctl"
    gw.conf_file = where / "etc/gateway/gateway.conf"
    gw.env = {"GATEWAY_LISTEN": f"127.0.0.1:{gw.port}", "GATEWAY_METRICS": "", "GATEWAY_RUN": f"{gw.dir}/run",
              "GATEWAY_STATE": f"{gw.dir}/state", "GATEWAY_ACCESS_LOG": f"{gw.dir}/access.log",
              "GATEWAY_ERROR_LOG": f"{gw.dir}/error.log", "SERVICE1_URL": one.url, "SERVICE2_URL": two.url}
    gw.env["GATEWAY_METRICS"] = f"127.0.0.1:{free_port()}"
    with gw:
        assert gw.ask("GET", "/api/service1/orders").json()["target"] == "/api/orders"
        assert gw.ask("GET", "/api/service2/x").json()["backend"] == "two"
        assert "ready" in gw.ctl("status").stdout
        gw.reload()


def check_manuals(where):
    """They render without a warning, and say what they are about. R-14.3"""
    for name in ("man1/gatewayctl.1", "man5/gateway.conf.5", "man8/gateway.8"):
        path = where / "usr/share/man" / name
        read = ["cat", path] if path.exists() else ["zcat", f"{path}.gz"]
        page = subprocess.run([str(a) for a in read], capture_output=True, check=True).stdout
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, check=False)
        assert done.returncode == 0 and not done.stderr, (name, done.stderr.decode()[:500])
        text = subprocess.run(["groff", "-man", "-Tascii", "-P-c"], input=page, capture_output=True, check=True).stdout
        text = re.sub(r".\x08", "", text.decode())
        for section in ("NAME", "SYNOPSIS" if "conf" not in name else "NAME", "DESCRIPTION"):
            assert section in text, (name, section)


def test_install(installed, backend):
    """make install DESTDIR= makes a tree that works."""
    check_tree(installed)
    check_programs(installed)
    check_manuals(installed)
    check_serves(installed, backend)


def test_install_keeps_configuration(installed):
    """Installing over an installation leaves gateway.conf as the operator left it."""
    conf = installed / "etc/gateway/gateway.conf"
    before = conf.read_text()
    conf.write_text(before + "# mine\n")
    install(installed)
    assert conf.read_text() == before + "# mine\n"


def test_manual_has_every_setting(installed):
    """gateway.conf(5) is printed from the tables that read it: each setting of -T is in it. R-14.3"""
    page = (installed / "usr/share/man/man5/gateway.conf.5").read_text().replace("\\", "")
    shown = good(installed / "usr/sbin/gateway", "-T", "-c", TOP / "conf/gateway.conf")
    names = set(re.findall(r"(?m)^\s*(\w+) = ", shown)) - {"id"}
    assert len(names) > 40
    assert not {n for n in names if not re.search(rf"\b{n}\b", page)}


def test_manual_says_what_decides(installed):
    """Precedence, values for templates, fields of the access log, reasons: from the tables that the worker is made of."""
    page = (installed / "usr/share/man/man5/gateway.conf.5").read_text()
    section = {s.split("\n", 1)[0]: s for s in page.split("\n.Sh ")[1:]}
    assert section["WHICH ROUTE TAKES A REQUEST"].count("\n.It\n") == 8
    for name, table, form in (("VALUES OF THE REQUEST", "worker/policy/template.def", r'(?m)^VALUE\("([\w.]+)"'),
                              ("ACCESS LOG", "worker/obs/fields.def", r"(?m)^FIELD\((\w+)"),
                              ("ANSWERS OF THE GATEWAY ITSELF", "shm/reason.def", r'(?m)^REASON\(\w+, \d+, "(\w+)"')):
        words = re.findall(form, (TOP / table).read_text())
        assert len(words) > 10 and all(f"\n.It Ic {w}" in section[name] for w in words), name


def test_completion(installed):
    """The completion loads, and completes commands and their second words."""
    script = f"""
        PATH={installed}/usr/bin:$PATH
        . {installed}/usr/share/bash-completion/completions/gatewayctl
        words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _gatewayctl; echo "${{COMPREPLY[*]}}"; }}
        words gatewayctl ""
        words gatewayctl -s x endpoints ""
        words gatewayctl rel"""
    first, second, third = good("bash", "-euc", script).splitlines()
    assert {"status", "reload", "endpoints", "drain"} <= set(first.split())
    assert {"list", "up", "down", "weight"} <= set(second.split()) and "status" not in second.split()
    assert third.split() == ["reload"]


@pytest.mark.parametrize("name", ["gateway.service", "gateway@.service"])
def test_unit_file(installed, name):
    """Stops by QUIT, reloads through gatewayctl, one master across reloads; names programs that are installed.
    The template's instances share no run directory, neither with each other nor with the plain unit. F-INST-01"""
    unit = (installed / "usr/lib/systemd/system" / name).read_text()
    settings = dict(re.findall(r"(?m)^(\w+)=(.*)$", unit))
    assert (settings["KillSignal"], settings["KillMode"], settings["Type"]) == ("SIGQUIT", "mixed", "notify")
    for command in (settings["ExecStart"], settings["ExecReload"]):
        assert (installed / command.split()[0].lstrip("/")).exists(), command
    if shutil.which("systemd-analyze"):
        done = run("systemd-analyze", "verify", "--man=no", f"--root={installed}", name.replace("@", "@edge"))
        said = [line for line in done.stderr.splitlines() if "gateway" in line and "not found" not in line]
        assert not said, done.stderr
    paths = [settings["RuntimeDirectory"], settings["ExecStart"].split()[-1]]
    assert all(("%i" in path) == ("@" in name) and not path.startswith("gateway/") for path in paths)


# --- the package -------------------------------------------------------------------------------------------
@pytest.mark.timeout(700)  # compiled twice, and trained
def test_rpm(unpacked, backend):
    """What is in the package runs: versions, the sample, the manuals, real requests. C-7"""
    where, _ = unpacked
    check_tree(where)
    check_programs(where)
    check_manuals(where)
    check_serves(where, backend)


@pytest.mark.timeout(700)
def test_rpm_headers(unpacked):
    """Configuration is marked noreplace, scriptlets name the unit and make the users, requirements are real."""
    _, package = unpacked
    config = good("rpm", "-qpc", package).split()
    assert set(config) == {"/etc/gateway/gateway.conf", "/etc/logrotate.d/gateway", "/etc/sysconfig/gateway"}
    flags = good("rpm", "-qp", "--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\\n]", package)
    for name in config:
        assert re.search(rf"(?m)^cn {name}$", flags), flags
    scripts = good("rpm", "-qp", "--scripts", package)
    assert "systemctl" in scripts and scripts.count("gateway.service") >= 2
    for kind in ("keeper", "worker", "prober", "logger", "admin", "loader", "redis", "discovery", "secrets"):
        assert kind in scripts
    owned = good("rpm", "-qpl", package).split()
    assert not [f for f in owned if f.startswith("/usr/local") or f.endswith((".c", ".h", ".o"))]


def test_profile_needs_gcc():
    """make pgo with another compiler says what it needs, and starts nothing."""
    if not shutil.which("clang"):
        pytest.skip("needs clang")
    for words in (("pgo", "BUILD=build-none"), ("LTO=1", "BUILD=build-none")):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "GW_"))}
        done = run("make", "-C", TOP, "CC=clang", *words, env=env)
        assert done.returncode != 0 and "gcc, and CC is clang" in done.stderr, done.stderr
    assert not (TOP / "build-none").exists() and not (TOP / "build-none-pgo").exists()


def test_package_lists_agree():
    """BuildRequires of the spec are the dnf names of the build rows of contrib/packages. G-FR-012"""
    rows = [line.split() for line in (TOP / "contrib/packages").read_text().splitlines()
            if line.strip() and not line.startswith("#")]
    build = {row[2] for row in rows if row[0] == "build" and row[2] != "-"}
    spec = set(re.findall(r"(?m)^BuildRequires:\s*(\S+)", (TOP / "gateway.spec").read_text()))
    assert build == spec, build ^ spec
    assert {row[0] for row in rows} <= {"run", "build", "test", "lint", "bench"} and all(len(r) == 3 for r in rows)


def test_containerfile():
    """The Containerfile stops by QUIT and starts the program in the foreground."""
    text = (TOP / "contrib/container/Containerfile").read_text()
    assert re.search(r"(?m)^STOPSIGNAL SIGQUIT$", text) and re.search(r"(?m)^(ENTRYPOINT|CMD) \[", text)
    # It installs what is trained as the package's is, unless that is turned off.
    assert "make BUILD=/tmp/build pgo && make BUILD=/tmp/build-pgo install" in text and re.search(r"(?m)^ARG PGO=yes$", text)
    # The second stage has the libraries that the programs are linked with, and no others.
    linked = subprocess.run(["ldd", BUILD / "gateway", BUILD / "gatewayctl"], capture_output=True, text=True, check=True).stdout
    libs = {lib for lib in re.findall(r"(?m)^\s+(lib[\w-]+)\.so", linked)} - {
        "libc", "libm", "libdl", "librt", "libpthread", "libresolv", "libgcc_s", "libasan", "libubsan", "libstdc"}
    installed = set(re.findall(r"\b(lib[\w.-]+)", text.rsplit("FROM", 1)[1].split("rm -rf", 1)[0]))
    package = {"libcrypto": "libssl3", "libssl": "libssl3", "libcares": "libc-ares2", "libconfig": "libconfig9", "libjansson": "libjansson4",
               "liblmdb": "liblmdb0", "libpcre2-8": "libpcre2-8-0", "libseccomp": "libseccomp2",
               "libhttp_parser": "libhttp-parser2.9",
               "libhiredis": "libhiredis0.14", "libnghttp2": "libnghttp2-14"}
    assert {package.get(lib, lib) for lib in libs} == installed


def test_top_level():
    """The fixed list of names at the top. C-2"""
    want = {"master", "worker", "shm", "admin", "conf", "test", "contrib", "GNUmakefile", "gateway.spec", "README",
            "LICENSE", "SECURITY"}
    have = {line.split("/")[0] for line in good("git", "-C", TOP, "ls-files").splitlines()}
    assert {n for n in have if not n.startswith(".")} == want


# --- the demonstration -------------------------------------------------------------------------------------
def test_demonstration():
    """contrib/run: prints addresses that answer, and Ctrl-C leaves nothing behind, also where a shell had it started
    with INT ignored."""
    before = set(os.listdir("/dev/shm"))
    began = time.monotonic()
    with subprocess.Popen([str(TOP / "contrib/run"), str(BUILD)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, start_new_session=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as demo:
        said = ""
        try:
            for line in demo.stdout:
                said += line
                if "The access log follows" in line:
                    break
            assert time.monotonic() - began < 30 * SLOW, said
            tries = re.findall(r"(?m)^  curl (.*)$", said)
            assert len(tries) >= 4, said
            for line in tries:
                assert subprocess.run(f"curl -sSf {line}", shell=True, capture_output=True, check=False,
                                      timeout=30).returncode == 0, line
            for line in re.findall(r"(?m)^  (\S*gatewayctl .*)$", said):
                assert subprocess.run(line, shell=True, capture_output=True, check=False, timeout=30).returncode == 0, line
            url = re.search(r"curl (http://\S+/api/service1/orders)", said)[1]
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert b'"service1"' in answer.read()
            ours = [p for p in Path("/proc").iterdir() if p.name.isdigit() and session_of(p) in sessions(demo.pid)]
            assert len(ours) >= 8
        finally:
            demo.send_signal(signal.SIGINT)
            rest = demo.stdout.read()
        assert demo.wait(20 * SLOW) == 0, rest
    assert not CRASH.search(said + rest), rest[-2000:]
    until(lambda: not [p for p in ours if p.exists()], 5, "the processes to be gone")
    left = {n for n in set(os.listdir("/dev/shm")) - before if n.startswith("gateway-run-")}
    assert not left


@pytest.mark.skipif(not (TOP / ".git").exists() or SANITIZED, reason="a clone is built once, plainly")
@pytest.mark.timeout(240)
def test_a_clone_serves_within_three_minutes(tmp_path):
    """G-SC-006: make run, word for word, from a fresh clone; the packages are there already."""
    subprocess.run(["git", "clone", "-q", str(TOP), str(tmp_path / "clone")], check=True)
    env = {k: v for k, v in os.environ.items() if k not in ("BUILD", "SAN", "COV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    began = time.monotonic()
    with subprocess.Popen(["make", "run"], cwd=tmp_path / "clone", env={**env, "NO_DEPS": "1"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, start_new_session=True) as run:
        said = ""
        for line in run.stdout:
            said += line
            if "The access log follows" in line:
                break
        took = time.monotonic() - began
        os.killpg(run.pid, signal.SIGINT)
        rest = run.stdout.read()
    assert "The access log follows" in said, said + rest
    assert took < 180


def session_of(proc):
    try:
        return int((proc / "stat").read_text().rsplit(")", 1)[1].split()[3])
    except (OSError, IndexError):
        return None


def sessions(pid):
    """The sessions of a process and of its children: contrib/run gives each a session of its own."""
    out = {pid}
    for p in Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                if int((p / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                    out.add(int(p.name))
            except (OSError, IndexError):
                pass
    return out


# --- left by something else --------------------------------------------------------------------------------
def noise(path):
    random.seed(7)
    path.write_bytes(random.randbytes(min(path.stat().st_size, 1 << 20)))


def zeros(path):
    path.write_bytes(bytes(min(path.stat().st_size, 1 << 20)))


def half(path):
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def empty(path):
    os.truncate(path, 0)


def flipped(path):
    """All of it there, but not as we wrote it: every octet behind the first page turned around."""
    data = bytearray(path.read_bytes()[:1 << 20])
    for i in range(8192, len(data)):
        data[i] ^= 0xff
    with path.open("r+b") as f:
        f.write(data)


PLACES = {"arena": "run/arena", "map": "run/map-*", "state": "state/state"}


@pytest.mark.parametrize("harm", [noise, zeros, half, empty, flipped], ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_foreign_content(gateway, backend, place, harm):
    """What lies in our directories and is not ours, or not of this version: set aside or made anew with words that
    name it, or refused with them; never a crash. Traffic is served by the files."""
    b = backend()
    gw = gateway(SITE, origin=b.url)
    gw.ctl("endpoints", "weight", "s", "*", "3")
    gw.stop()
    for directory in gw.dir.glob(PLACES[place]):
        for name in ("data.mdb", "lock.mdb"):
            harm(directory / name)
    (gw.dir / "error.log").write_text("")
    (gw.dir / "stderr").write_text("")
    gw.start(ready=False)
    until(lambda: gw.exit_status() is not None or answers(gw), 20, "the gateway to serve or to refuse")
    if gw.exit_status() is None:
        assert gw.ask("GET", "/").status == 200
        gw.reload()
        gw.wait_log("0 objects changed")
    said = gw.error_log()
    assert not re.search(CRASH, said), said
    assert "was killed by" not in said, said
    if gw.exit_status() is None:
        if place == "state" and harm is not empty and gw.ctl_json("endpoints", "list")["endpoints"][0]["weight"] != 3:
            assert str(gw.dir / "state") in said, "what was lost is told: " + said
            assert len(list((gw.dir / "state").iterdir())) > 1, "what could not be read is kept aside"
    else:
        assert gw.exit_status() == 1 and str(gw.dir) in said, said
        gw.pid = None
        shutil.rmtree(gw.dir)
        gw.dir.mkdir()


def answers(gw):
    try:
        return ask(gw.address, "GET", "/health", timeout=2).status == 200
    except Exception:  # pylint: disable=broad-except
        return False


def test_map_of_another_format(gateway, backend):
    """Directories of other formats and epochs beside ours: one is made anew, the others do no harm."""
    b = backend()
    gw = gateway(SITE, origin=b.url, start=False)
    for name in ("map-99-1", "map-1-77", "map-x", "arena-old"):
        (gw.dir / "run" / name).mkdir(parents=True)
        (gw.dir / "run" / name / "data.mdb").write_bytes(b"not ours")
    gw.start()
    assert gw.ask("GET", "/").status == 200
    gw.reload(SITE.replace('"/*"', '"/new"'))
    assert gw.ask("GET", "/new").status == 200


def test_files_where_directories_belong(gateway, backend):
    """A file in the place of a directory, or a link to elsewhere, is refused by name or replaced."""
    b = backend()
    for make_wrong in (lambda p: p.write_text("x"), lambda p: p.symlink_to("/etc")):
        gw = gateway(SITE, origin=b.url, start=False)
        (gw.dir / "run").mkdir()
        make_wrong(gw.dir / "run" / "arena")
        gw.start(ready=False)
        until(lambda gw=gw: gw.exit_status() is not None or answers(gw), 20, "an end or a service")
        said = gw.error_log()
        assert not re.search(CRASH, said), said
        if gw.exit_status() is not None:
            assert gw.exit_status() == 1 and f"{gw.dir}/run/arena" in said, said
            gw.pid = None
        assert not Path("/etc/data.mdb").exists()


def test_limits_of_the_next_start(gateway, backend):
    """Rooms of another size at the next start: the arena of before does not fit, a new one is made."""
    b = backend()
    gw = gateway(SITE, origin=b.url)
    gw.stop()
    gw.write_conf(SITE + 'limits = { worker_slots = 5; endpoints = 77; services = 33; metric_rows = 20; map_size = "9M"; };')
    gw.start()
    assert gw.ask("GET", "/").status == 200
    assert gw.ctl_json("status")["fill"]["endpoint_rows"] == 77
