"""What `flask doctor` and `/readyz` are told of the SMS door: its gateways, its queue, what the day has cost, its words."""

from __future__ import annotations

from circular import clock, db, settings
from circular.diagnosis import Finding
from sms import commands, gateways, messages, ways

LATE = 600_000  # milliseconds that an answer may wait before somebody should look


def alarms() -> list[Finding]:
    """What is wrong now, from the rows alone: cheap, and without a word that strangers may not read."""
    found = [
        Finding("wrong", f"gateway {way['name']}", f"down since {clock.rfc3339(db.from_ms(way['down_since']))}")
        for way in ways.gateways()
        if way["down_since"] is not None
    ]
    spent = ways.spending()
    if spent["alarm"]:
        what = "nothing but the confirmation of STOP" if spent["alarm"] == ways.FULL else "answers alone"
        text = f"{spent['segments']} of {spent['limit']} texts spent today: {what} until tomorrow"
        found.append(Finding("wrong", "SMS_DAILY_LIMIT", text))
    return found


def examine() -> list[Finding]:
    """Every finding, the reassuring ones too. Asks each gateway how it is."""
    return [*_gateways(), *_spending(), *_queue(), *_keywords()]


def _gateways() -> list[Finding]:
    found = []
    for way in ways.gateways():
        last = clock.rfc3339(db.from_ms(way["last_ok_at"])) if way["last_ok_at"] else "never"
        text, subject = f"{way['state']}, last took a text: {last}", f"gateway {way['name']}"
        if way["failures"]:
            text += f"; {way['failures']} failures in a row: {way['last_reason']}"
        wrong = ways.health(gateways.build(settings.get(), way["name"]))
        if wrong:
            found.append(Finding("wrong", subject, f"{text}; it says: {wrong}"))
        elif way["state"] == "down":
            found.append(Finding("wrong", subject, text))
        else:
            found.append(Finding("mind" if way["failures"] else "ok", subject, text))
    return found


def _spending() -> list[Finding]:
    spent = ways.spending()
    if spent["alarm"]:
        return [finding for finding in alarms() if finding.subject == "SMS_DAILY_LIMIT"]
    return [Finding("ok", "SMS_DAILY_LIMIT", f"{spent['segments']} of {spent['limit']} texts spent today")]


def _queue() -> list[Finding]:
    waiting = messages.waiting()
    found = [Finding("ok", "messages", ", ".join(f"{count} {kind}" for kind, count in waiting.items()) + " to send")]
    oldest = messages.longest_wait()
    if oldest > LATE:
        text = f"an answer has waited for {oldest // 60_000} minutes: is the background work running (BACKGROUND)?"
        found.append(Finding("wrong", "messages", text))
    stuck = messages.not_handled()
    if stuck:
        found.append(Finding("mind", "messages", f"{stuck} could not be handled: see the log"))
    return found


def _keywords() -> list[Finding]:
    """The words to text whose meaning no source at hand gives, for native readers."""
    return [
        Finding("mind", f"keywords {language}", f"wait for a native reader: {', '.join(words)}")
        for language, words in commands.UNVERIFIED.items()
    ]
