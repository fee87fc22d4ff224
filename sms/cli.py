"""`flask sms …`: a conversation in the terminal, the understanding alone, the worker alone."""

from __future__ import annotations

import json
import signal
import sys
import uuid

import click

from circular import db, people, settings
from circular.errors import Refusal
from sms import commands, inbox, replies, screens, segments, ussd, worker
from sms.gateways.base import UssdInput

TRIAL_PHONE = "+596696000000"  # nobody's: the console gateway never leaves this machine


@click.group()
def sms() -> None:
    """The SMS door."""


@sms.command(name="try")
@click.option("--phone", default=TRIAL_PHONE, help="Whose phone to play.")
@click.option("--ussd", "keypad", is_flag=True, help="Play a USSD session instead of texts.")
def try_(phone: str, keypad: bool) -> None:
    """Text with Circular in this terminal; an empty line or Ctrl-D ends it. No SMS is sent. Refused in production."""
    if not settings.get().demo:  # a hold made here would lapse, and somebody's phone be told so
        sys.exit("This makes real reservations: it is for the demo, and CIRCULAR_MODE is production.")
    db.connect()
    try:
        phone = people.normalize_phone(phone)
    except Refusal:
        sys.exit(f"{phone} is not a mobile number. Example: 0696 12 34 56.")
    if keypad:
        _dial(phone)
        return
    terminal = sys.stdin.isatty()
    if terminal:
        click.echo("Type as you would text: BOIS, then 1, R1, M, 0… An empty line ends.")
    while True:
        try:
            text = input("> " if terminal else "")
        except EOFError:
            return
        if not text.strip():
            return
        if not terminal:
            click.echo(f"> {text}")
        click.echo(_reply(phone, text))


def _dial(phone: str) -> None:
    """A USSD session, as the keypad of `phone` would see it."""
    session, path = f"try-{uuid.uuid4()}", list[str]()
    while True:
        shown = ussd.answer("console", UssdInput(session, phone, "*384#", "*".join(path)))
        click.echo(f"{shown.text}\n  [{replies.length(shown.text)}/{screens.USSD_SCREEN}]")
        if shown.ends:
            return
        try:
            path.append(input("> " if sys.stdin.isatty() else ""))
        except EOFError:
            return


def _reply(phone: str, text: str) -> str:
    answer = inbox.at_once("console", phone, text)
    if answer["text"] is None:
        return f"(silence, as the rules say: {answer['reason']})"
    measure = segments.measure(answer["text"])
    shown = "\n".join(f"  {line}" for line in answer["text"].split("\n"))
    return f"{shown}\n  [{measure.units}/160, {measure.segments} SMS, {answer['language']}]"


@sms.command()
def understand() -> None:
    """Read JSON lines {"text", "context"}, write {"intent", "args", "language"} for each."""
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            asked = json.loads(line)
            command = commands.parse(str(asked["text"]), asked.get("context") or "none")
        except (ValueError, KeyError, TypeError, AttributeError):
            sys.exit(f"Not a JSON line with a text: {line.strip()[:80]}")
        language = command.language or settings.get().default_locale
        args = {name: value for name, value in command.args.items() if name not in commands.OWN}
        click.echo(json.dumps({"intent": command.intent, "args": args, "language": language}, ensure_ascii=False))


@sms.command()
def deliver() -> None:
    """Do the background work in a process of its own, until interrupted (set BACKGROUND=false on the servers)."""
    db.connect()
    one = worker.Worker()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: one.stop())
    try:
        one.run()
    except KeyboardInterrupt:
        one.stop()
