"""A keep-alive load generator in a process of its own: `python -m bench.load` reads one JSON plan, prints one JSON result.

Plan: {"port", "connections", "seconds", "requests": [[method, path, headers, body], …]}. Result: requests a second,
p50 and p99 in milliseconds, answers by status.
"""

from __future__ import annotations

import collections
import json
import socket
import sys
import threading
import time
from typing import Any


def read_answer(stream: Any) -> int:
    """Status of one answer; its body is read and dropped."""
    status = int(stream.readline().split(b" ", 2)[1])
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    stream.read(length)
    return status


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Do the plan."""
    requests = [
        (
            f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body.encode())}\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            + f"\r\n{body}"
        ).encode()
        for method, path, headers, body in plan["requests"]
    ]
    until = time.perf_counter() + plan["seconds"]
    times: list[float] = []
    statuses: collections.Counter[int] = collections.Counter()
    numbers = iter(range(10**9))

    def client() -> None:
        with socket.create_connection(("127.0.0.1", plan["port"])) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rb")
            while (start := time.perf_counter()) < until:
                number = next(numbers)
                if plan.get("once") and number >= len(requests):
                    return
                connection.sendall(requests[number % len(requests)])
                statuses[read_answer(stream)] += 1
                times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client) for _ in range(plan["connections"])]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begun
    times.sort()
    return {
        "per_second": len(times) / elapsed,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
        "statuses": {str(status): count for status, count in statuses.items()},
    }


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
