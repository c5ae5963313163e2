# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests; see test/README.

gateway(config, **words)  starts a Gateway (test/lib/gateway.py) that is ready, and ends it with the test
backend(handler, ...)     starts a Backend (test/lib/backend.py), and ends it with the test
server(handler, ...)      the same of test/lib/http2.py
pki                       certificates of this session (test/lib/pki.py)
"""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import http2  # noqa: E402
from backend import Backend  # noqa: E402
from gateway import SANITIZED, Gateway  # noqa: E402
from pki import Pki  # noqa: E402


@pytest.fixture
def gateway(request):
    """A factory of running gateways. ready=False starts without waiting, start=False does not start."""
    made = []

    def make(config="", start=True, ready=True, **kw):
        gw = Gateway(config, **kw)
        made.append(gw)
        if start:
            gw.start(ready=ready)
        return gw

    yield make
    failed = getattr(request.node, "failed", False)
    for gw in reversed(made):
        if failed:
            print(gw.report())
            gw.stop(check=False)
        gw.close()


@pytest.fixture
def backend():
    """A factory of backends."""
    made = []

    def make(*args, **kw):
        made.append(Backend(*args, **kw))
        return made[-1]

    yield make
    for b in made:
        b.close()


@pytest.fixture
def server():
    """A factory of HTTP/2 upstreams."""
    made = []

    def make(*args, **kw):
        made.append(http2.Server(*args, **kw))
        return made[-1]

    yield make
    for s in made:
        s.close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """One for all tests of a session: what is asked for again (a root) was made before."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(240 if SANITIZED else 120))


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """The line of totals, and the one for test/totals (only the controller has the whole of it)."""
    if hasattr(config, "workerinput"):
        return
    n = {k: len(terminalreporter.stats.get(k, ())) for k in ("passed", "failed", "error", "skipped")}
    failed = n["failed"] + n["error"]
    if exitstatus not in (0, 1, 5) and not failed:
        failed = 1  # interrupted, or pytest's own failure
    terminalreporter.write_line(f"system: {n['passed']} passed, {failed} failed, {n['skipped']} skipped")
    results = os.environ.get("GW_RESULTS")
    if results:
        path = Path(results)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as f:
            f.write(f"system {n['passed']} {failed} {n['skipped']}\n")
