# SPDX-License-Identifier: Apache-2.0
"""A console for tests: writes to Redis as contrib/doc/console.md says, and a fleet of gateways that listen.

It is written from the document and shares no line with contrib/console-publish, so that the two and the
gateway check one another.

    with Fleet(redis, 3, CONFIG) as fleet:
        console = Console(redis.client())
        console.put("route", "orders", {"path": "/orders", "service": "orders"})
        fleet.wait_number(console.number)
"""
import hashlib
import json
import time

import redis as pyredis

from gateway import SLOW, Gateway, until

ZERO = "0" * 64


def field_hash(field, value):
    return hashlib.sha256(field.encode() + b"\0" + value.encode()).digest()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


class Console:
    """One author. Several may share the keys: every write is guarded by WATCH on the version."""

    def __init__(self, client, prefix="gateway", author="test console", epoch=None):
        self.r = client
        self.tag = "{" + prefix + "}:"
        self.author = author
        self.epoch = epoch
        self.number = 0

    def key(self, name):
        return self.tag + name

    # --- writing ----------------------------------------------------------------------------------
    def put(self, kind, id, value, **kw):
        return self.publish([("put", kind, id, value)], **kw)

    def delete(self, kind, id, **kw):
        return self.publish([("delete", kind, id, None)], **kw)

    def publish(self, changes, bell=True, stream=True, tries=200):
        """changes: [(op, kind, id, value)]; value may be text, to write what is no JSON. Returns the number."""
        for _ in range(tries):
            try:
                return self._publish(changes, bell, stream)
            except pyredis.WatchError:
                continue
        raise AssertionError(f"{tries} times somebody else was faster")

    def _publish(self, changes, bell, stream):
        key = self.key
        with self.r.pipeline(transaction=True) as p:
            p.watch(key("version"))
            epoch, number, total = p.hmget(key("version"), "epoch", "number", "hash")
            fresh = epoch is None
            epoch = (epoch or self.epoch or f"test-{time.time_ns()}")
            number = int(number or 0) + 1
            total = bytes.fromhex(total or ZERO)
            fields = [f"{kind}/{id}" for _, kind, id, _ in changes]
            old = dict(zip(fields, p.hmget(key("objects"), fields))) if fields else {}
            p.multi()
            entries = []
            for op, kind, id, value in changes:
                field = f"{kind}/{id}"
                if old.get(field) is not None:
                    total = xor(total, field_hash(field, old[field]))
                if op == "delete":
                    p.hdel(key("objects"), field)
                    entries.append({"op": "delete", "kind": kind, "id": id})
                    old[field] = None
                    continue
                text = value if isinstance(value, str) else json.dumps({"schema": 1, "value": value})
                p.hset(key("objects"), field, text)
                total = xor(total, field_hash(field, text))
                old[field] = text
                entries.append({"op": "put", "kind": kind, "id": id, "value": value})
            document = json.dumps({"schema": 1, "changes": entries})
            if any(isinstance(value, str) for *_, value in changes):
                document = '{"schema": 1, "changes": [{"op"'  # an author who writes bad objects writes bad documents
            now = str(int(time.time() * 1000))
            p.hset(key("version"), mapping={"epoch": epoch, "number": number, "hash": total.hex(),
                                            "time": now, "author": self.author})
            if fresh:
                p.delete(key("changes"))
            if stream:
                p.xadd(key("changes"), {"epoch": epoch, "number": number, "hash": total.hex(),
                                        "author": self.author, "time": now,
                                        "document": document},
                       id=f"{number}-0", maxlen=10000, approximate=True)
            p.execute()
        if bell:
            self.r.publish(key("bell"), json.dumps({"epoch": epoch, "number": number}))
        self.epoch, self.number = epoch, number
        return number

    def ring(self):
        self.r.publish(self.key("bell"), json.dumps({"epoch": self.epoch, "number": self.number}))

    # --- reading ----------------------------------------------------------------------------------
    def version(self):
        return self.r.hgetall(self.key("version"))

    def content_hash(self):
        """From the objects themselves."""
        total = bytes(32)
        for field, value in self.r.hgetall(self.key("objects")).items():
            total = xor(total, field_hash(field, value))
        return total.hex()

    def ack(self, instance):
        text = self.r.get(self.key("ack:" + instance))
        return json.loads(text) if text else None


class Fleet:
    """n gateways on one machine, all listening to one console; "@redis@" in the configuration is the redis
    group's inside, given by the server."""

    def __init__(self, config, n=3, redis="", workers=4, gateway=Gateway, **words):
        self.gateways = []
        for i in range(n):
            name = f"gw{i}"
            text = f'workers = {workers};\ninstance = "{name}";\nredis = {{ {redis} }};\n' + config
            self.gateways.append(gateway(text, **words))
            self.gateways[-1].instance = name

    def __enter__(self):
        try:
            for gw in self.gateways:
                gw.start()
        except BaseException:
            for gw in self.gateways:
                gw.stop(check=False)
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for gw in self.gateways:
                print(gw.report())
                gw.stop(check=False)
        for gw in self.gateways:
            gw.close()

    def __iter__(self):
        return iter(self.gateways)

    def __getitem__(self, i):
        return self.gateways[i]

    def exports(self):
        """Of each: the octets of its export behind the listeners, which are each instance's own."""
        return [gw.api("GET", "/api/gateway/v1/export").body.partition(b'"services": [')[2] for gw in self.gateways]

    def wait_applied(self, console, timeout=20):
        """Until every instance has acknowledged the console's version, or one later, with its hash."""
        def there():
            v = console.version()
            acks = [console.ack(gw.instance) for gw in self.gateways]
            return all(a and a["epoch"] == v["epoch"] and int(a["number"]) == int(v["number"])
                       and a["hash"] == v["hash"] for a in acks)
        return until(there, timeout * SLOW, f"all to acknowledge {console.version()}", step=0.01)

    def wait_same(self, timeout=20):
        """Until every instance has the same configuration; returns it."""
        def same():
            e = self.exports()
            return e[0] if e[0] and all(x == e[0] for x in e) else None
        return until(same, timeout * SLOW, "equal configurations")
