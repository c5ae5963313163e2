# SPDX-License-Identifier: Apache-2.0
"""Ports for tests: free now, and not given twice while this process lives.

They lie below the kernel's ephemeral range, so that no outgoing connection takes one between the
choice and the bind. A reservation is an abstract Unix socket named after the port: other test
processes see it, and nothing is left behind when this one dies.
"""
import os
import random
import socket

LOW, HIGH = 12000, 31999
_held = {}
_random = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "little"))


def _bindable(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as s:
            try:
                s.bind((host, port))
            except OSError:
                return False
    return True


def free_port():
    """A TCP port free on every loopback address."""
    for _ in range(1000):
        port = _random.randint(LOW, HIGH)
        if port in _held:
            continue
        hold = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            hold.bind(f"\0gateway-test-port-{port}")
        except OSError:
            hold.close()
            continue
        if _bindable(port):
            _held[port] = hold
            return port
        hold.close()
    raise RuntimeError("no free port found")


def release(port):
    """Gives a port back before the process ends."""
    hold = _held.pop(port, None)
    if hold:
        hold.close()
