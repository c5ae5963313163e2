# SPDX-License-Identifier: Apache-2.0
"""What the tests of HTTP/2 share: a gateway between both versions on either side.

    gw = site(gateway, one=backend(...), two=http2.Server(...))     # /1/... and /2/... lead there
"""
import random

from ports import free_port
from tls import certificate
from wire import WireError

CONF = """
    workers = @workers@;
    services = ( { id = "s1"; url = "@one@"; timeouts = { total = "60s"; }; },
                 { id = "s2"; url = "@two@"; protocol = "http2"; timeouts = { total = "60s"; }; } );
    routes = ( { id = "one"; path = "/1/*"; service = "s1"; @route@ }, { id = "two"; path = "/2/*"; service = "s2"; @route@ } );
    certificates = ( @certificates@ );
    listeners = ( { id = "main"; address = "127.0.0.1:@port@"; @settings@ }@more@ );
"""
TLS = """, { id = "tls"; address = "127.0.0.1:@tls@"; tls = { enabled = true; }; @settings@ }"""


def site(gateway, one="http://127.0.0.1:1", two="http://127.0.0.1:1", settings="", pki=None, workers=1, route="", **kw):
    """Routes /1 to an HTTP/1.1 upstream, /2 to an HTTP/2 one."""
    if pki:
        port = free_port()
        kw.update(tls=port, certificates=certificate("a", pki.leaf(["a.example"], pki.ca())),
                  more=TLS.replace("@settings@", settings).replace("@tls@", str(port)))
    kw.setdefault("certificates", "")
    kw.setdefault("more", "")
    url = [u if isinstance(u, str) else u.url for u in (one, two)]
    return gateway(CONF, one=url[0], two=url[1], settings=settings, workers=workers, route=route, **kw)


def stream_echo(x):
    """HTTP/1.1: what comes goes back as it comes, chunked, with the trailers."""
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    w, message = x.wire, x.request
    if message.get("Content-Length"):
        left = int(message.get("Content-Length"))
        while left:
            if not w.buf and not w.fill():
                raise WireError("short")
            part, w.buf = w.buf[:left], w.buf[left:]
            left -= len(part)
            x.send(b"%x\r\n%b\r\n" % (len(part), part))
    elif message.get("Transfer-Encoding"):
        while (n := int(w.until(b"\r\n").split(b";")[0], 16)) > 0:
            x.send(b"%x\r\n%b\r\n" % (n, w.exactly(n)))
            w.exactly(2)
        while w.until(b"\r\n"):
            pass
    x.send(b"0\r\n\r\n")


def stream_echo2(x):
    """The same for HTTP/2."""
    x.head()
    while part := x.piece():
        x.write(part)
    if part is not None:
        x.conn.data(x.id, b"")


def noise(n):
    return random.Random(n).randbytes(n)
