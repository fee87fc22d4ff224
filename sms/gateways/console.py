"""Development: texts are written to a stream, and `curl` can play the provider with Africa's Talking's fields:

`curl http://127.0.0.1:8000/sms/console/demo/inbound --data-urlencode from=+596696000001 -d text=bois`
"""

from __future__ import annotations

import sys
from typing import Self, TextIO

from circular import logs
from circular.settings import Settings
from sms.gateways.base import Accepted, Capabilities, Failed, FormGateway, Outcome, Outgoing


class Console(FormGateway):
    """Writes `+596•••••56 <- text`; `stream` is the standard output when none is given."""

    name = "console"
    capabilities = Capabilities(
        needs_internet=False, receipts=False, idempotent_id=False, messages_per_second=1000.0, ussd=True
    )

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:  # noqa: ARG003 - the gateways' common signature
        """The console needs no setting."""
        return cls()

    def send(self, message: Outgoing) -> Outcome:
        """Always accepted, unless the stream is closed or cannot write the text's characters."""
        try:
            # One write, so that the lines of several threads do not mix.
            self._stream.write(f"{logs.mask(message.to)} <- {message.text}\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            return Failed(f"the console cannot be written: {type(error).__name__}")
        return Accepted(f"console-{message.reference}", None)
