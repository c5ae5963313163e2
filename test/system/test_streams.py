# SPDX-License-Identifier: Apache-2.0
"""Event streams and long answers: every piece at once, no end but the right one, nothing at the service for a
client that has left. R-7.4 S-AI-1 R-7.3"""
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from gateway import SLOW, until
from ports import free_port
from wire import WireError

AT_ONCE = 0.1 * SLOW  # what "at once" may take where Python looks on
SITE = """
    workers = @workers@;
    services = ( { id = "s"; url = "@url@"; @service@ } );
    routes = ( { id = "all"; path = "/*"; service = "s"; @route@ } );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; limits = { body = "200M"; }; } );
"""
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"


def site(gateway, b, service="", route="", workers=1, **kw):
    return gateway(SITE, url=b if isinstance(b, str) else b.url, service=service, route=route, workers=workers, **kw)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Feed:
    """A handler that begins a stream and leaves it to the test; it sees when its connection ends."""

    def __init__(self, kind=b"text/event-stream", head=True):
        self.kind, self.head = kind, head
        self.streams, self.ended = [], []
        self.came = threading.Event()

    def __call__(self, x):
        self.streams.append(x)  # known to whoever has read the head
        if self.head:
            x.send(STREAM % self.kind)
        self.came.set()
        try:
            while x.wire.sock.recv(1):
                pass
        except OSError:
            pass
        self.ended.append(time.monotonic())
        x.close()

    def gone(self):
        """When the first connection ended."""
        until(lambda: self.ended, 5, "the end of the service's connection")
        return self.ended[0]


def unchunked(data):
    """What whole chunks hold."""
    out = []
    while b"\r\n" in data:
        line, data = data.split(b"\r\n", 1)
        size = int(line, 16)
        if len(data) < size + 2:
            break
        out.append(data[:size])
        data = data[size + 2:]
    return b"".join(out)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


LEAVE = {"close": lambda c: c.close(), "reset": lambda c: reset(c.sock),
         "half": lambda c: c.sock.shutdown(socket.SHUT_WR)}
leaving = pytest.mark.parametrize("leave", LEAVE)


def settled(gw, reason="client_gone", n=1):
    """The one line says that the client left; every count is back; the endpoint is not to blame."""
    line = gw.access_log(n, lambda a: a.get("reason") == reason)[0]
    assert line["status"] == 499 and line["attempts"] <= 1, line
    until(lambda: gw.metric("gateway_http_requests_active") == 0, 5, "no request")
    gw.wait_metric("gateway_endpoint_in_flight", 0)
    assert gw.metric("gateway_service_failures_total") == 0
    assert gw.metric("gateway_service_retries_total") == 0
    assert gw.metric("gateway_errors_total", reason=reason) == n
    return line


# --- the client leaves -------------------------------------------------------------------------------------
@leaving
def test_leaving_before_the_first_byte(gateway, backend, leave):
    """The service sees its connection close at once, for GET and for a POST whose body is whole."""
    for method, body in (("GET", None), ("POST", b"whole")):
        feed = Feed(head=False)
        gw = site(gateway, backend(feed), "retry = { attempts = 3; };")
        with gw.client() as c:
            c.request(method, "/", body=body)
            assert feed.came.wait(5 * SLOW)
            left = time.monotonic()
            LEAVE[leave](c)
            assert feed.gone() - left < AT_ONCE
        line = settled(gw)
        assert "sent_status" not in line and len(feed.streams) == 1


@leaving
def test_leaving_a_stream(gateway, backend, leave):
    """The same in the middle of the answer; that connection is not used again."""
    feed = Feed()
    b = backend(feed)
    gw = site(gateway, b)
    with gw.client() as c:
        c.request("GET", "/events").head()
        feed.streams[0].send(chunk(b"data: 1\n\n"))
        assert c.until(b"data: 1\n\n\r\n")
        left = time.monotonic()
        LEAVE[leave](c)
        assert feed.gone() - left < AT_ONCE
    line = settled(gw)
    assert line["sent_status"] == 200 and line["stream"] == "events" and line["body_out"] == 9
    with gw.client() as c:
        c.request("GET", "/again").head()
    assert b.connections == 2


