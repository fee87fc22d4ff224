"""A post office whose rounds a test turns by hand, its clock moved instead of waited for; and a line to send by."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import time_machine

from circular import db, people
from circular.people import Actor
from sms import messages, outbox
from sms.gateways.base import Accepted, Capabilities, Failed, Gateway, Knock, Outcome, Outgoing, Retry, Unknown
from tests.town import FABIOLA

MORNING = datetime(2026, 11, 24, 14, tzinfo=UTC)  # a Tuesday, ten o'clock in Martinique


class Line(Gateway):
    """A provider at hand. `read` is what people read, in order, each (number, text); `handed` every reference we gave it.

    `mode`: ok, refusing (nothing passes), choosy (not this number), silent (taken, never said), deaf (lost, never said),
    closed (for good), keyless (until a person mends it). With `once` it sends a reference once.
    """

    def __init__(self, name: str = "console", per_second: float = 1000.0, once: bool = False) -> None:
        self.name = name  # type: ignore[misc]
        self.capabilities = Capabilities(False, True, once, per_second, False)  # type: ignore[misc]
        self.mode = "ok"
        self.ill = ""
        self.read: list[tuple[str, str]] = []
        self.handed: list[str] = []
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: object) -> Line:
        return cls()

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.read]

    def health(self) -> str:
        return self.ill

    def send(self, message: Outgoing) -> Outcome:
        with self._lock:
            again = message.reference in self.handed
            self.handed.append(message.reference)
            if self.mode in ("ok", "silent") and not (again and self.capabilities.idempotent_id):
                self.read.append((message.to, message.text))
        return {
            "ok": Accepted(f"{self.name}-{message.reference}", None),
            "refusing": Retry("refused"),
            "choosy": Retry("502 RejectedByGateway", everybody=False),
            "silent": Unknown("no answer in time"),
            "deaf": Unknown("no answer in time"),
            "closed": Failed("403 InvalidPhoneNumber"),
            "keyless": Retry("401", after=300.0),
        }[self.mode]

    def parse_inbound(self, knock: Knock) -> None:
        raise NotImplementedError


class Post:
    """A sender by some lines: the first sends, the others take over while it is down."""

    def __init__(self, *lines: Gateway, worker: str = "worker-test") -> None:
        self.wake = threading.Event()
        self.sender = outbox.Sender(lines[0], worker, self.wake, fallbacks=lines[1:])

    def round(self, after: timedelta = timedelta(0)) -> None:
        """Send all that may be sent now, or `after` from now."""
        with time_machine.travel(datetime.now(UTC) + after, tick=True):
            outbox.tell_notices()
            while self.sender.tick() or self.sender.busy:
                if self.sender.busy:
                    self.wake.wait(5)
                    self.wake.clear()

    def rounds(self, *seconds: float) -> None:
        """A round at each of these seconds from now."""
        for one in seconds:
            self.round(timedelta(seconds=one))


def write(text: str, kind: str = messages.ANSWER, phone: str = FABIOLA, **more: object) -> Actor:
    """Queue a text for somebody, as the inbox and the notices do."""
    with db.transaction():
        person_id = people.ensure(phone)
        messages.queue(person_id, phone, text, kind, "fr", **more)  # type: ignore[arg-type]
    return Actor(person_id, "resident", "sms")


def states(*, of: Sequence[str] = ()) -> list[str]:
    """The state of every text, or of some, oldest first."""
    return [
        state for text, state in db.rows("SELECT text, state FROM outbound_message ORDER BY id") if not of or text in of
    ]
