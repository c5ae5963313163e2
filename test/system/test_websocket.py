# SPDX-License-Identifier: Apache-2.0
"""WebSockets over HTTP/1.1, with a client and a server that are not ours. R-7.1 R-7.3 R-7.5 E-8"""
import base64
import os
import random
import select
import signal
import socket
import time

import pytest
import websockets

from gateway import SLOW, until
from sockets import Sockets
from wire import Client

SITE = """
    workers = @workers@;
    shutdown = { min_drain = "200ms"; deadline = "8s"; };
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "chat"; path = "@path@"; service = "s"; timeouts = { total = "1s"; };
                 websocket = { enabled = true; @settings@ }; @more@ } );
"""


@pytest.fixture
def ws():
    with Sockets() as made:
        yield made


def site(gateway, origin, settings="", **kw):
    words = {"workers": 2, "path": "/*", "more": "", **kw}
    return gateway(SITE, origin=origin, settings=settings, **words)


def closes(gw, code):
    return gw.metric("gateway_route_websocket_closes_total", route="chat", code=str(code))


def is_open(gw):
    return gw.metric("gateway_route_websocket_connections", route="chat")


def ended(gw, n=1):
    """The access lines of WebSockets that are over."""
    return gw.access_log(n, lambda a: a.get("protocol") == "websocket")


KEY = base64.b64encode(b"0123456789abcdef").decode()
HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": KEY,
             "Sec-WebSocket-Version": "13"}


def upgraded(gw, **headers):
    """A client that speaks raw frames, past its 101."""
    c = Client(gw.address)
    c.request("GET", "/raw", {**HANDSHAKE, **headers})
    assert c.head().status == 101
    return c


def frame(opcode, payload=b"", fin=True, rsv=0, mask=b"\1\2\3\4"):
    n = len(payload)
    size = bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x7f" + n.to_bytes(8, "big")
    body = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload
    return (bytes([(0x80 if fin else 0) | rsv << 4 | opcode, size[0] | (0x80 if mask else 0)]) +
            size[1:] + (mask or b"") + body)


def close_code(octets):
    """The status code of the close frame these (unmasked) octets end with."""
    assert octets[0] == 0x88, octets
    return int.from_bytes(octets[2:4], "big")


def test_messages_both_ways(gateway, ws):
    """Text, binary, empty and large messages, compressed and not; counted and logged."""
    gw = site(gateway, ws.serve(max_size=None).url)
    for options in ({}, {"compression": None}):
        c = ws.connect(gw.url + "/a", max_size=None, **options)
        large = os.urandom(500_000) * 2
        for message in ("hello", "", b"\0\1", large, "x" * 1_000_000):
            assert c.ask(message) == message
        assert (c.protocol.extensions != []) == ("compression" not in options)
        c.ping()
        c.close(1000, "bye")
    lines = ended(gw, 2)
    assert all(a["status"] == 101 and a["close_code"] == 1000 and a["closed_by"] == "client" and
               a["messages_in"] == a["messages_out"] == 5 and "reason" not in a for a in lines), lines
    plain = max(lines, key=lambda a: a["body_in"])
    assert plain["body_in"] > 2_000_000 and plain["body_out"] > 2_000_000
    assert closes(gw, 1000) == 2 and is_open(gw) == 0
    assert gw.metric("gateway_route_websocket_messages_total", route="chat", **{"from": "client"}) == 10


def test_subprotocols(gateway, ws):
    """What the server picks of the client's list, and nothing where there is none."""
    gw = site(gateway, ws.serve(subprotocols=["soup", "mqtt"]).url)
    assert ws.connect(gw.url, subprotocols=["mqtt", "soup"]).protocol.subprotocol in ("mqtt", "soup")
    assert ws.connect(gw.url).protocol.subprotocol is None


def refused(ws, gw, **options):
    with pytest.raises(websockets.InvalidStatusCode) as e:
        ws.connect(gw.url, **options)
    return e.value.status_code


def test_origins_and_policies_come_first(gateway, ws):
    """403 by Origin and by the ip policy, and the service sees nothing of it. E-8, S-SEC-1"""
    seen = []

    async def note(sock, path):
        seen.append(path)
        await sock.close(1000)
    origin = ws.serve(note)
    gw = site(gateway, origin.url, 'origins = [ "https://a.example", "*.b.example" ];')
    for bad in ("https://b.example", "http://a.example", "https://a.example.evil", None):
        assert refused(ws, gw, origin=bad) == 403
    for good in ("https://a.example", "http://x.b.example:81", "https://A.example"):
        assert ws.connect(gw.url, origin=good).wait_closed() == 1000
    assert len(seen) == 3
    assert len(gw.access_log(4, lambda a: a.get("reason") == "websocket_origin")) == 4
    gw.reload(SITE, more='policies = ( { policy = "ip"; deny = [ "127.0.0.0/8" ]; } );')
    assert refused(ws, gw, origin="https://a.example") == 403
    assert len(seen) == 3
    assert gw.access_log(1, lambda a: a.get("reason") == "ip_denied")[0]["status"] == 403


