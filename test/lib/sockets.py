# SPDX-License-Identifier: Apache-2.0
"""WebSocket servers and clients for tests: python3-websockets, its event loop in a thread of its own.

    with Sockets() as ws:                        # the loop
        server = ws.serve(echo)                  # server.url, server.address, server.stop()
        client = ws.connect(url)                 # client.send(), client.recv(), client.close() ...

Everything a client does is called from the test's own thread and waits for the loop to have done it.
"""
import asyncio
import threading

import websockets

PATIENCE = 20


async def echo(sock, _path=None):
    """Every message back as it came."""
    async for message in sock:
        await sock.send(message)


class Server:
    def __init__(self, sockets, server):
        self._sockets, self._server = sockets, server
        self.address = server.sockets[0].getsockname()[:2]

    @property
    def url(self):
        return f"http://{self.address[0]}:{self.address[1]}"

    def stop(self):
        self._server.close()
        self._sockets.run(self._server.wait_closed())


class Socket:
    """A client's connection."""

    def __init__(self, sockets, protocol):
        self._sockets, self.protocol = sockets, protocol

    def send(self, message, timeout=PATIENCE):
        self._sockets.run(self.protocol.send(message), timeout)

    def recv(self, timeout=PATIENCE):
        return self._sockets.run(self.protocol.recv(), timeout)

    def ask(self, message, timeout=PATIENCE):
        self.send(message, timeout)
        return self.recv(timeout)

    def ping(self, payload=b"hello", timeout=PATIENCE):
        async def there_and_back():
            await (await self.protocol.ping(payload))
        self._sockets.run(there_and_back(), timeout)

    def close(self, code=1000, reason=""):
        self._sockets.run(self.protocol.close(code, reason))

    def wait_closed(self, timeout=PATIENCE):
        """The close code, once it is closed."""
        self._sockets.run(self.protocol.wait_closed(), timeout)
        return self.protocol.close_code

    @property
    def open(self):
        return self.protocol.open


class Sockets:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._made = []

    def run(self, coroutine, timeout=PATIENCE):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def serve(self, handler=echo, **options):
        options.setdefault("ping_interval", None)
        options.setdefault("close_timeout", 2)

        async def start():
            return await websockets.serve(handler, "127.0.0.1", 0, **options)
        server = Server(self, self.run(start()))
        self._made.append(server)
        return server

    def connect(self, url, **options):
        options.setdefault("ping_interval", None)
        options.setdefault("close_timeout", 2)

        async def start():
            return await websockets.connect(url.replace("http", "ws", 1), **options)
        return Socket(self, self.run(start()))

    def close(self):
        for server in self._made:
            server.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
