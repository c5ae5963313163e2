# SPDX-License-Identifier: Apache-2.0
"""Authors of changes: several connections to the admin API, each changing routes of its own, as fast as they are
answered or at a rate."""
import json
import threading
import time

from wire import Client

COUNT = 8
OWN = 50  # routes of each author


def route(k, i):
    """(id, document) of the i-th change by author k."""
    return f"bench{k}-{i % OWN}", {"host": f"h{i % 10000}.example", "path": f"/bench/{k}", "priority": i % 7,
                                   "service": "origin"}


def change(client, k, i, make=route):
    """One change, until it was answered; AssertionError where it was refused."""
    id, document = make(k, i)
    r = client.ask("PUT", f"/api/gateway/v1/routes/{id}", (("Content-Type", "application/json"),),
                   json.dumps(document).encode(), host="localhost")
    assert r.status < 300, f"change {id}: {r.first} {r.body[:300]}"


class Authors:
    """Works from its making until `seconds` later; `rate` of all together, or None for as fast as it goes.

        authors = Authors(socket, 10, rate=1000)
        done = authors.end()            # changes that were answered
    """

    def __init__(self, socket, seconds, rate=None, count=COUNT, make=route):
        self.socket, self.make, self.step = socket, make, count / rate if rate else 0
        self.done, self.failed, self.lock = 0, [], threading.Lock()
        self.start = time.perf_counter()
        self.stop = self.start + seconds
        self.threads = [threading.Thread(target=self.guard, args=(k,)) for k in range(count)]
        for t in self.threads:
            t.start()

    def guard(self, k):
        try:
            self.work(k)
        except (AssertionError, OSError) as e:
            with self.lock:
                self.failed.append(e)

    def work(self, k):
        """Each change has its time; those that come late are made up for."""
        i = 0
        with Client(self.socket, timeout=30) as client:
            while (now := time.perf_counter()) < self.stop:
                due = self.start + i * self.step
                if due > now:
                    time.sleep(min(due, self.stop) - now)
                    continue
                change(client, k, i, self.make)
                i += 1
        with self.lock:
            self.done += i

    def end(self):
        for t in self.threads:
            t.join()
        assert not self.failed, f"authors: {self.failed[0]}"
        return self.done