def test_upstream_refuses(gateway, ws, backend):
    """Any other status is an answer like others; the connection goes on."""
    gw = site(gateway, backend().url)
    with gw.client() as c:
        for _ in range(2):
            assert c.ask("GET", "/", HANDSHAKE).status == 200
    until(lambda: is_open(gw) == 0)


@pytest.mark.parametrize("code,reason", [(1000, ""), (1001, "away"), (3000, ""), (4321, "own"), (1011, "broken")])
def test_close_codes(gateway, ws, code, reason):
    """Codes and words of either side reach the other."""
    async def leave(sock, _path):
        await sock.recv()
        await sock.close(code, reason)
    gw = site(gateway, ws.serve(leave).url)
    c = ws.connect(gw.url)
    c.send("go")
    assert c.wait_closed() == code and c.protocol.close_reason == reason
    line = ended(gw)[0]
    assert line["close_code"] == code and line["closed_by"] == "upstream"


def test_client_vanishes(gateway, ws):
    """Without a close frame: the upstream's side ends too, 1006."""
    codes = []

    async def wait(sock, _path):
        await sock.wait_closed()
        codes.append(sock.close_code)
    gw = site(gateway, ws.serve(wait).url)
    c = upgraded(gw)
    c.close()
    until(lambda: codes == [1006], what="the upstream's end")
    line = ended(gw)[0]
    assert line["close_code"] == 1006 and line["closed_by"] == "client"
    assert is_open(gw) == 0 and closes(gw, 1006) == 1


def test_upstream_vanishes(gateway, ws):
    async def drop(sock, _path):
        sock.transport.abort()
        await sock.wait_closed()
    gw = site(gateway, ws.serve(drop).url)
    assert ws.connect(gw.url).wait_closed() == 1006
    assert ended(gw)[0]["closed_by"] == "upstream"


BAD_FRAMES = {
    "websocket_mask": frame(1, b"x", mask=None),
    "websocket_reserved": frame(1, b"x", rsv=4),
    "websocket_opcode": frame(3, b"x"),
    "websocket_control": frame(9, b"x" * 126),
    "websocket_fragment": frame(0, b"x"),
    "websocket_length": b"\x82\xfe\x00\x05\1\2\3\4hello",
    "websocket_close": frame(8, b"\x03"),
    "websocket_too_large": frame(2, b"x" * 5000),
}


@pytest.mark.parametrize("reason", BAD_FRAMES)
def test_malformed_frames(gateway, ws, reason):
    """Both sides are closed, 1002 or 1009; what came before is passed on; counted by reason."""
    got = []

    async def note(sock, _path):
        try:
            async for message in sock:
                got.append(message)
        except websockets.ConnectionClosedError as e:
            got.append(e.code)
    gw = site(gateway, ws.serve(note, compression=None).url, "max_frame = 4000; max_message = 6000;")
    code = 1009 if reason == "websocket_too_large" else 1002
    with upgraded(gw) as c:
        c.send(frame(1, b"good") + BAD_FRAMES[reason])
        assert close_code(c.rest()) == code
    until(lambda: got == ["good", code], what="the upstream's close")
    line = ended(gw)[0]
    assert line["reason"] == reason and line["close_code"] == code and line["closed_by"] == "client"
    assert closes(gw, code) == 1


def test_message_of_many_frames_is_limited(gateway, ws):
    gw = site(gateway, ws.serve(compression=None).url, "max_frame = 4000; max_message = 6000;")
    with upgraded(gw) as c:
        c.send(frame(2, b"x" * 3000, fin=False) + frame(9, b"p") + frame(0, b"x" * 3000))
        c.send(frame(2, b"x" * 3000, fin=False) + frame(0, b"x" * 3001))
        assert close_code(c.rest()[-4:]) == 1009


def test_upstream_sends_malformed(gateway, ws):
    """The upstream's frames are judged as the client's are."""
    async def bad(sock, _path):
        await sock.recv()
        sock.transport.write(b"\x83\x00")
        await sock.wait_closed()
    gw = site(gateway, ws.serve(bad).url)
    c = ws.connect(gw.url)
    c.send("go")
    assert c.wait_closed() == 1002
    line = ended(gw)[0]
    assert line["reason"] == "websocket_opcode" and line["closed_by"] == "upstream"