@leaving
def test_leaving_while_connecting(gateway, leave):
    """The service's backlog is full: its connection is not waited for."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(3)]
        for s in held:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        gw = site(gateway, f"http://127.0.0.1:{port}", "timeouts = { connect = \"20s\"; }; retry = { attempts = 3; };")
        with gw.client() as c:
            c.request("GET", "/")
            until(lambda: gw.metric("gateway_endpoint_in_flight") == 1, 5, "a share of the endpoint")
            LEAVE[leave](c)
            line = settled(gw)
        assert line["attempts"] == 1 and "send_ms" not in line
        for s in held:
            s.close()


@leaving
def test_leaving_before_an_endpoint_is_picked(gateway, leave):
    """Held up by a policy: no endpoint is asked at all."""
    gw = site(gateway, f"http://127.0.0.1:{free_port()}",
              route="policies = ( { policy = \"fault\"; delay = { percent = 100; duration = \"20s\"; }; } );")
    with gw.client() as c:
        c.request("GET", "/")
        until(lambda: gw.metric("gateway_http_requests_active") == 1, 5, "the request")
        LEAVE[leave](c)
        assert settled(gw)["attempts"] == 0


def test_leaving_with_the_request(gateway, backend):
    """The end of the sending side right behind the request, as by nc -N: nothing is asked of the service."""
    b = backend()
    gw = site(gateway, b)
    for version in ("1.0", "1.1"):
        with gw.client() as c:
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # both in one segment
            c.send(f"GET /nc HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n")
            c.sock.shutdown(socket.SHUT_WR)
            assert c.closed()
    lines = gw.access_log(2, lambda a: a["path"] == "/nc")
    # The end may be seen with the request, or right after it; an answer that was whole by then is one.
    assert all(a["status"] == 499 or a["attempts"] == 1 for a in lines)
    pipe = b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n" * 3
    with gw.client() as c:
        c.send(pipe)
        c.sock.shutdown(socket.SHUT_WR)
        assert c.rest() == b"" or b.requests
    until(lambda: gw.metric("gateway_http_requests_active") == 0, 5, "no request")


def test_half_close(gateway, backend):
    """On a route with half_close an end of the sending side is no more than that; a reset is the end."""
    feed = Feed()
    gw = site(gateway, backend(feed), route="half_close = true;")
    with gw.client() as c:
        c.request("GET", "/")
        c.sock.shutdown(socket.SHUT_WR)
        c.head()
        for i in range(3):
            feed.streams[0].send(chunk(b"data: %d\n\n" % i))
            assert c.until(b"data: %d\n\n\r\n" % i) is not None
        assert not feed.ended
        left = time.monotonic()
        reset(c.sock)
        assert feed.gone() - left < AT_ONCE
    settled(gw)


def test_half_close_pipeline(gateway, backend):
    """All that was sent before the end is answered there."""
    gw = site(gateway, backend(), route="half_close = true;")
    with gw.client() as c:
        c.send(b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        c.sock.shutdown(socket.SHUT_WR)
        assert [c.response().status for _ in range(3)] == [200] * 3
        assert c.closed()


def test_leaving_a_stuck_upload(gateway, backend):
    """The service takes nothing, so nothing is read from the client: its reset is noticed all the same."""
    gate, ended = threading.Event(), threading.Event()

    def stuck(x):
        gate.wait(20)
        x.wire.rest()
        ended.set()
        x.close()

    gw = site(gateway, backend(stuck, read_body=False))
    with gw.client() as c:
        c.request("POST", "/", {"Content-Length": "100000000"})
        c.sock.setblocking(False)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                c.sock.send(b"x" * 65536)
                end = time.monotonic() + 0.3
            except BlockingIOError:
                time.sleep(0.01)
        reset(c.sock)
        settled(gw)
    gate.set()
    assert ended.wait(5 * SLOW)


# --- events ------------------------------------------------------------------------------------------------
def test_event_by_event(gateway, backend):
    """Each event is at the client as it leaves the service, for curl and by hand; the line says what it was."""
    feed = Feed()
    gw = site(gateway, backend(feed))
    with subprocess.Popen(["curl", "-sN", f"{gw.url}/curl"], stdout=subprocess.PIPE, bufsize=0) as curl:
        assert feed.came.wait(5 * SLOW)
        late = []
        for i in range(50):
            event = b"data: %d\n\n" % i
            sent = time.monotonic()
            feed.streams[0].send(chunk(event))
            assert curl.stdout.read(len(event)) == event
            late.append(time.monotonic() - sent)
        assert sorted(late)[25] < 0.01 * SLOW and max(late) < AT_ONCE, late
        curl.kill()
    with gw.client() as c:
        c.request("GET", "/hand")
        assert c.head().status == 200  # before the first event
        for piece in (b"d", b"ata: x", b"\n", b"\n"):  # pieces of one, too
            sent = time.monotonic()
            feed.streams[1].send(chunk(piece))
            assert c.exactly(len(chunk(piece))) == chunk(piece)
            assert time.monotonic() - sent < AT_ONCE
    assert gw.access_log(2)[0]["stream"] == "events"


@pytest.mark.parametrize("kind,route,word", [
    (b"text/event-stream; charset=utf-8", "", "events"), (b"application/json", "streaming = true;", "streaming"),
    (b"application/json", "", None)])
def test_total_timeout(gateway, backend, kind, route, word):
    """A stream outlives timeouts.total, another answer does not."""
    feed = Feed(kind)
    gw = site(gateway, backend(feed), "timeouts = { total = \"600ms\"; connect = \"500ms\"; first_byte = \"500ms\"; };",
              route)
    with gw.client() as c:
        c.request("GET", "/").head()
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 2:
                feed.streams[0].send(chunk(b"x"))
                assert c.exactly(6) == chunk(b"x")
                time.sleep(0.05)
            assert word
            feed.streams[0].send(b"0\r\n\r\n")
            assert c.exactly(5) == b"0\r\n\r\n"
        except (WireError, OSError):
            assert not word
            assert time.monotonic() - begin < 1.5 * SLOW
    line = gw.access_log(1)[0]
    assert line["status"] == 200 and line.get("stream") == word
    assert line.get("reason") == (None if word else "total_timeout")


def test_total_timeout_before_the_head(gateway, backend):
    """Until its head is there a stream is an answer like any other."""
    feed = Feed(head=False)
    gw = site(gateway, backend(feed), "timeouts = { total = \"300ms\"; connect = \"200ms\"; first_byte = \"300ms\"; };",
              "streaming = true;")
    assert gw.ask("GET", "/").status == 504


def test_idle_timeout(gateway, backend):
    """Nothing for timeouts.idle: the stream is cut, not ended; the client saw 200, the reason says why; the
    endpoint is not taken for broken."""
    feed = Feed()
    gw = site(gateway, backend(feed), "timeouts = { idle = \"300ms\"; }; health = { failures = 1; };")
    for i in range(2):
        with gw.client() as c:
            c.request("GET", "/").head()
            feed.streams[i].send(chunk(b": beat\n\n"))
            with pytest.raises((WireError, ConnectionResetError)):
                c.chunked(type("Body", (), {})())
    lines = gw.access_log(2)
    assert [(a["status"], a["reason"], a["stream"]) for a in lines] == [(200, "upstream_idle", "events")] * 2
    assert gw.metric("gateway_service_failures_total") == 0


# --- reloads and the end -----------------------------------------------------------------------------------
class Reader(threading.Thread):
    """Reads many connections and keeps what came; `lost` has those that ended."""

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.data = {c: c.buf for c in clients}
        self.lost, self.done = [], False
        self.sel = selectors.DefaultSelector()
        for c in clients:
            c.sock.setblocking(False)
            self.sel.register(c.sock, selectors.EVENT_READ, c)

    def run(self):
        while not self.done:
            for key, _ in self.sel.select(0.1):
                c = key.data
                try:
                    got = c.sock.recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    got = b""
                if got:
                    self.data[c] += got
                else:
                    self.lost.append(c)
                    self.sel.unregister(c.sock)


@pytest.mark.xdist_group("alone")
def test_streams_live_through_reloads(gateway, backend):
    """200 streams and 20 downloads go on through 100 reloads that change route, service and endpoint; none is
    closed, and every octet arrives. C-4"""
    streams, downloads, reloads = 200, 20, 100 if SLOW == 1 else 20
    feed, other = Feed(), backend()
    gw = site(gateway, backend(feed), workers=2)
    clients = []
    for i in range(streams + downloads):
        c = gw.client()
        c.request("GET", f"/{i}").head()
        clients.append(c)
    until(lambda: len(feed.streams) == len(clients), 5, "every stream at the service")
    reader = Reader(clients)
    reader.start()
    block = b"d" * 20000
    for n in range(reloads):
        gw.reload(SITE, url=other.url if n % 2 == 0 else feed.streams[0].backend.url, workers=2,
                  service=f"timeouts = {{ total = \"{n % 7 + 60}s\"; }};",
                  route=f"priority = {n}; streaming = {'true' if n % 3 else 'false'};")
        for x in feed.streams[:streams]:
            x.send(chunk(b"data: %03d\n\n" % n))
        for x in feed.streams[streams:]:
            x.send(chunk(block))
    events = b"".join(b"data: %03d\n\n" % n for n in range(reloads))
    want = sorted([events] * streams + [block * reloads] * downloads)
    until(lambda: sorted(map(unchunked, reader.data.values())) == want, 20, "every octet of every stream")
    reader.done = True
    reader.join()
    assert reader.lost == [] and feed.ended == []
    assert other.requests == []
    for c in clients:
        c.close()
    until(lambda: len(feed.ended) >= len(clients), 5, "the service's connections")
    until(lambda: gw.metric("gateway_endpoint_in_flight") == 0, 10, "every share")


def test_drain_cuts_streams_at_its_deadline(gateway, backend):
    """A stop waits for streams until the deadline, then cuts them: never a clean end for what was not whole."""
    feed = Feed()
    gw = gateway(SITE + "shutdown = { min_drain = \"0s\"; deadline = \"800ms\"; };", url=backend(feed).url, service="", route="",
                 workers=1)
    with gw.client() as c:
        c.request("GET", "/").head()
        feed.streams[0].send(chunk(b"data: 1\n\n"))
        assert c.until(b"data: 1\n\n\r\n")
        begin = time.monotonic()
        gw.kill(signal.SIGQUIT)
        feed.streams[0].send(chunk(b"data: 2\n\n"))
        assert c.until(b"data: 2\n\n\r\n")
        assert c.rest() == b""
        assert time.monotonic() - begin > 0.5
    assert gw.access_log(1)[0]["reason"] == "shutdown"
