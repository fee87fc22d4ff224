"""Logs without people in them: phone numbers are masked and webhook secrets are starred before anything is written."""

from __future__ import annotations

import logging
import re

HANDLER = "circular"
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Spaces that French typography puts between the pairs of a number count as spaces.
_PHONE = re.compile(r"\+?\d[\d .\-\u00a0\u202f]{7,}\d")
_FEWEST_DIGITS = 8
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# Dates, times and IPv4 addresses would pass for numbers, and a log is of no use without them.
_KEPT = re.compile(
    r"((?<![\d.+-])(?:19|20)\d\d-[01]\d-[0-3]\d(?![\d-])"
    r"|(?<!\d)[0-2]?\d:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,6})?)?(?!\d)"
    rf"|(?<![\d.+-]){_OCTET}(?:\.{_OCTET}){{3}}(?![\d.]))"
)
# A traceback's paths (…/sms/gateways/base.py) are not webhooks.
_WEBHOOK = re.compile(r"(/sms/[^/\s]+/)(?!\w+\.py\b)[^/\s?\"']+")
_SERVERS = ("waitress", "waitress.queue", "werkzeug")
_plain = logging.Formatter()


def mask(text: str) -> str:
    """`text` with `+596•••••56` for numbers of 8 digits or more, and `***` for the secret in a webhook's path.

    Codes of 5 or 6 digits, dates, times and IPv4 addresses stay; where a run of digits is doubtful, it is masked.
    """
    pieces = _KEPT.split(_WEBHOOK.sub(r"\1***", text))
    return "".join(piece if kept % 2 else _PHONE.sub(_hide, piece) for kept, piece in enumerate(pieces))


def _hide(match: re.Match[str]) -> str:
    run = match.group()
    return run if sum(c.isdigit() for c in run) < _FEWEST_DIGITS else f"{run[:4]}•••••{run[-2:]}"


class MaskFilter(logging.Filter):
    """Masks a record's message, its arguments and the text of its exception. Drops nothing, never raises."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites `record`, so that handlers which come after see the masked text too."""
        try:
            message = record.getMessage()
        except Exception:  # a log call whose arguments do not fit breaks nothing else, and is masked like the others
            message = f"{record.msg} {record.args!r}"
        record.msg, record.args = mask(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _plain.formatException(record.exc_info)
        if record.exc_text:  # a formatter writes this text in place of the exception
            record.exc_text = mask(record.exc_text)
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        return True


def configure(level: int | str = logging.INFO) -> None:
    """Write everything from `level` up, masked, to the standard error. Calling it again changes the level alone.

    The servers (waitress, werkzeug) write through the same handler: any of their own would show what we mask.
    """
    root = logging.getLogger()
    if not any(handler.name == HANDLER for handler in root.handlers):
        handler = logging.StreamHandler()
        handler.name = HANDLER
        handler.setFormatter(logging.Formatter(FORMAT))
        handler.addFilter(MaskFilter())
        root.addHandler(handler)
    root.setLevel(level)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