@pytest.mark.parametrize("lie", ["accept", "protocol", "extension", "upgrade"])
def test_false_101(gateway, backend, lie):
    """A 101 that is no answer to the handshake: 502, and the client sees nothing of it."""
    import hashlib
    accept = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
    head.update({"accept": {"Sec-WebSocket-Accept": accept[::-1]}, "protocol": {"Sec-WebSocket-Protocol": "b"},
                 "extension": {"Sec-WebSocket-Extensions": "permessage-deflate"}, "upgrade": {"Upgrade": "h2c"}}[lie])
    server = socket.create_server(("127.0.0.1", 0))
    gw = site(gateway, "http://127.0.0.1:%d" % server.getsockname()[1])
    with gw.client() as c, server:
        c.request("GET", "/", {**HANDSHAKE, "Sec-WebSocket-Protocol": "a"})
        peer, _ = server.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(("HTTP/1.1 101 Switching Protocols\r\n" +
                          "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n").encode())
            assert c.response().status == 502
    assert gw.access_log(1, lambda a: a.get("reason") == "bad_upstream")[0]["status"] == 502


def test_idle_lifetime_and_total(gateway, ws):
    """idle_timeout closes what is silent, lifetime what is not; timeouts.total (1 s here) neither."""
    gw = site(gateway, ws.serve().url, 'idle_timeout = "700ms"; lifetime = "3s";')
    silent, busy = ws.connect(gw.url), ws.connect(gw.url)
    start = time.monotonic()
    while busy.open and time.monotonic() - start < 10:
        try:
            assert busy.ask("x") == "x"
        except websockets.ConnectionClosed:
            break
        time.sleep(0.1)
    assert 2.5 < time.monotonic() - start < 6 * SLOW
    assert silent.wait_closed() == busy.wait_closed() == 1001
    assert {a["reason"] for a in ended(gw, 2)} == {"websocket_idle", "websocket_lifetime"}


def test_pings(gateway, ws):
    """Pinged on either side and answered by both it stays; who does not answer is dropped."""
    pings = []

    async def wait(sock, _path):
        sock.ping_handler = None
        await sock.wait_closed()
        pings.append(sock.close_code)
    gw = site(gateway, ws.serve(wait).url, 'ping_interval = "300ms";')
    good = ws.connect(gw.url)
    with upgraded(gw) as deaf:
        octets = deaf.rest()  # never answers
    assert octets[:2] == b"\x89\x08" and close_code(octets[-4:]) == 1011
    until(lambda: pings == [1011], what="the upstream's close")
    line = ended(gw)[0]
    assert line["reason"] == "websocket_pong" and line["closed_by"] == "client"
    time.sleep(1)
    assert good.open
    good.ping()
    good.close()


def test_connections_are_capped(gateway, ws):
    """Over all workers, and given back: also by a worker that was killed."""
    gw = site(gateway, ws.serve().url, "connections = 5;", workers=3)
    held = [ws.connect(gw.url) for _ in range(5)]
    assert is_open(gw) == 5
    for _ in range(5):
        assert refused(ws, gw) == 503
    held.pop().close()
    until(lambda: is_open(gw) == 4, what="one connection less")
    held.append(ws.connect(gw.url))
    assert refused(ws, gw) == 503
    for pid in gw.children("worker"):
        os.kill(pid, signal.SIGKILL)
    gw.allow_crash = "signal 9"
    until(lambda: is_open(gw) == 0, 20, "the killed workers' connections to be forgotten")
    gw.wait_ready()
    until(lambda: ws.connect(gw.url).ask("x") == "x", what="a place")


def test_live_through_reloads(gateway, ws):
    """200 WebSockets through 100 reloads, routes and endpoints changing: none closed. R-7.3"""
    one, two = ws.serve(), ws.serve()
    gw = site(gateway, one.url)
    held = [ws.connect(gw.url + f"/{i}") for i in range(200)]
    for i in range(100):
        gw.reload(SITE, path=f"/p{i}/*" if i % 2 else "/*", origin=(one, two)[i % 3 == 0].url)
        for c in held[i::50]:
            assert c.ask(f"after {i}") == f"after {i}"
    assert all(c.open for c in held) and is_open(gw) == 200
    for c in held:
        assert c.ask("still here") == "still here"
    assert ended(gw, 0) == []


