"""The web server: answers of any length arrive whole, however slowly they are read; each process keeps to a core."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest
from waitress.channel import HTTPChannel

from circular import serving, settings
from circular.settings import ROOT

LONG = 40_000_000  # bytes: more than waitress keeps before a thread must wait for the reader, and than sockets hold
CHUNK = bytes(range(256)) * 4000


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux deals out cores")


def _expected(length: int) -> bytes:
    return (CHUNK * (length // len(CHUNK) + 1))[:length]


def _application(environ: dict[str, str], start: Callable[..., object]) -> Iterable[bytes]:
    """As many bytes as the path says, in one piece or in several."""
    _, kind, length = environ["PATH_INFO"].split("/")
    whole = _expected(int(length))
    start("200 OK", [("Content-Length", length)])
    return [whole] if kind == "one" else [whole[at : at + len(CHUNK)] for at in range(0, int(length), len(CHUNK))]


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A server of `_application`, on a port that nobody has."""
    server = serving.listen(_application, dataclasses.replace(settings.load({}), port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield "127.0.0.1", server.effective_port
    server.close()


def _ask(connection: socket.socket, path: str) -> bytes:
    """The body of an answer, on a connection that is kept."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(512)
        assert chunk, "the server closed the connection before an answer"
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    parts, missing = [body], int(path.rpartition("/")[2]) - len(body)
    assert head.startswith(b"HTTP/1.1 200")
    while missing > 0:
        parts.append(connection.recv(65536))
        assert parts[-1], "the server closed the connection in the middle of an answer"
        missing -= len(parts[-1])
    return b"".join(parts)


@pytest.mark.parametrize("kind", ["one", "several"])
def test_an_answer_arrives_whole(kind: str, address: tuple[str, int]) -> None:
    """Short ones, and those for which the thread that writes must wait for the main thread and for the reader."""
    with socket.create_connection(address, timeout=60) as connection:
        for length in (1, 20_000, LONG, 300):
            assert _ask(connection, f"/{kind}/{length}") == _expected(length)


def test_nobody_watches_a_connection_while_it_is_written_to(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread would be told again and again that it can be."""
    watched, send = [], HTTPChannel.send

    def spy(channel: HTTPChannel, data: bytes, do_close: bool = True) -> int:
        watched.append(bool(channel.writable()))
        return int(send(channel, data, do_close=do_close))

    monkeypatch.setattr(HTTPChannel, "send", spy)
    with socket.create_connection(address, timeout=60) as connection:
        _ask(connection, "/one/20000")

    assert watched and not any(watched)


def test_many_readers_at_once(address: tuple[str, int]) -> None:
    """More connections than threads: each gets its own answers."""
    found: dict[int, bool] = {}

    def read(number: int) -> None:
        length = 15_000 + number
        with socket.create_connection(address, timeout=60) as connection:
            found[number] = all(_ask(connection, f"/one/{length}") == _expected(length) for _ in range(50))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == dict.fromkeys(range(12), True)


@linux
def test_each_process_takes_a_core_of_its_own() -> None:
    """As long as there are any; the next is left where the system puts it, and a core is free again with its process."""
    cores = os.sched_getaffinity(0)
    name = uuid.uuid4().hex  # servers that run meanwhile have theirs
    taken = [_Taker(name) for _ in cores]
    try:
        assert [len(one.cores) for one in taken] == [1] * len(cores)
        assert set().union(*(one.cores for one in taken)) == cores
        late = _Taker(name)
        late.end()
        assert late.cores == cores
        taken[0].end()
        taken.append(_Taker(name))
        assert taken[-1].cores == taken[0].cores
    finally:
        for one in taken:
            one.end()


@linux
def test_who_may_not_choose_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that forbids it, others keep their choice."""
    name = uuid.uuid4().hex

    def forbid(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as forbidden:
        forbidden.setattr(os, "sched_setaffinity", forbid)
        assert serving.take_a_core(name) is None

    other = _Taker(name)
    other.end()
    assert len(other.cores) == 1


class _Taker:
    """A process that has asked for a core, until it is ended."""

    def __init__(self, name: str) -> None:
        code = (
            f"from circular import serving; import os; kept = serving.take_a_core({name!r}); "
            "print(*os.sched_getaffinity(0)); input()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.cores = {int(core) for core in self._process.stdout.readline().split()}

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.communicate("\n")
