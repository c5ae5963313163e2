# SPDX-License-Identifier: Apache-2.0
"""gRPC for tests: the service of echo.proto on grpcio, clients of it, and messages by hand for http2.py.

    with EchoServer() as server:                    # tls=Certificate (pki.py): with TLS; name: in its replies
        gw = gateway(..., url = server.url, protocol = "http2")
        with echo(gw.address) as stub:              # tls=Authority, name="a.example": over TLS
            stub.Unary(Request(payload=b"x")).payload
        server.calls[0].wait_over()                 # .method .metadata .remaining .cancelled .messages

What the server does is in the requests (echo.proto). Metadata "i-..." comes back as initial metadata, "t-..." as
trailing; health is grpc.health.v1, its messages made by hand. The stubs are made here and now, with protoc.

    stream = call(client, "Unary", Request(hang=True), timeout="200m")      # http2.Client: a call, every octet ours
    answer = client.take(stream); status(answer), messages(answer, Reply)
"""
import contextlib
import hashlib
import importlib
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # tests start processes, and no calls in them

import grpc  # noqa: E402

from ports import free_port, release  # noqa: E402

SERVICE = "/echo.Echo/"
HEALTH = "/grpc.health.v1.Health/"
BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
       ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


def _stubs():
    """echo_pb2, echo_pb2_grpc."""
    with tempfile.TemporaryDirectory(prefix="gw-echo-") as place:
        subprocess.run(["protoc", f"--proto_path={Path(__file__).parent}", f"--python_out={place}",
                        f"--grpc_python_out={place}", "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                        "echo.proto"], check=True)
        sys.path.insert(0, place)
        try:
            return importlib.import_module("echo_pb2"), importlib.import_module("echo_pb2_grpc")
        finally:
            sys.path.remove(place)


echo_pb2, echo_pb2_grpc = _stubs()
Request, Reply = echo_pb2.Request, echo_pb2.Reply


# --- the server -----------------------------------------------------------------------------------
class Call:
    """One call as the server had it."""

    def __init__(self, method, context):
        self.method, self.context = method, context
        self.metadata = [(k, v) for k, v in context.invocation_metadata()]
        left = context.time_remaining()
        self.remaining = left if left is not None and left < 1e9 else None  # seconds; None without a deadline
        self.messages = []          # (monotonic time, payload)
        self.cancelled = False      # it ended before the handler did
        self.returned = False
        self.came, self.over, self.over_at = time.monotonic(), threading.Event(), None
        if not context.add_callback(self._end):
            self._end()

    def _end(self):
        self.over_at = time.monotonic()
        self.cancelled = not self.returned
        self.over.set()

    # A client's stream that is cut may look to grpcio's server as if its client had only ended it: `cancelled` is
    # certain for the other calls.
    def wait_over(self, timeout=10):
        """Waits for the end; itself."""
        if not self.over.wait(timeout):
            raise AssertionError(f"{self.method} goes on after {timeout} s")
        return self

    def get(self, name):
        return next((v for k, v in self.metadata if k == name), None)


class Echo(echo_pb2_grpc.EchoServicer):
    def __init__(self, server):
        self.server = server

    def begin(self, method, context):
        call = Call(method, context)
        call.digest, call.total = hashlib.sha256(), 0
        with self.server.lock:
            self.server.calls.append(call)
            self.server.came.notify_all()
        context.set_trailing_metadata([(k, v) for k, v in call.metadata if k.startswith("t-")])
        first = [(k, v) for k, v in call.metadata if k.startswith("i-")]
        if first:
            context.send_initial_metadata(first)
        return call

    @staticmethod
    def take(call, request):
        call.messages.append((time.monotonic(), request.payload))
        call.digest.update(request.payload)
        call.total += len(request.payload)

    def reply(self, call, request, number):
        if request.delay_ms:
            call.over.wait(request.delay_ms / 1000)
        if request.hang:
            call.over.wait(60)
        remaining = call.remaining
        return Reply(payload=bytes(request.size) if request.size else request.payload, number=number,
                     total=call.total, digest=call.digest.hexdigest(), has_deadline=remaining is not None,
                     remaining_ms=int(max(remaining or 0, 0) * 1000), server=self.server.name,
                     metadata=[echo_pb2.Field(name=k, value=v if isinstance(v, bytes) else v.encode())
                               for k, v in call.metadata])

    @staticmethod
    def end(call, request, context):
        """The status that was asked for."""
        call.returned = context.is_active()
        if not request.code:
            return
        if request.details:
            context.set_trailing_metadata([(k, v) for k, v in call.metadata if k.startswith("t-")] +
                                          [("grpc-status-details-bin", request.details)])
        code = next(c for c in grpc.StatusCode if c.value[0] == request.code)
        context.abort(code, request.message)

    def Unary(self, request, context):
        call = self.begin("Unary", context)
        self.take(call, request)
        reply = self.reply(call, request, 0)
        self.end(call, request, context)
        return reply

    def ServerStream(self, request, context):
        call = self.begin("ServerStream", context)
        self.take(call, request)
        for i in range(request.count):
            if call.over.is_set():
                return
            yield self.reply(call, request, i)
        if request.hang and not request.count:
            call.over.wait(60)
        self.end(call, request, context)

    def ClientStream(self, requests, context):
        call, request = self.begin("ClientStream", context), Request()
        for request in requests:
            self.take(call, request)
            if request.code:
                break
        reply = self.reply(call, request, len(call.messages))
        self.end(call, request, context)
        return reply

    def Bidi(self, requests, context):
        call = self.begin("Bidi", context)
        for request in requests:
            self.take(call, request)
            if request.code:
                self.end(call, request, context)
            for i in range(max(request.count, 1)):
                yield self.reply(call, request, len(call.messages) - 1 + i)
        call.returned = context.is_active()


class Health(grpc.GenericRpcHandler):
    """grpc.health.v1: all that is said is the one octet of a ServingStatus."""

    def __init__(self, server):
        self.server = server

    def service(self, details):
        if details.method == HEALTH + "Check":
            return grpc.unary_unary_rpc_method_handler(self.check)
        if details.method == HEALTH + "Watch":
            return grpc.unary_stream_rpc_method_handler(self.watch)
        return None

    def check(self, request, context):
        if request not in (b"", b"\x0a\x09echo.Echo"):
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08" + bytes([1 if self.server.serving else 2])

    def watch(self, request, context):
        last = None
        while context.is_active():
            now = self.check(request, context)
            if now != last:
                yield now
            last = now
            time.sleep(0.02)


class EchoServer:
    """On a port of its own, or on this one."""

    def __init__(self, tls=None, ca=None, name="echo", port=None, threads=200, options=()):
        self.tls, self.name, self.serving = tls, name, True
        self.lock = threading.Lock()
        self.came = threading.Condition(self.lock)
        self.calls = []
        self.port = port or free_port()
        self.server = grpc.server(futures.ThreadPoolExecutor(threads), options=[*BIG, ("grpc.so_reuseport", 0), *options])
        echo_pb2_grpc.add_EchoServicer_to_server(Echo(self), self.server)
        self.server.add_generic_rpc_handlers((Health(self),))
        at = f"127.0.0.1:{self.port}"
        if tls:
            pair = [(tls.key.read_bytes(), tls.chain.read_bytes())]
            creds = grpc.ssl_server_credentials(pair, ca.bundle.read_bytes() if ca else None, bool(ca))
            self.server.add_secure_port(at, creds)
        else:
            self.server.add_insecure_port(at)
        self.server.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def wait_calls(self, count, timeout=15):
        """Waits for so many calls; they."""
        with self.came:
            if not self.came.wait_for(lambda: len(self.calls) >= count, timeout):
                raise AssertionError(f"{len(self.calls)} calls, not {count}")
            return list(self.calls)

    def close(self):
        self.server.stop(0).wait(10)
        release(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- clients --------------------------------------------------------------------------------------
def channel(address, tls=None, name=None, cert=None, options=()):
    """tls: the Authority that is trusted; cert: the Certificate that is shown."""
    at = f"{address[0]}:{address[1]}"
    if not tls:
        return grpc.insecure_channel(at, options=[*BIG, *options])
    creds = grpc.ssl_channel_credentials(tls.bundle.read_bytes(), *((cert.key.read_bytes(), cert.chain.read_bytes())
                                                                    if cert else ()))
    return grpc.secure_channel(at, creds, options=[*BIG, ("grpc.ssl_target_name_override", name), *options])


@contextlib.contextmanager
def echo(address, **kw):
    """A stub on a connection of its own. It waits for no server: wait_for_ready is the test's to say."""
    with channel(address, **kw) as ch:
        yield echo_pb2_grpc.EchoStub(ch)


def failed(callable, *args, **kw):
    """The grpc.RpcError (.code(), .details()) of a call that has to fail."""
    try:
        answer = callable(*args, **kw)
        if hasattr(answer, "__next__"):
            list(answer)
    except grpc.RpcError as e:
        return e
    raise AssertionError(f"it did not fail: {answer}")


# --- by hand --------------------------------------------------------------------------------------
def framed(message, compressed=0):
    """A message as it stands in DATA."""
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">BI", compressed, len(data)) + data


def call(client, method, message=None, fields=(), timeout=None, end=True, type="application/grpc+proto", **kw):
    """Begins a call on a http2.Client; the stream. message None: the head only, and more can follow."""
    path = method if method.startswith("/") else SERVICE + method
    fields = [("content-type", type), ("te", "trailers"), *([("grpc-timeout", timeout)] if timeout else []), *fields]
    stream = client.begin("POST", path, fields, end=False, **kw)
    if message is not None:
        client.upload(stream, framed(message), end=end)
    return stream


def status(answer):
    """(code, message) of an http2.Answer, wherever it stands; (None, None) without."""
    fields = dict(answer.trailers or answer.fields)
    code = fields.get("grpc-status")
    return int(code) if code is not None else None, fields.get("grpc-message")


def trailers_only(answer):
    """Status in the only block there is, and no payload."""
    return answer.status == 200 and answer.get("grpc-status") is not None and not answer.trailers and answer.ended \
        and answer.body == b""


def messages(answer, kind=Reply):
    """What came, parsed."""
    body, out = answer.body, []
    while body:
        flag, n = struct.unpack_from(">BI", body)
        assert flag == 0 and len(body) >= 5 + n
        out.append(kind.FromString(body[5:5 + n]))
        body = body[5 + n:]
    return out
