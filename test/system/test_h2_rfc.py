# SPDX-License-Identifier: Apache-2.0
"""RFC 9113, sections 3 to 8: a case for each MUST and MUST NOT that shows on the wire.

R-5.1, R-5.4, R-7.1: SERVER has what clients do to the gateway, UPSTREAM what upstreams do to it, READS what the
gateway itself writes. A row is: section, id, the rule, what is sent (c: the connection, p: the path that tells
requests apart), what has to come of it. test/README.h2 lists the rows; test_list holds it against them.
"""
import os
import re
import ssl
import struct
import threading
from pathlib import Path

import pytest

import http2
from backend import Backend
from gateway import Gateway, until
from http2 import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM,
                   FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE,
                   INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PADDED, PING, PREFACE,
                   PRIORITY, PRIORITY_FLAG, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS,
                   STREAM_CLOSED, WINDOW_UPDATE, block, integer, literal, octets, request, settings_octets)
from wire import Client as Client1

CONF = """
    workers = 1;
    services = ( { id = "s"; url = "@origin@"; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
    certificates = ( @certificate@ );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; http2 = { streams = 20; }; },
                  { id = "tls"; address = "127.0.0.1:@tls@"; tls = { enabled = true; }; } );
"""


class Site:
    """A gateway and what stands behind it, for all cases of this file."""

    def __init__(self, pki):
        from ports import free_port
        from tls import certificate
        self.held = threading.Event()
        self.origin = Backend(self._answer)
        self.tls_port = free_port()
        self.ca = pki.ca()
        self.gw = Gateway(CONF, origin=self.origin.url, tls=self.tls_port,
                          certificate=certificate("a", pki.leaf(["a.example"], self.ca)))

    def _answer(self, x):
        if x.request.target.startswith("/held"):
            self.held.wait(20)
        if x.request.target.startswith("/large"):
            x.respond(200, body=b"x" * 200000)
            return
        if x.request.target.startswith("/fields"):
            x.respond(200, [("Keep-Alive", "timeout=5"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("X-UPPER", "Kept"),
                            ("Proxy-Connection", "close")], b"x")
            return
        x.echo()

    def asked(self, path):
        return [r for r in self.origin.requests if r.target == path]


@pytest.fixture(scope="module")
def site(pki):
    s = Site(pki)
    with s.gw:
        yield s
        s.held.set()
    s.origin.close()


# --- what has to come of it -----------------------------------------------------------------------
def alive(c):
    assert c.ask("GET", "/alive").status == 200


def conn_error(*codes):
    """GOAWAY with one of these codes, and the end of the connection (5.4.1)."""
    def check(site, c, path):
        code = c.wait_goaway()
        assert code in codes, (code, c.seen[-4:])
    return check


def stream_error(*codes, stream=1, asked=None):
    """RST_STREAM with one of these codes, and the connection goes on."""
    def check(site, c, path):
        a = c.take(stream)
        assert a.reset in codes, a
        alive(c)
        assert asked is None or bool(site.asked(path)) == asked
    return check


def either(stream_codes, conn_codes, stream=1):
    """The stream is reset, or the connection ended."""
    def check(site, c, path):
        a = c.take(stream)
        if a.reset is None:
            assert a.goaway and a.goaway.code in conn_codes, (a, c.seen[-4:])
            assert c.closed()
        else:
            assert a.reset in stream_codes, a
            alive(c)
    return check


def malformed(site, c, path):
    """8.1.1: PROTOCOL_ERROR on the stream, or 400 before it; no upstream sees it; the connection goes on."""
    a = c.take(1)
    assert a.reset == PROTOCOL_ERROR or a.status == 400, a
    alive(c)
    assert not site.asked(path)


def fine(site, c, path):
    """An answer of the upstream on stream 1, nothing reset, and the connection goes on."""
    a = c.take(1)
    assert a.status == 200 and a.reset is None, a
    alive(c)


def going_on(site, c, path):
    """Nothing comes of it."""
    frames = c.synced()
    assert not [f for f in frames if f.type in (RST_STREAM, GOAWAY)], frames
    alive(c)


def unasked(site, c, path):
    """Nothing comes of it, at the upstream neither."""
    going_on(site, c, path)
    assert not site.asked(path)


def quiet_close(site, c, path):
    """The end of the connection; a GOAWAY may be left out (3.4)."""
    assert c.closed()
    assert c.goaway is None or c.goaway.code == PROTOCOL_ERROR


def status(*codes):
    def check(site, c, path):
        a = c.take(1)
        assert a.status in codes and a.reset in (None, NO_ERROR), a
        alive(c)
    return check


# --- what is sent ---------------------------------------------------------------------------------
def raw(*parts):
    """These octets."""
    return lambda c, p: c.send(b"".join(parts))


def ask(*fields, end=True, **kw):
    """A request on stream 1 as literals, whose fields may be any octets."""
    return lambda c, p: c.headers(1, block(request(kw.get("method", "GET"), kw.get("path", p), *fields, **{
        k: v for k, v in kw.items() if k not in ("method", "path")})), end=end, raw=True)


def fields(make):
    """A request whose fields make(path) gives, pseudo fields included."""
    return lambda c, p: c.headers(1, block(make(p)), raw=True)


def then(*steps):
    def do(c, p):
        for step in steps:
            step(c, p)
    return do


def opened(*rest, method="POST"):
    """A request on stream 1 whose body is still to come, then `rest` (octets or steps)."""
    def do(c, p):
        c.headers(1, request(method, p), end=False)
        for one in rest:
            if callable(one):
                one(c, p)
            else:
                c.send(one)
    return do


def held(*rest):
    """Stream 1 half closed (remote): a request that is whole and not answered yet. Then `rest`."""
    def do(c, p):
        c.headers(1, request("GET", "/held" + p))
        for one in rest:
            one(c, p) if callable(one) else c.send(one)
    return do


def answered(*rest):
    """Stream 1 closed by both ends, then `rest`."""
    def do(c, p):
        assert c.ask("GET", p).status == 200
        c.synced()
        c.send(b"".join(rest))
    return do


def was_reset(*rest):
    """Stream 1 reset by the client, then `rest`."""
    def do(c, p):
        c.headers(1, request("POST", p), end=False)
        c.rst(1)
        c.synced()
        c.send(b"".join(rest))
    return do


def u32(n):
    return struct.pack(">I", n)


GET = block(request("GET", "/x"))
HALF = GET[:10]
SMALL = octets(HEADERS, END_HEADERS | END_STREAM, 3, GET)


def server(section, id, rule, do, check, **kw):
    return pytest.param(section, rule, do, check, kw, id=id)


SERVER = [
    # 3 Starting
    server("3.4", "preface-wrong", "an invalid preface is a connection error", raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), quiet_close,
           hello=False),
    server("3.4", "preface-then-no-settings", "the client's preface ends with a SETTINGS frame",
           raw(PREFACE + octets(PING, 0, 0, b"12345678")), conn_error(PROTOCOL_ERROR), hello=False),
    server("3.4", "preface-then-settings-ack", "the first SETTINGS is no acknowledgement",
           raw(PREFACE + octets(SETTINGS, ACK, 0)), conn_error(PROTOCOL_ERROR), hello=False),
    server("3.4", "preface-in-pieces", "the preface may come in any pieces",
           lambda c, p: [c.send(bytes([o])) for o in PREFACE + settings_octets()] and ask()(c, p), fine, hello=False),
    server("3.4", "requests-before-settings", "a client may send frames before it has the server's preface",
           raw(PREFACE + settings_octets() + octets(HEADERS, END_HEADERS | END_STREAM, 1, GET)), fine, hello=False),
    # 4 Frames
    server("4.1", "unknown-type", "frames of unknown types are ignored",
           then(raw(octets(0x99, 0xff, 0, b"abc") + octets(0x99, 0, 5, b"abc")), ask()), fine),
    server("4.1", "unknown-flags", "flags without a meaning for a type are ignored",
           raw(octets(PING, 0xfe, 0, b"12345678") + octets(HEADERS, END_HEADERS | END_STREAM | 0xc0, 1, GET)), fine),
    server("4.1", "reserved-bit", "the reserved bit is ignored",
           raw(octets(PING, 0, 0x80000000, b"12345678") + octets(HEADERS, END_HEADERS | END_STREAM, 0x80000001, GET)), fine),
    server("4.2", "frame-of-16384", "frames of 2^14 octets are taken",
           opened(octets(DATA, END_STREAM, 1, b"x" * 16384)), fine),
    server("4.2", "data-too-large", "larger than SETTINGS_MAX_FRAME_SIZE: FRAME_SIZE_ERROR",
           opened(octets(DATA, END_STREAM, 1, b"x" * 16385)), either([FRAME_SIZE_ERROR], [FRAME_SIZE_ERROR])),
    server("4.2", "headers-too-large", "where it changes the connection's state, it ends the connection",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + literal("a", "x" * 16384))), conn_error(FRAME_SIZE_ERROR)),
    server("4.2", "settings-too-large", "SETTINGS too", raw(octets(SETTINGS, 0, 0, b"\0\x99\0\0\0\0" * 2731)),
           conn_error(FRAME_SIZE_ERROR)),
    server("4.2", "unknown-too-large", "frames of unknown types too", raw(octets(0x99, 0, 0, b"x" * 16385)),
           conn_error(FRAME_SIZE_ERROR)),
    server("4.3", "hpack-bad-index", "a field block that cannot be decoded: COMPRESSION_ERROR",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + integer(100, 7, 0x80))), conn_error(COMPRESSION_ERROR)),
    server("4.3", "hpack-index-zero", "index 0 is none (RFC 7541 6.1)",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x80")), conn_error(COMPRESSION_ERROR)),
    server("4.3", "hpack-cut-short", "a block that ends within a field",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x00\x05ab")), conn_error(COMPRESSION_ERROR)),
    server("4.3", "hpack-bad-huffman", "Huffman padding longer than 7 bits (RFC 7541 5.2)",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x00\x82\xff\xff\x01a")), conn_error(COMPRESSION_ERROR)),
    server("4.3", "hpack-endless-integer", "an integer without an end (RFC 7541 5.1)",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x7f" + b"\xff" * 20)), conn_error(COMPRESSION_ERROR)),
    server("4.3", "hpack-refused-stream-still-decoded", "blocks are decoded also where the stream is refused",
           lambda c, p: (c.headers(1, request("POST", p), end=False), c.rst(1), c.headers(3, request("GET", p, ("x-a", "b"))),
                         c.take(3), c.headers(5, request("GET", p, ("x-a", "b"))),
                         setattr(c, "next", 7)),
           lambda site, c, p: dict(c.take(5).json()["headers"])["x-a"] == "b" or pytest.fail("the table went astray")),
    server("4.3", "block-interrupted-by-data", "a field block is one sequence of frames",
           raw(octets(HEADERS, END_STREAM, 1, HALF) + octets(DATA, 0, 1, b"x")), conn_error(PROTOCOL_ERROR)),
    server("4.3", "block-interrupted-by-ping", "not even PING comes between", raw(octets(HEADERS, END_STREAM, 1, HALF) + octets(PING, 0, 0, b"12345678")),
           conn_error(PROTOCOL_ERROR)),
    server("4.3", "block-interrupted-by-stream", "nor a HEADERS of another stream", raw(octets(HEADERS, END_STREAM, 1, HALF) + SMALL),
           conn_error(PROTOCOL_ERROR)),
    server("4.3.1", "table-size-above-setting", "a table size update above the setting: COMPRESSION_ERROR",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, integer(4097, 5, 0x20) + GET)), conn_error(COMPRESSION_ERROR)),
    server("4.3.1", "table-size-later", "an update comes at the beginning of a block (RFC 7541 4.2)",
           raw(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET + integer(0, 5, 0x20))), conn_error(COMPRESSION_ERROR)),
    # 5 Streams
    server("5.1", "idle-data", "idle: anything but HEADERS and PRIORITY is PROTOCOL_ERROR", raw(octets(DATA, 0, 1, b"x")), conn_error(PROTOCOL_ERROR)),
    server("5.1", "idle-rst-stream", "RST_STREAM", raw(octets(RST_STREAM, 0, 1, u32(8))), conn_error(PROTOCOL_ERROR)),
    server("5.1", "idle-window-update", "WINDOW_UPDATE", raw(octets(WINDOW_UPDATE, 0, 1, u32(1))), conn_error(PROTOCOL_ERROR)),
    server("5.1", "idle-continuation", "CONTINUATION", raw(octets(CONTINUATION, END_HEADERS, 1, GET)), conn_error(PROTOCOL_ERROR)),
    server("5.1", "half-closed-data", "half closed (remote): DATA is STREAM_CLOSED", held(octets(DATA, END_STREAM, 1, b"x")),
           either([STREAM_CLOSED], [STREAM_CLOSED])),
    server("5.1", "half-closed-headers", "HEADERS too", held(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET)),
           either([STREAM_CLOSED], [STREAM_CLOSED])),
    server("5.1", "half-closed-allowed", "WINDOW_UPDATE and PRIORITY may come",
           held(octets(WINDOW_UPDATE, 0, 1, u32(1)) + octets(PRIORITY, 0, 1, u32(0) + b"\x10")), going_on),
    server("5.1", "half-closed-rst-stream", "RST_STREAM may come", held(octets(RST_STREAM, 0, 1, u32(CANCEL))), going_on),
    server("5.1", "closed-data", "closed: DATA may be STREAM_CLOSED; here it is dropped, and the window stays whole",
           answered(octets(DATA, END_STREAM, 1, b"x")), going_on),
    server("5.1", "closed-headers", "HEADERS too", answered(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET)), going_on),
    server("5.1", "closed-late-frames", "WINDOW_UPDATE, RST_STREAM and PRIORITY that cross the end are ignored",
           answered(octets(WINDOW_UPDATE, 0, 1, u32(1)) + octets(RST_STREAM, 0, 1, u32(CANCEL)) + octets(PRIORITY, 0, 1, u32(0) + b"\x10")),
           going_on),
    server("5.1", "reset-data", "DATA behind the sender's own RST_STREAM: the same", was_reset(octets(DATA, END_STREAM, 1, b"x")), going_on),
    server("5.1", "reset-headers", "HEADERS too", was_reset(octets(HEADERS, END_HEADERS | END_STREAM, 1, GET)), going_on),
    server("5.1.1", "even-stream", "clients use odd identifiers", raw(octets(HEADERS, END_HEADERS | END_STREAM, 2, GET)),
           conn_error(PROTOCOL_ERROR)),
    server("5.1.1", "lower-stream", "a new identifier is greater than all before: others are closed streams, and dropped as theirs",
           lambda c, p: (c.headers(5, request("GET", "/first")), c.take(5), c.headers(3, request("GET", p))), unasked),
    server("5.1.1", "skipped-streams-closed", "identifiers that were skipped are closed",
           lambda c, p: (c.headers(5, request("GET", p)), c.take(5), c.send(octets(DATA, END_STREAM, 3, b"x"))), going_on),
    server("5.1.2", "too-many-streams", "more than SETTINGS_MAX_CONCURRENT_STREAMS: PROTOCOL_ERROR or REFUSED_STREAM",
           lambda c, p: (c.wait_type(SETTINGS, flags=ACK), [c.begin("GET", "/held" + p) for _ in range(20)], c.begin("GET", p)),
           either([PROTOCOL_ERROR, REFUSED_STREAM], [PROTOCOL_ERROR], stream=41)),
    server("5.4.2", "no-reset-for-a-reset", "RST_STREAM is never answered with RST_STREAM",
           opened(octets(RST_STREAM, 0, 1, u32(CANCEL)) * 1), going_on),
    server("5.5", "extension-on-closed", "unknown frames on a half closed stream are ignored", held(octets(0x55, 0, 1, b"abc")), going_on),
    server("5.5", "extension-within-block", "unknown frames within a field block are PROTOCOL_ERROR",
           raw(octets(HEADERS, END_STREAM, 1, HALF) + octets(0x99, 0, 1, b"x")), conn_error(PROTOCOL_ERROR)),
    # 6 Frame definitions
    server("6.1", "data-stream-0", "DATA belongs to a stream", raw(octets(DATA, 0, 0, b"x")), conn_error(PROTOCOL_ERROR)),
    server("6.1", "data-padding-too-long", "padding as long as the payload: PROTOCOL_ERROR",
           opened(octets(DATA, PADDED, 1, b"\x05abcde"[:5])), conn_error(PROTOCOL_ERROR)),
    server("6.1", "data-padded-empty", "PADDED without its length: FRAME_SIZE_ERROR", opened(octets(DATA, PADDED, 1)),
           conn_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    server("6.1", "data-padded", "padding is no payload", opened(octets(DATA, PADDED | END_STREAM, 1, b"\x05hello" + b"\0" * 5)),
           lambda site, c, p: c.take(1).json()["body"] == "hello" or pytest.fail("the padding arrived")),
    server("6.2", "headers-stream-0", "HEADERS belongs to a stream", raw(octets(HEADERS, END_HEADERS | END_STREAM, 0, GET)), conn_error(PROTOCOL_ERROR)),
    server("6.2", "headers-padding-too-long", "padding longer than what is there: PROTOCOL_ERROR",
           raw(octets(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + GET)), conn_error(PROTOCOL_ERROR)),
    server("6.2", "headers-padded-priority", "padding and priority are not part of the block",
           raw(octets(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITY_FLAG, 1, b"\x04" + u32(0) + b"\x10" + GET + b"\0" * 4)), fine),
    server("6.2", "headers-priority-cut", "HEADERS too short for its priority", raw(octets(HEADERS, END_HEADERS | END_STREAM | PRIORITY_FLAG, 1, b"\0\0")),
           conn_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    server("6.3", "priority-stream-0", "PRIORITY belongs to a stream", raw(octets(PRIORITY, 0, 0, u32(0) + b"\x10")), conn_error(PROTOCOL_ERROR)),
    server("6.3", "priority-size", "not five octets: FRAME_SIZE_ERROR", opened(octets(PRIORITY, 0, 1, u32(0))),
           either([FRAME_SIZE_ERROR], [FRAME_SIZE_ERROR])),
    server("6.3", "priority-idle", "PRIORITY may come in any state", then(raw(octets(PRIORITY, 0, 9, u32(0) + b"\x10")), ask()), fine),
    server("6.4", "rst-stream-0", "RST_STREAM belongs to a stream", raw(octets(RST_STREAM, 0, 0, u32(8))), conn_error(PROTOCOL_ERROR)),
    server("6.4", "rst-stream-size", "not four octets: FRAME_SIZE_ERROR", opened(octets(RST_STREAM, 0, 1, b"abc")), conn_error(FRAME_SIZE_ERROR)),
    server("6.5", "settings-ack-size", "an acknowledgement has no payload", raw(octets(SETTINGS, ACK, 0, b"\0\x01\0\0\0\0")), conn_error(FRAME_SIZE_ERROR)),
    server("6.5", "settings-stream", "SETTINGS is for the connection", raw(octets(SETTINGS, 0, 1)), conn_error(PROTOCOL_ERROR)),
    server("6.5", "settings-size", "a multiple of six octets", raw(octets(SETTINGS, 0, 0, b"\0\x01\0\0\0")), conn_error(FRAME_SIZE_ERROR)),
    server("6.5.2", "settings-push", "ENABLE_PUSH is 0 or 1", raw(settings_octets({ENABLE_PUSH: 2})), conn_error(PROTOCOL_ERROR)),
    server("6.5.2", "settings-window", "INITIAL_WINDOW_SIZE is at most 2^31-1", raw(settings_octets({INITIAL_WINDOW_SIZE: 1 << 31})),
           conn_error(FLOW_CONTROL_ERROR)),
    server("6.5.2", "settings-frame-small", "MAX_FRAME_SIZE is at least 2^14", raw(settings_octets({MAX_FRAME_SIZE: 16383})), conn_error(PROTOCOL_ERROR)),
    server("6.5.2", "settings-frame-large", "and at most 2^24-1", raw(settings_octets({MAX_FRAME_SIZE: 1 << 24})), conn_error(PROTOCOL_ERROR)),
    server("6.5.2", "settings-unknown", "unknown settings are ignored", then(raw(settings_octets({0x99: 5, 0xffff: 0xffffffff})), ask()), fine),
    server("6.5.2", "settings-connect-protocol", "ENABLE_CONNECT_PROTOCOL is 0 or 1 (RFC 8441 3)", raw(settings_octets({8: 2})), conn_error(PROTOCOL_ERROR)),
    server("6.5.3", "settings-acked", "every SETTINGS is acknowledged",
           lambda c, p: (c.send(settings_octets() * 3), setattr(c, "next", 1)),
           lambda site, c, p: len([f for f in c.synced() if f.type == SETTINGS and f.flags & ACK]) == 4 or pytest.fail("not all")),
    server("6.5.3", "settings-order", "values are taken in their order, the last one stays",
           then(lambda c, p: c.settings([(INITIAL_WINDOW_SIZE, 100000), (INITIAL_WINDOW_SIZE, 5)]),
                lambda c, p: c.begin("GET", "/large" + p)),
           lambda site, c, p: len(c.wait_type(DATA).payload) == 5 and not [f for f in c.synced() if f.type == DATA] or pytest.fail("the first"),
           credit=False),
    server("6.6", "push-promise", "clients do not push", opened(octets(PUSH_PROMISE, END_HEADERS, 1, u32(2) + GET)), conn_error(PROTOCOL_ERROR)),
    server("6.7", "ping-answered", "PING is answered with the same payload", lambda c, p: None, lambda site, c, p: c.synced()),
    server("6.7", "ping-ack-not-answered", "an answer is not answered", lambda c, p: c.ping(b"unasked!", ACK),
           lambda site, c, p: not [f for f in c.synced() if f.payload == b"unasked!"] or pytest.fail("it was")),
    server("6.7", "ping-stream", "PING is for the connection", raw(octets(PING, 0, 1, b"12345678")), conn_error(PROTOCOL_ERROR)),
    server("6.7", "ping-size", "eight octets", raw(octets(PING, 0, 0, b"1234567")), conn_error(FRAME_SIZE_ERROR)),
    server("6.8", "goaway-stream", "GOAWAY is for the connection", raw(octets(GOAWAY, 0, 1, u32(0) + u32(0))), conn_error(PROTOCOL_ERROR)),
    server("6.8", "goaway-size", "eight octets or more", raw(octets(GOAWAY, 0, 0, u32(0))), conn_error(FRAME_SIZE_ERROR)),
    server("6.8", "goaway-last-grows", "a second GOAWAY does not allow more than the first",
           raw(octets(GOAWAY, 0, 0, u32(0) + u32(0)) + octets(GOAWAY, 0, 0, u32(2) + u32(0))), conn_error(PROTOCOL_ERROR, NO_ERROR)),
    server("6.8", "goaway-requests-end", "what is under way is answered behind a client's GOAWAY",
           lambda c, p: (c.headers(1, request("GET", p)), c.bye()),
           lambda site, c, p: c.take(1).status == 200 and c.closed() or pytest.fail("not answered or not closed")),
    server("6.9", "window-update-zero-stream", "an increment of 0 on a stream: PROTOCOL_ERROR of the stream",
           opened(octets(WINDOW_UPDATE, 0, 1, u32(0))), either([PROTOCOL_ERROR], [PROTOCOL_ERROR])),
    server("6.9", "window-update-zero-conn", "on the connection: of the connection", raw(octets(WINDOW_UPDATE, 0, 0, u32(0))), conn_error(PROTOCOL_ERROR)),
    server("6.9", "window-update-size", "four octets", raw(octets(WINDOW_UPDATE, 0, 0, b"abc")), conn_error(FRAME_SIZE_ERROR)),
    server("6.9.1", "window-overflow-stream", "a stream's window above 2^31-1: FLOW_CONTROL_ERROR of the stream",
           held(octets(WINDOW_UPDATE, 0, 1, u32(0x7fffffff))), either([FLOW_CONTROL_ERROR], [FLOW_CONTROL_ERROR])),
    server("6.9.1", "window-overflow-conn", "the connection's: of the connection", raw(octets(WINDOW_UPDATE, 0, 0, u32(0x7fffffff))),
           conn_error(FLOW_CONTROL_ERROR)),
    server("6.9.1", "data-over-window", "more DATA than the window: FLOW_CONTROL_ERROR",
           lambda c, p: (c.headers(1, request("POST", "/held" + p), end=False),
                         c.send(octets(DATA, 0, 1, b"x" * 16384) * 30)),
           either([FLOW_CONTROL_ERROR], [FLOW_CONTROL_ERROR])),
    server("6.9.2", "window-overflow-settings", "INITIAL_WINDOW_SIZE that makes a window overflow: FLOW_CONTROL_ERROR",
           held(octets(WINDOW_UPDATE, 0, 1, u32(0x7fffffff - 65535)) + settings_octets({INITIAL_WINDOW_SIZE: 65536})),
           either([FLOW_CONTROL_ERROR], [FLOW_CONTROL_ERROR])),
    server("6.10", "continuation-stream-0", "CONTINUATION belongs to a stream", raw(octets(HEADERS, END_STREAM, 1, HALF) + octets(CONTINUATION, END_HEADERS, 0, GET[10:])),
           conn_error(PROTOCOL_ERROR)),
    server("6.10", "continuation-other-stream", "to that of its HEADERS", raw(octets(HEADERS, END_STREAM, 1, HALF) + octets(CONTINUATION, END_HEADERS, 3, GET[10:])),
           conn_error(PROTOCOL_ERROR)),
    server("6.10", "continuation-after-end", "not behind END_HEADERS", held(octets(CONTINUATION, END_HEADERS, 1, GET)), conn_error(PROTOCOL_ERROR)),
    server("6.10", "continuation-after-data", "only behind HEADERS or CONTINUATION", opened(octets(DATA, 0, 1, b"x") + octets(CONTINUATION, END_HEADERS, 1, b"")),
           conn_error(PROTOCOL_ERROR)),
    server("6.10", "continuation-many", "any number of them makes one block",
           lambda c, p: c.headers(1, block(request("GET", p)), raw=True, block_size=10), fine),
    server("6.10", "continuation-empty", "empty ones too",
           raw(octets(HEADERS, END_STREAM, 1) + octets(CONTINUATION, 0, 1) + octets(CONTINUATION, END_HEADERS, 1, GET)), fine),
    # 7 Error codes
    server("7", "unknown-code", "unknown error codes have no special effect", opened(octets(RST_STREAM, 0, 1, u32(0xdeadbeef))), going_on),
    # 8 HTTP semantics
    server("8.1", "trailers-without-end", "a second HEADERS without END_STREAM is malformed",
           opened(lambda c, p: c.headers(1, [("x-t", "1")], end=False)), malformed),
    server("8.1", "trailers", "trailers may come", opened(lambda c, p: c.data(1, b"x", end=False), lambda c, p: c.headers(1, [("x-t", "1")])), fine),
    server("8.1", "trailers-pseudo", "no pseudo fields in trailers",
           opened(lambda c, p: c.data(1, b"x", end=False), lambda c, p: c.headers(1, [(":path", "/t")])), stream_error(PROTOCOL_ERROR)),
    server("8.1.1", "length-too-long", "content-length is the sum of DATA: less came",
           then(ask(("content-length", "5"), method="POST", end=False), lambda c, p: c.data(1, b"abc")), stream_error(PROTOCOL_ERROR)),
    server("8.1.1", "length-too-short", "more came",
           then(ask(("content-length", "2"), method="POST", end=False), lambda c, p: c.data(1, b"abc")), stream_error(PROTOCOL_ERROR)),
    server("8.1.1", "length-without-body", "none came", ask(("content-length", "5"), method="POST"), malformed),
    server("8.1.1", "length-twice", "two lengths", ask(("content-length", "0"), ("content-length", "0"), method="POST"), malformed),
    server("8.1.1", "length-not-digits", "not a number", ask(("content-length", "+3"), method="POST"), malformed),
    server("8.1.1", "length-exact", "as much as announced", then(ask(("content-length", "3"), method="POST", end=False), lambda c, p: c.data(1, b"abc")), fine),
    server("8.2.1", "name-uppercase", "names in upper case are malformed", ask(("X-Upper", "1")), malformed),
    *[server("8.2.1", f"name-octet-{o:02x}", "octets no name may have", ask((b"x" + bytes([o]) + b"y", "1")), malformed)
      for o in (0x00, 0x09, 0x0a, 0x0d, 0x20, 0x3a, 0x7f, 0x80, 0xff)],
    server("8.2.1", "name-empty", "an empty name", ask(("", "1")), malformed),
    *[server("8.2.1", f"value-octet-{o:02x}", "octets no value may have", ask(("x-a", b"x" + bytes([o]) + b"y")), malformed) for o in (0x00, 0x0a, 0x0d)],
    server("8.2.1", "value-leading-space", "values do not begin with white space", ask(("x-a", " b")), malformed),
    server("8.2.1", "value-trailing-tab", "nor end with it", ask(("x-a", "b\t")), malformed),
    *[server("8.2.2", f"hop-{n}", "no connection-specific fields", ask((n, v)), malformed)
      for n, v in (("connection", "close"), ("proxy-connection", "keep-alive"), ("keep-alive", "timeout=5"),
                   ("transfer-encoding", "chunked"), ("upgrade", "h2c"))],
    server("8.2.2", "te-other", "TE has no value but trailers", ask(("te", "gzip")), malformed),
    server("8.2.2", "te-trailers", "which it may have", ask(("te", "trailers")), fine),
    server("8.2.3", "cookies", "crumbs of cookies are one field for HTTP/1.1",
           ask(("cookie", "a=1"), ("x-b", "1"), ("cookie", "b=2"), ("cookie", "c=3")),
           lambda site, c, p: [v for n, v in c.take(1).json()["headers"] if n.lower() == "cookie"] == ["a=1; b=2; c=3"] or pytest.fail("not joined")),
    server("8.3", "pseudo-unknown", "pseudo fields nobody defined are malformed", fields(lambda p: request("GET", p) + [(":foo", "1")]), malformed),
    server("8.3", "pseudo-of-response", "those of responses too", fields(lambda p: request("GET", p) + [(":status", "200")]), malformed),
    server("8.3", "pseudo-behind-field", "pseudo fields come first", fields(lambda p: [("x-a", "b")] + request("GET", p)), malformed),
    server("8.3", "pseudo-twice", "and once", fields(lambda p: request("GET", p) + [(":path", p)]), malformed),
    server("8.3", "method-twice", ":method once", fields(lambda p: request("GET", p) + [(":method", "GET")]), malformed),
    server("8.3", "authority-twice", ":authority once", fields(lambda p: request("GET", p) + [(":authority", "test.example")]), malformed),
    server("8.3.1", "no-method", "a request has :method", fields(lambda p: request(None, p)), malformed),
    server("8.3.1", "no-scheme", ":scheme", ask(scheme=None), malformed),
    server("8.3.1", "no-path", "and :path", fields(lambda p: request("GET", None)), malformed),
    server("8.3.1", "path-empty", "which is not empty", fields(lambda p: request("GET", "")), malformed),
    server("8.3.1", "path-without-slash", "and begins with a slash", fields(lambda p: request("GET", p[1:])), malformed),
    server("8.3.1", "options-star", "OPTIONS may ask for *", fields(lambda p: request("OPTIONS", "*")),
           lambda site, c, p: c.take(1).status in (200, 404) or pytest.fail("refused")),
    server("8.3.1", "star-otherwise", "nothing else may", fields(lambda p: request("GET", "*")), malformed),
    server("8.3.1", "authority-userinfo", ":authority has no userinfo", ask(authority="user@test.example"), malformed),
    server("8.3.1", "authority-and-host", "host that differs from :authority is malformed", ask(("host", "other.example")), malformed),
    server("8.3.1", "authority-same-host", "one that does not is taken", ask(("host", "test.example")), fine),
    server("8.3.1", "host-alone", "host may stand for :authority", ask(("host", "test.example"), authority=None), fine),
    server("8.3.1", "no-authority", "one of them is needed", ask(authority=None), malformed),
    server("8.5", "connect-path", "CONNECT has neither :scheme nor :path", fields(lambda p: request("CONNECT", p, authority="a:1")), malformed),
    server("8.5", "connect-no-authority", "but :authority", fields(lambda p: [(":method", "CONNECT")]), malformed),
    server("8.5", "connect", "CONNECT that is well formed is 501", fields(lambda p: [(":method", "CONNECT"), (":authority", "a.example:1")]),
           status(501)),
    server("8.5", "connect-protocol-unoffered", ":protocol only where it was offered (RFC 8441 4)",
           fields(lambda p: request("GET", p) + [(":protocol", "websocket")]), malformed),
]


@pytest.mark.parametrize("section, rule, do, check, kw", SERVER)
def test_server(site, request, section, rule, do, check, kw):
    """R-5.1, R-7.1: a client's frames, and what the gateway says to them."""
    path = "/" + re.search(r"\[(.*)\]", request.node.name)[1]
    kw = dict(kw)
    with http2.Client(site.gw.address, **kw) as c:
        try:
            do(c, path)
        except OSError:
            pass  # it was closed already: the check sees how
        if c.next == 1:
            c.next = 11
        check(site, c, path)


# --- what the gateway writes ----------------------------------------------------------------------
def reads(section, id, rule, run):
    return pytest.param(section, rule, run, id=id)


def first_frame(site):
    with http2.Client(site.gw.address) as c:
        f = c.read()
        assert f.type == SETTINGS and not f.flags & ACK and f.stream == 0
        c.synced()
        assert c.peer.get(ENABLE_PUSH, 0) == 0 and c.peer.get(MAX_FRAME_SIZE, 16384) >= 16384


def alpn(site):
    for offered, chosen in ((["h2"], "h2"), (["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
        with http2.connect(("127.0.0.1", site.tls_port), tls_context(site), "a.example", alpn=offered) as s:
            assert s.selected_alpn_protocol() == chosen


def alpn_h2c(site):
    try:
        with http2.connect(("127.0.0.1", site.tls_port), tls_context(site), "a.example", alpn=["h2c"]) as s:
            assert s.selected_alpn_protocol() is None
    except ssl.SSLError as e:
        assert "no application protocol" in str(e).lower() or "ALERT" in str(e).upper()


def alpn_session(site):
    with http2.Client(("127.0.0.1", site.tls_port), tls_context(site), "a.example") as c:
        assert c.ask("GET", "/tls", authority="a.example").status == 200


def tls_context(site):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(site.ca.bundle)
    return c


def upgrade_not_over_tls(site):
    with Client1(("127.0.0.1", site.tls_port), tls=tls_context(site), name="a.example") as c:
        a = c.ask("GET", "/x", UPGRADE, host="a.example")
        assert a.status == 200 and not c.interim


UPGRADE = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]


def frame_sizes(site):
    with http2.Client(site.gw.address, settings={INITIAL_WINDOW_SIZE: 1 << 20}) as c:
        c.update(0, 1 << 20)
        assert len(c.ask("GET", "/large").body) == 200000
        assert max(len(f.payload) for f in c.seen if f.type == DATA) <= 16384


def stream_window(site):
    with http2.Client(site.gw.address, settings={INITIAL_WINDOW_SIZE: 1000}, credit=False) as c:
        s = c.begin("GET", "/large")
        got = sum(len(c.wait_type(DATA, s).payload) for _ in range(1))
        while got < 1000:
            got += len(c.wait_type(DATA, s).payload)
        assert got == 1000 and not [f for f in c.synced() if f.type == DATA]
        c.update(s, 500)
        while got < 1500:
            got += len(c.wait_type(DATA, s).payload)
        assert got == 1500 and not [f for f in c.synced() if f.type == DATA]
        assert c.ask("GET", "/small").status == 200  # a stream of its own has its own


def conn_window(site):
    with http2.Client(site.gw.address, settings={INITIAL_WINDOW_SIZE: 1 << 20}, credit=False) as c:
        s = c.begin("GET", "/large")
        got = 0
        while got < 65535:
            got += len(c.wait_type(DATA, s).payload)
        assert got == 65535 and not [f for f in c.synced() if f.type == DATA]
        c.update(0, 200000 - 65535)
        while got < 200000:
            got += len(c.wait_type(DATA, s).payload)


def negative_window(site):
    with http2.Client(site.gw.address, settings={INITIAL_WINDOW_SIZE: 1000}, credit=False) as c:
        s = c.begin("GET", "/large")
        got = 0
        while got < 1000:
            got += len(c.wait_type(DATA, s).payload)
        c.settings({INITIAL_WINDOW_SIZE: 0})
        c.update(s, 999)
        assert not [f for f in c.synced() if f.type == DATA and f.payload]  # 999 - 1000 < 0
        c.update(s, 2)
        assert len(c.wait_type(DATA, s).payload) == 1


def table_size(site):
    with http2.Client(site.gw.address, settings={HEADER_TABLE_SIZE: 0}) as c:
        c.synced()
        for _ in range(3):
            a = c.ask("GET", "/table")
            assert a.status == 200 and a.get("content-type") == "application/json"
        assert c.decoder.header_table_size == 0


def response_fields(site):
    with http2.Client(site.gw.address) as c:
        a = c.ask("GET", "/fields")
        names = [n for n, _ in a.fields]
        assert a.status == 200 and names[0] == ":status" and names.count(":status") == 1
        assert not set(names) & {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "x-hop"}
        assert all(n == n.lower() for n in names) and a.get("x-upper") == "Kept"


def head_of_stream_error(site):
    """5.4.1: the identifier of the last stream that was, or may have been, acted on."""
    with http2.Client(site.gw.address) as c:
        assert c.ask("GET", "/one").status == 200
        c.send(octets(PING, 0, 1, b"12345678"))
        assert c.wait_goaway() == PROTOCOL_ERROR and c.goaway.last == 1 and c.eof


def no_answer_to_goaway(site):
    with http2.Client(site.gw.address) as c:
        c.synced()
        c.bye(0, 0xdeadbeef, b"debug data of mine")
        assert c.closed()


def header_list(site):
    with http2.Client(site.gw.address) as c:
        c.synced()
        assert c.peer[MAX_HEADER_LIST_SIZE] >= 8192
        a = c.ask("GET", "/list", [("x-a", "b" * (c.peer[MAX_HEADER_LIST_SIZE] + 1))])
        assert a.status == 431
        alive(c)


def max_streams_seen(site):
    with http2.Client(site.gw.address) as c:
        c.synced()
        assert c.peer[MAX_CONCURRENT_STREAMS] == 20


READS = [
    reads("3.2", "alpn", "ALPN's h2 means HTTP/2 over TLS", alpn),
    reads("3.2", "alpn-h2c", "h2c is never chosen over TLS", alpn_h2c),
    reads("3.2", "alpn-session", "after it HTTP/2 is spoken", alpn_session),
    reads("3.1", "upgrade-not-over-tls", "h2c is no way over TLS", upgrade_not_over_tls),
    reads("3.4", "server-preface", "the server's first frame is SETTINGS, and says nothing of pushes", first_frame),
    reads("4.2", "frame-sizes", "no frame is larger than the peer allows", frame_sizes),
    reads("4.3.1", "table-size", "the peer's table size is acknowledged in the next block", table_size),
    reads("5.1.2", "max-streams", "the limit of streams is told", max_streams_seen),
    reads("5.4.1", "goaway-last", "GOAWAY names the last stream, and the connection is closed", head_of_stream_error),
    reads("6.5.2", "header-list", "the limit of heads is told; more is 431", header_list),
    reads("6.8", "goaway-unknown-code", "a client's GOAWAY ends the connection, whatever its code", no_answer_to_goaway),
    reads("6.9.1", "stream-window", "a stream's window is kept to", stream_window),
    reads("6.9.1", "conn-window", "the connection's too", conn_window),
    reads("6.9.2", "negative-window", "a window may become negative", negative_window),
    reads("8.2.2", "response-fields", "no connection-specific fields, names in lower case, :status first and once", response_fields),
]


@pytest.mark.parametrize("section, rule, run", READS)
def test_reads(site, section, rule, run):
    """R-5.1, R-5.2: what the gateway writes to its clients."""
    run(site)


# --- towards upstreams ----------------------------------------------------------------------------
UP = """
    workers = 1;
    services = ( { id = "s"; url = "@origin@"; protocol = "http2"; retry = { attempts = 1; }; } );
    routes = ( { id = "all"; path = "/*"; service = "s"; } );
"""


class UpSite:
    def __init__(self):
        self.script = None
        self.done = []
        self.errors = []
        self.server = http2.Server(raw=self._raw)
        self.gw = Gateway(UP, origin=self.server.url)

    def _raw(self, conn):
        self.script(conn)


@pytest.fixture(scope="module")
def up():
    u = UpSite()
    with u.gw:
        yield u
    u.server.close()


def first_request(c, answer=None):
    """SETTINGS are exchanged and stream 1 is whole; its fields."""
    c.settings()
    while True:
        f = c.read()
        if f is None:
            raise http2.H2Error("left before a request")
        if f.type in (HEADERS, CONTINUATION):
            got = c.fields_of(f)
            if got is not None and f.flags & END_STREAM:
                return f.stream, got


def hard(*parts, codes, answer=(502,)):
    """After the request these octets; then a GOAWAY with one of these codes, and 502 for the client."""
    def script(c):
        stream, _ = first_request(c)
        c.send(b"".join(p(stream) if callable(p) else p for p in parts))
        return c.wait_goaway() in codes or f"GOAWAY {c.goaway}"
    return script, answer


def soft(*parts, codes=(PROTOCOL_ERROR,), answer=(502,)):
    """The stream is reset with one of these codes; the connection answers PING."""
    def script(c):
        stream, _ = first_request(c)
        c.send(b"".join(p(stream) if callable(p) else p for p in parts))
        a = c.wait_type(RST_STREAM, stream)
        c.synced()
        return a.code in codes or f"RST_STREAM {a.code}"
    return script, answer


def well(check, answer=(200,)):
    """A script that answers itself."""
    return check, answer


def head(*fields, status="200", end=False):
    fields = ([(":status", status)] if status else []) + list(fields)
    return lambda s: octets(HEADERS, END_HEADERS | (END_STREAM if end else 0), s, block(fields))


def ok(c, stream):
    c.headers(stream, [(":status", "200")], end=False)
    c.data(stream, b"ok")


def up_preface(c):
    stream, _ = first_request(c)
    f = c.seen[0]
    assert f.type == SETTINGS and not f.flags & ACK and c.peer.get(ENABLE_PUSH) == 0, f
    assert stream == 1
    ok(c, stream)
    assert any(f.type == SETTINGS and f.flags & ACK for f in c.seen) or c.wait_type(SETTINGS, flags=ACK)
    return True


def up_fields(c):
    stream, fields = first_request(c)
    names = [n for n, _ in fields]
    assert [n for n in names if n[0] == ":"] == names[:4] and set(names[:4]) == {":method", ":scheme", ":authority", ":path"}
    assert not set(names) & {"connection", "keep-alive", "x-hop", "proxy-connection", "transfer-encoding", "upgrade", "host",
                             "http2-settings"}
    assert all(n == n.lower() for n in names) and ("x-kept", "Yes") in fields
    assert ("te", "trailers") in fields or "te" not in names
    ok(c, stream)
    return True


def up_ping(c):
    stream, _ = first_request(c)
    c.ping(b"are you?")
    assert c.wait_type(PING, 0, ACK).payload == b"are you?"
    ok(c, stream)
    return True


def up_unknown(c):
    stream, _ = first_request(c)
    c.send(octets(0x99, 0xff, 0, b"x") + octets(0x99, 0, stream, b"x") + octets(PRIORITY, 0, stream, u32(0) + b"\x10"))
    ok(c, stream)
    return True


def up_interim(c):
    stream, _ = first_request(c)
    c.headers(stream, [(":status", "103"), ("link", "</a>")], end=False)
    c.headers(stream, [(":status", "100")], end=False)
    ok(c, stream)
    return True


UPSTREAM = [
    (("3.4", "preface", "preface, SETTINGS without push, odd streams, acknowledgement"), well(up_preface)),
    (("3.4", "no-settings", "the server's first frame is SETTINGS"),
     (lambda c: (c.read(), c.send(octets(PING, 0, 0, b"12345678")), c.wait_goaway() == PROTOCOL_ERROR or f"{c.goaway}")[-1], (502,))),
    (("4.1", "not-http2", "no frame at all"),
     (lambda c: (c.read(), c.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), c.wait_goaway() in (FRAME_SIZE_ERROR, PROTOCOL_ERROR) or f"{c.goaway}")[-1],
      (502,))),
    (("4.2", "frame-too-large", "larger than SETTINGS_MAX_FRAME_SIZE"), hard(head(), lambda s: octets(DATA, END_STREAM, s, b"x" * 16385), codes=(FRAME_SIZE_ERROR,), answer=(200, 502))),
    (("4.3", "hpack", "a field block that cannot be decoded"), hard(lambda s: octets(HEADERS, END_HEADERS, s, integer(100, 7, 0x80)), codes=(COMPRESSION_ERROR,))),
    (("4.3", "block-interrupted", "a field block is one sequence of frames"),
     hard(lambda s: octets(HEADERS, 0, s, block([(":status", "200")])) + octets(PING, 0, 0, b"12345678"), codes=(PROTOCOL_ERROR,))),
    (("5.1", "idle-stream", "frames of streams nobody opened"), hard(octets(DATA, 0, 99, b"x"), codes=(PROTOCOL_ERROR,))),
    (("5.1", "data-before-head", "DATA before HEADERS is malformed"), hard(lambda s: octets(DATA, END_STREAM, s, b"x"), codes=(PROTOCOL_ERROR,))),
    (("5.1.1", "even-headers", "servers open no streams with HEADERS"), hard(octets(HEADERS, END_HEADERS, 2, block([(":status", "200")])), codes=(PROTOCOL_ERROR,))),
    (("5.5", "unknown-frames", "frames of unknown types are ignored"), well(up_unknown)),
    (("6.1", "data-stream-0", "DATA belongs to a stream"), hard(octets(DATA, 0, 0, b"x"), codes=(PROTOCOL_ERROR,))),
    (("6.4", "rst-stream-size", "four octets"), hard(lambda s: octets(RST_STREAM, 0, s, b"abc"), codes=(FRAME_SIZE_ERROR,))),
    (("6.5", "settings-size", "a multiple of six octets"), hard(octets(SETTINGS, 0, 0, b"abc"), codes=(FRAME_SIZE_ERROR,))),
    (("6.5.2", "settings-push", "a server does not enable pushes"), hard(settings_octets({ENABLE_PUSH: 1}), codes=(PROTOCOL_ERROR,))),
    (("6.5.2", "settings-window", "INITIAL_WINDOW_SIZE is at most 2^31-1"), hard(settings_octets({INITIAL_WINDOW_SIZE: 1 << 31}), codes=(FLOW_CONTROL_ERROR,))),
    (("6.6", "push-promise", "PUSH_PROMISE where push is off is PROTOCOL_ERROR"),
     hard(lambda s: octets(PUSH_PROMISE, END_HEADERS, s, u32(2) + GET), codes=(PROTOCOL_ERROR,))),
    (("6.7", "ping", "PING is answered"), well(up_ping)),
    (("6.7", "ping-size", "eight octets"), hard(octets(PING, 0, 0, b"1234567"), codes=(FRAME_SIZE_ERROR,))),
    (("6.9", "window-update-zero", "an increment of 0"), hard(octets(WINDOW_UPDATE, 0, 0, u32(0)), codes=(PROTOCOL_ERROR,))),
    (("6.9.1", "window-overflow", "a window above 2^31-1"), hard(octets(WINDOW_UPDATE, 0, 0, u32(0x7fffffff)), codes=(FLOW_CONTROL_ERROR,))),
    (("6.10", "continuation", "CONTINUATION without HEADERS"), hard(lambda s: octets(CONTINUATION, END_HEADERS, s, GET), codes=(PROTOCOL_ERROR,))),
    (("8.1", "interim", "interim responses come before the final one"), well(up_interim)),
    (("8.1", "interim-ends-stream", "and do not end the stream"), soft(head(status="103", end=True))),
    (("8.1.1", "length-too-long", "content-length is the sum of DATA: less came"),
     soft(head(("content-length", "5")), lambda s: octets(DATA, END_STREAM, s, b"x"), answer=(200, 502))),
    (("8.1.1", "length-too-short", "more came"), soft(head(("content-length", "1")), lambda s: octets(DATA, END_STREAM, s, b"abc"), answer=(200, 502))),
    (("8.2.1", "name-uppercase", "names in upper case are malformed"), soft(head(("X-A", "b"), end=True), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.2.1", "value-lf", "line feeds in values are malformed"), soft(head(("x-a", "b\nset-cookie: c"), end=False), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.2.2", "hop", "no connection-specific fields"), soft(head(("connection", "close"), end=False), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.2.2", "request-fields", "none in what the gateway sends, names in lower case"), well(up_fields)),
    (("8.3.2", "no-status", "a response has :status"), soft(head(("x-a", "b"), status=None), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.3.2", "status-twice", "once"), soft(head((":status", "200")), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.3.2", "status-no-number", "three digits"), soft(head(status="20x"), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.3", "pseudo-of-request", "no pseudo fields of requests"), soft(head((":path", "/")), codes=(PROTOCOL_ERROR, CANCEL))),
    (("8.6", "status-101", "there is no 101"), soft(head(status="101"), codes=(PROTOCOL_ERROR, CANCEL))),
]


@pytest.mark.parametrize("section, rule, script, answers", [pytest.param(s, r, f, a, id=i) for (s, i, r), (f, a) in UPSTREAM])
def test_upstream(up, section, rule, script, answers):
    """R-5.1, R-7.1: an upstream's frames, and what the gateway says to them and to its own client."""
    said, over = [], threading.Event()

    def run(c):
        try:
            said.append(script(c))
        except Exception as e:  # pylint: disable=broad-except
            said.append(repr(e))
        over.set()
    up.script = run
    with Client1(up.gw.address) as c:
        c.request("GET", "/x", [("Connection", "X-Hop"), ("X-Hop", "1"), ("X-Kept", "Yes"), ("Keep-Alive", "5")])
        try:
            said.append(c.head().status)
        except ConnectionResetError:  # a head that was passed on already, and no body
            said.append(200)
    assert over.wait(20) and set(said) <= {True, *answers} and len(said) == 2, said
    # The next request has a connection of its own or the same one, but it is answered.
    up.script = lambda c: ok(c, first_request(c)[0])
    until(lambda: up.server.open == 0, what="the upstream's connection to end")
    assert up.gw.ask("GET", "/after").status == 200
    until(lambda: up.server.open == 0, what="the upstream's connection to end")


# --- 8.7: what may be sent again ------------------------------------------------------------------
AGAIN = [("8.7", "refused-stream", "REFUSED_STREAM: nothing was done, it may be sent again, POST too"),
         ("8.7", "goaway-lower", "GOAWAY with a lower last stream: the same"),
         ("8.7", "not-others", "any other reset: a request that may have been acted on is not repeated")]


@pytest.mark.parametrize("case", [pytest.param(a, id=a[1]) for a in AGAIN])
def test_again(gateway, case):
    """R-5.4: what the upstream has not looked at is sent to the next endpoint."""
    def bad(c):
        stream, _ = first_request(c)
        if case[1] == "goaway-lower":
            c.bye(0)
            c.closed()
            return
        while stream:
            c.rst(stream, REFUSED_STREAM if case[1] == "refused-stream" else INTERNAL_ERROR)
            stream = c.wait_type(HEADERS).stream
    with http2.Server(raw=bad) as a, http2.Server(raw=bad) as a2, http2.Server() as good:
        gw = gateway("""
            workers = 1;
            services = ( { id = "s"; protocol = "http2"; retry = { attempts = 3; };
                           endpoints = ( { url = "@a@"; }, { url = "@a2@"; }, { url = "@good@"; } ); } );
            routes = ( { id = "all"; path = "/*"; service = "s"; } );""", a=a.url, a2=a2.url, good=good.url)
        answers = [gw.ask("POST", f"/{i}").status for i in range(3)]
        if case[1] == "not-others":
            assert answers.count(502) >= 1 and len(good.requests) == answers.count(200)
        else:
            assert answers == [200] * 3 and len(good.requests) == 3
        assert not good.errors


# --- 8.6 and 3.1: upgrade --------------------------------------------------------------------------
# RFC 9113 no longer defines it (RFC 7540 3.2 did); clients still come so.
UPGRADES = [("3.1", "upgrade", "101, and the answer on stream 1"),
            ("3.1", "upgrade-no-settings", "without HTTP2-Settings it is an HTTP/1.1 request"),
            ("3.1", "upgrade-bad-settings", "with settings that do not decode too, or 400"),
            ("3.1", "upgrade-body", "a request with a body is not upgraded"),
            ("8.6", "upgrade-other", "other protocols are not upgraded to")]


@pytest.mark.parametrize("case", [pytest.param(a, id=a[1]) for a in UPGRADES])
def test_upgrade(site, case):
    """R-5.2: HTTP/1.1's Upgrade: h2c."""
    with Client1(site.gw.address) as c:
        if case[1] == "upgrade":
            c.request("GET", "/up", UPGRADE)
            m = c.head()
            assert m.status == 101 and m.get("Upgrade") == "h2c" and "upgrade" in m.get("Connection").lower(), m
            up = http2.Conn(c.sock)
            up.buf = c.buf
            up.send(PREFACE + settings_octets())
            a = up.take(1)
            assert a.status == 200 and a.json()["target"] == "/up"
            names = {n.lower() for n, _ in a.json()["headers"]}
            assert not names & {"http2-settings", "upgrade"}
            up.headers(3, request("GET", "/next"))
            assert up.take(3).status == 200
            return
        fields = {"upgrade-no-settings": UPGRADE[1:2] + [("Connection", "Upgrade")],
                  "upgrade-bad-settings": UPGRADE[:2] + [("HTTP2-Settings", "%%%")],
                  "upgrade-body": UPGRADE,
                  "upgrade-other": [("Connection", "Upgrade"), ("Upgrade", "TLS/1.3, HTTP/9")]}[case[1]]
        a = c.ask("POST" if case[1] == "upgrade-body" else "GET", "/up", fields, b"body" if case[1] == "upgrade-body" else None)
        assert a.status == 200 or (case[1] == "upgrade-bad-settings" and a.status == 400), a
        assert not c.interim


# --- the list -------------------------------------------------------------------------------------
def listed():
    """(section, test, rule) of every case here, as README.h2 has them."""
    rows = [(p.values[0], f"server[{p.id}]", p.values[1]) for p in SERVER]
    rows += [(p.values[0], f"reads[{p.id}]", p.values[1]) for p in READS]
    rows += [(s, f"upstream[{i}]", r) for (s, i, r), _ in UPSTREAM]
    rows += [(s, f"again[{i}]", r) for s, i, r in AGAIN]
    rows += [(s, f"upgrade[{i}]", r) for s, i, r in UPGRADES]
    return rows


def order(row):
    return [int(n) for n in row[0].split(".")]


def test_list():
    """README.h2 and the cases agree. GW_WRITE_LIST=1 writes it anew."""
    path = Path(__file__).resolve().parents[1] / "README.h2"
    rows = "".join(f"{s:<8}{i:<48}{r}\n" for s, i, r in sorted(listed(), key=order))
    begin = path.read_text().split("\n\nsection ")[0]
    text = f"{begin}\n\nsection test_h2_rfc.py::test_...                         the rule\n{rows}"
    if os.environ.get("GW_WRITE_LIST"):
        path.write_text(text)
    assert path.read_text() == text
