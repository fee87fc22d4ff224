"""A keep-alive load generator in a process of its own: `python -m bench.load` reads one JSON plan, prints one JSON result.

Plan: {"ports", "connections", "seconds", "requests": [[method, path, headers, body], …], "once"}. Connections are dealt
out over the ports, and all of them ask, however few requests there are to repeat; with `once` each request is sent once,
and the run ends with the last answer. One thread and a selector: measured at 20 % of a core while the reference answers
2,700 hellos a second, so it is not what is measured.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import selectors
import socket
import sys
import time
from typing import Any


@dataclasses.dataclass
class Connection:
    """A connection with one request under way, and what came of its answer."""

    socket: socket.socket
    started: float = 0.0
    received: bytes = b""
    wanted: int = -1  # bytes of the whole answer, once its head is there

    def send(self, request: bytes) -> None:
        """Put the next question."""
        self.started, self.received, self.wanted = time.perf_counter(), b"", -1
        self.socket.sendall(request)

    def receive(self) -> str | None:
        """Read what is there; the status when the answer is whole."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed a connection in the middle of an answer")
        self.received += chunk
        if self.wanted < 0:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return None
            _, found, rest = self.received[:end].lower().partition(b"content-length:")
            self.wanted = end + 4 + (int(rest.split(b"\r\n", 1)[0]) if found else 0)
        return self.received[9:12].decode() if len(self.received) >= self.wanted else None


def percentile(times: list[float], share: float) -> float:
    """Of sorted seconds, in milliseconds."""
    return times[min(len(times) - 1, int(len(times) * share))] * 1000


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Do the plan: requests a second, p50 and p99 in milliseconds, how many were sent, answers by status."""
    requests = [
        (
            f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body.encode())}\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            + f"\r\n{body}"
        ).encode()
        for method, path, headers, body in plan["requests"]
    ]
    times: list[float] = []
    statuses: collections.Counter[str] = collections.Counter()
    selector = selectors.DefaultSelector()
    begun, sent = time.perf_counter(), 0
    until = begun + plan["seconds"]
    connections = min(plan["connections"], len(requests)) if plan["once"] else plan["connections"]
    for number in range(connections):
        port = plan["ports"][number % len(plan["ports"])]
        connection = Connection(socket.create_connection(("127.0.0.1", port)))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(requests[number % len(requests)])
        sent += 1
    while selector.get_map():
        for key, _ in selector.select():
            status = key.data.receive()
            if status is None:
                continue
            now = time.perf_counter()
            times.append(now - key.data.started)
            statuses[status] += 1
            if now < until and not (plan["once"] and sent >= len(requests)):
                key.data.send(requests[sent % len(requests)])
                sent += 1
            else:
                selector.unregister(key.data.socket)
                key.data.socket.close()
    elapsed = time.perf_counter() - begun
    times.sort()
    return {
        "per_second": len(times) / elapsed,
        "p50": percentile(times, 0.5),
        "p99": percentile(times, 0.99),
        "sent": sent,
        "statuses": dict(statuses),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:  # the core to stay on, away from the server's
        os.sched_setaffinity(0, {int(sys.argv[1])})
    json.dump(run(json.load(sys.stdin)), sys.stdout)
