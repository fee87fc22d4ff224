"""What a log shows of people and secrets: nothing."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from circular import logs


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to +596696123456 now", "to +596•••••56 now"),
        ("0696 12 34 56", "0696•••••56"),
        ("06.96.12.34.56", "06.9•••••56"),
        ("0696-12-34-56", "0696•••••56"),
        ("0696\u202f12\u00a034\u202f56", "0696•••••56"),
        ("from=%2B596696123456&text=bois", "from=%2B5966•••••56&text=bois"),
        ("tel0696123456", "tel0696•••••56"),
        ("14:30 0696123456", "14:30 0696•••••56"),
        ("+٥٩٦٦٩٦١٢٣٤٥٦", "+٥٩٦•••••٥٦"),
        ("+596696123456, +596696000001", "+596•••••56, +596•••••01"),
    ],
)
def test_mask_hides_numbers(text: str, shown: str) -> None:
    """Whatever way it is written, a number is not readable, and masking twice changes nothing."""
    assert logs.mask(text) == shown

    assert logs.mask(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "R 41271 3",
        "listing 412715 of 41271, 50213",
        "pickup 7391",
        "2026-11-27 21:00:00,123 done",
        "at 2026-11-27T21:00:00.123456Z",
        '127.0.0.1 - - [27/Nov/2026 21:00:00] "GET /l/41271 HTTP/1.1" 200 -',
        "Serving on http://192.168.100.200:8000",
        "1 -------- 2",
    ],
)
def test_mask_keeps_what_is_no_number(text: str) -> None:
    """Codes, dates, times and addresses stay: without them nobody can work with a log."""
    assert logs.mask(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"POST /sms/console/s3cr3t/inbound HTTP/1.1"', '"POST /sms/console/***/inbound HTTP/1.1"'),
        ("/circular/sms/africastalking/s3cr3t/receipt?x=1", "/circular/sms/africastalking/***/receipt?x=1"),
        ("/sms/console/s3cr3t?x=1", "/sms/console/***?x=1"),
        ('File "/srv/sms/gateways/base.py", line 3', 'File "/srv/sms/gateways/base.py", line 3'),
    ],
)
def test_mask_stars_webhook_secrets(text: str, shown: str) -> None:
    """The secret in a path is all that guards a webhook; a traceback's paths are no webhooks."""
    assert logs.mask(text) == shown


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a logger with the configured handler writes; the process's logging is put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    logs.configure("DEBUG")
    stream = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)

    yield stream

    root.handlers = before
    root.setLevel(level)


def test_log_message_and_arguments_masked(written: io.StringIO) -> None:
    """Both the words and what is put into them are masked."""
    logging.getLogger("a.b").info("+596696123456 asked %s for %d", {"phone": "0696 12 34 56"}, 41271)

    assert "a.b: +596•••••56 asked {'phone': '0696•••••56'} for 41271" in written.getvalue()


def test_log_exception_masked(written: io.StringIO) -> None:
    """An exception that names a number, and the one it came from, are masked in the traceback."""
    try:
        try:
            raise ValueError("no such phone: +596696123456")
        except ValueError as error:
            raise RuntimeError("/sms/console/s3cr3t/inbound") from error
    except RuntimeError:
        logging.getLogger("a").exception("broken")

    shown = written.getvalue()
    assert "ValueError: no such phone: +596•••••56" in shown
    assert "RuntimeError: /sms/console/***/inbound" in shown
    assert "696123456" not in shown
    assert "test_logs.py" in shown


def test_log_call_that_does_not_fit_is_written(written: io.StringIO) -> None:
    """A wrong log call breaks nothing and is masked all the same."""
    logging.getLogger("a").info("%d texts", "+596696123456")

    assert "%d texts ('+596•••••56',)" in written.getvalue()


def test_log_stack_masked(written: io.StringIO) -> None:
    """The lines of code of a stack are masked too."""
    logging.getLogger("a").info("here", stack_info=True)  # +596696123456

    assert "# +596•••••56" in written.getvalue()


def test_servers_write_through_the_mask(written: io.StringIO) -> None:
    """A handler that a server brought along is replaced by ours."""
    own = io.StringIO()
    for name in ("waitress", "waitress.queue", "werkzeug"):
        logging.getLogger(name).addHandler(logging.StreamHandler(own))

    logs.configure("INFO")
    logging.getLogger("werkzeug").warning('"%s"', "POST /sms/console/s3cr3t/inbound HTTP/1.1")
    logging.getLogger("waitress.queue").warning("depth 1")

    assert own.getvalue() == ""
    assert written.getvalue().count("/sms/console/***/inbound") == 1
    assert written.getvalue().count("depth 1") == 1


def test_configure_twice_writes_once(written: io.StringIO) -> None:
    """Calling it again changes the level, and no line comes twice."""
    logs.configure("WARNING")

    logging.getLogger("a").info("quiet")
    logging.getLogger("a").warning("loud")

    assert "quiet" not in written.getvalue()
    assert written.getvalue().count("loud") == 1