def test_drain(gateway, ws):
    """Closed with 1001, spread over the window, at the ends of frames only. R-7.3"""
    times = []

    async def wait(sock, _path):
        await sock.wait_closed()
        times.append((time.monotonic(), sock.close_code))
    gw = site(gateway, ws.serve(wait).url)
    held = [ws.connect(gw.url) for _ in range(20)]
    middle = upgraded(gw)
    middle.send(frame(2, b"x" * 1000)[:500])
    start = time.monotonic()
    gw.kill(signal.SIGQUIT)
    assert [c.wait_closed() for c in held] == [1001] * 20
    until(lambda: len(times) >= 20, what="the closes")
    times.sort()
    assert times[0][1] == 1001 and times[-1][0] - times[0][0] > 2
    middle.send(frame(2, b"x" * 1000)[500:])
    assert close_code(middle.rest()) == 1001
    until(lambda: gw.exit_status() == 0, 15, "the end")
    assert time.monotonic() - start < 12 * SLOW
    assert {a["reason"] for a in ended(gw, 20)} == {"websocket_drain"}


def test_slow_readers_stop_the_sender(gateway, ws):
    """Backpressure in either direction: the gateway holds a buffer's worth, whatever is sent."""
    sent = []

    async def flood(sock, _path):
        while True:
            await sock.send(b"x" * 100_000)
            sent.append(1)
    gw = site(gateway, ws.serve(flood, compression=None).url, workers=1)
    worker = gw.child("worker")

    def resident():
        text = open(f"/proc/{worker}/status", encoding="ascii").read()
        return int(text.split("VmRSS:")[1].split()[0])
    before = resident()
    slow = [upgraded(gw, Host="x") for _ in range(20)]
    last = -1
    while last != len(sent):
        last = len(sent)
        time.sleep(0.5)
    assert resident() - before < 20 * 64 + 4096, "kB for 20 readers that do not read"
    assert len(slow[0].exactly(1_000_000)) == 1_000_000
    for c in slow:
        c.close()
    until(lambda: is_open(gw) == 0, what="all of them to be over")


def test_a_retired_worker_closes_with_1012(gateway, ws):
    """Fewer workers by a reload: those of the ones that go are told to come back, the others stay. R-7.3"""
    gw = site(gateway, ws.serve().url, workers=3)
    held = [ws.connect(gw.url) for _ in range(30)]
    gw.reload(SITE, workers=1)
    until(lambda: len(gw.children("worker")) == 1, 20, "two workers to leave")
    left = [c for c in held if c.open]
    assert 0 < len(left) < 30 and is_open(gw) == len(left)
    assert {c.wait_closed() for c in held if c not in left} == {1012}
    for c in left:
        assert c.ask("still here") == "still here"
    assert closes(gw, 1012) == 30 - len(left)


def unframe(octets):
    """(fin, opcode, payload, rest) of the unmasked frame these begin with, or None: it is not whole."""
    if len(octets) < 2:
        return None
    n, at = octets[1], 2
    if n >= 126:
        size = 2 if n == 126 else 8
        n, at = int.from_bytes(octets[2:2 + size], "big"), 2 + size
    if len(octets) < at + n or at > len(octets):
        return None
    return octets[0] >> 7, octets[0] & 15, octets[at:at + n], octets[at + n:]


def test_frames_cut_anywhere(gateway, ws):
    """Sent in pieces of any size, read in pieces of any size, the gateway's pings in between."""
    gw = site(gateway, ws.serve(max_size=None, compression=None).url, 'ping_interval = "40ms";')
    messages = [os.urandom(n) for n in (0, 1, 125, 126, 127, 65535, 65536, 70000) * 3]
    frames = [f for m in messages for f in (frame(2, m[:len(m) // 2], fin=False), frame(9, b"p"),
                                            frame(0, m[len(m) // 2:]))]
    rnd = random.Random(7)
    with upgraded(gw) as c:
        out, whole, part, got = b"", b"", b"", []
        while len(got) < len(messages):
            if not out and frames:
                out = frames.pop(0)
            readable, writable, _ = select.select([c.sock], [c.sock] if out else [], [], 5)
            assert readable or writable, "nothing moves any more"
            if writable:
                out = out[c.sock.send(out[:rnd.choice((1, 2, 13, 14, 100, 5000, 20000))]):]
            if readable:
                whole += c.sock.recv(rnd.choice((1, 3, 100, 70000)))
            while (taken := unframe(whole)) is not None:
                fin, opcode, payload, whole = taken
                if opcode == 9:
                    frames.insert(0, frame(10, payload))
                elif opcode in (0, 2):
                    part += payload
                    if fin:
                        got.append(part)
                        part = b""
        assert got == messages
        c.send(out + frame(8, b"\x03\xe8"))
    assert ended(gw)[0]["messages_in"] == len(messages)
