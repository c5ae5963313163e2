# SPDX-License-Identifier: Apache-2.0
"""The kit that starts gateways for other tests (test/lib/gateway.py) does what it says."""
import signal
from pathlib import Path

from gateway import until


def test_stops_what_has_just_left(gateway, monkeypatch):
    """Its pid may be gone a moment before the shell has written with which status it left."""
    gw = gateway()
    gw.kill(signal.SIGQUIT)
    until(lambda: not Path(f"/proc/{gw.pid}").exists(), 15, "the end")
    late = iter([None, None])
    status = gw.exit_status
    monkeypatch.setattr(gw, "exit_status", lambda: next(late, status()))
    assert gw.stop() == 0
