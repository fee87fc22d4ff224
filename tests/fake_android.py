"""The phone app SMS Gateway for tests: its local HTTP API, its webhooks, and a handset that texts it.

Shapes and rules are the app's (capcom6/android-sms-gateway: swagger.json, the Kotlin sources of `localserver` and
`webhooks`). What is pretended is the radio: a text is sent and delivered at once, to numbers that end in 99 never.

`with FakeAndroid("password", "signing key") as phone: phone.hear("+596696123456", "BOIS")`
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.fake_provider import SILENCES, FakeProvider, Handler

USERNAME = "sms"
JSON = "application/json"
# Those that take the text first, and then may or may not say so. `broken` takes it and answers 500 all the same.
TAKING = ("ok", "slow", "half", "broken", *SILENCES)
REFUSING = ("400", "401", "404", "429", "500", "garbage", "list", "deep", "other", "redirect")
# How it is, says the app: texts that failed in the last hour, and whether it has internet.
HEALTH = {"failing": (3, 1), "unlucky": (2, 1), "offline": (0, 0)}
TRIES = 15  # the app's default
EVENTS = ("sms:received", "sms:sent", "sms:delivered", "sms:failed", "system:ping")
MARTINIQUE = timezone(timedelta(hours=-4))


class FakeAndroid(FakeProvider):
    """One phone. `messages` is what it took, in order, each `{id, to, text}`; an id is taken once, for ever.

    `tries` are the answers to its webhooks, in order.
    """

    modes = (*TAKING, *REFUSING, *HEALTH, "down")

    def __init__(self, password: str, signing_key: str, port: int = 0) -> None:
        super().__init__(port)
        self.handler = _Handler
        self.password = password
        self.signing_key = signing_key
        self.states: dict[str, str] = {}
        self.webhooks: dict[str, dict[str, str]] = {}
        self.tries: list[int] = []
        self.pause = 0.02  # seconds before a webhook is tried again, doubled each time; the app waits 5
        self._events = 0

    def hear(self, sender: str, text: str, *, times: int = 1, at: datetime | None = None) -> None:
        """A handset texts the phone. Some versions of the app tell it twice, each time with an event id of its own."""
        payload = {
            "messageId": hashlib.sha256(text.encode()).hexdigest()[:8],  # of the text alone: not unique
            "sender": sender,
            "recipient": None,
            "phoneNumber": sender,
            "simNumber": 1,
            "message": text,
            "receivedAt": _time(at),
        }
        for _ in range(times):
            self.tell("sms:received", payload)

    def tell(self, event: str, payload: dict[str, Any]) -> None:
        """Call every webhook of an event until it answers 2xx, a limited number of times."""
        with self.lock:
            hooks = [hook for hook in self.webhooks.values() if hook["event"] == event]
        for hook in hooks:
            with self.lock:
                self._events += 1
                body = json.dumps(
                    {"id": f"event-{self._events}", "webhookId": hook["id"], "event": event, "deviceId": "device",
                     "payload": payload},
                    ensure_ascii=False,
                ).encode()  # fmt: skip
            for attempt in range(TRIES):
                status = self._call(hook["url"], body)
                with self.lock:
                    self.tries.append(status)
                if 200 <= status < 300 or self.released.wait(min(self.pause * 2**attempt, 2.0)):
                    break

    def _call(self, url: str, body: bytes) -> int:
        """The status of one try, signed at this moment; 0 when there is no answer."""
        headers = {"content-type": "application/json; charset=UTF-8", **signed(self.signing_key, body)}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)
        except OSError:
            return 0

    def take(self, text: dict[str, Any]) -> bool:
        """Keep a text; False when its id is taken."""
        with self.lock:
            if text["id"] in self.states:
                return False
            self.states[text["id"]] = "Pending"
            self.messages.append({"id": text["id"], "to": text["phoneNumbers"][0], "text": text["textMessage"]["text"]})
        threading.Thread(target=self._send, args=(text["id"], text["phoneNumbers"][0]), daemon=True).start()
        return True

    def _send(self, message_id: str, to: str) -> None:
        payload = {"messageId": message_id, "sender": None, "recipient": to, "phoneNumber": to, "simNumber": 1}
        if to.endswith("99"):
            self.states[message_id] = "Failed"
            self.tell("sms:failed", {**payload, "failedAt": _time(), "reason": "RESULT_ERROR_NO_SERVICE"})
            return
        self.states[message_id] = "Sent"
        self.tell("sms:sent", {**payload, "partsCount": 1, "sentAt": _time()})
        self.states[message_id] = "Delivered"
        self.tell("sms:delivered", {**payload, "deliveredAt": _time()})


def signed(key: str, body: bytes, at: datetime | None = None) -> dict[str, str]:
    """The headers of a webhook, signed now or `at` a time."""
    stamp = str(int((at or datetime.now(UTC)).timestamp()))
    return {
        "x-timestamp": stamp,
        "x-signature": hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest(),
    }


def _time(at: datetime | None = None) -> str:
    """As the phone writes a time: its own, with its offset."""
    return (at or datetime.now(UTC)).astimezone(MARTINIQUE).isoformat(timespec="milliseconds")


class _Handler(Handler):
    def get(self) -> None:
        phone: FakeAndroid = self.server.provider
        if self.path == "/health":  # asks for no password
            failed, online = HEALTH.get(phone.mode, (0, 1))
            checks = {
                "messages:failed": {"status": "fail" if failed else "pass", "observedValue": failed},
                "connection:status": {"status": "pass" if online else "fail", "observedValue": online},
            }
            well = online and not failed
            self._answer(200 if well else 500, {"status": "pass" if well else "fail", "checks": checks})
        elif not self._allowed():
            return
        elif self.path == "/webhooks":
            self._answer(200, list(phone.webhooks.values()))
        elif self.path.removeprefix("/messages/") in phone.states:
            self._answer(200, self._state(self.path.removeprefix("/messages/")))
        else:
            self._answer(404, {"message": "Not Found"})

    def post(self) -> None:
        asked = json.loads(self.body())
        path = urllib.parse.urlsplit(self.path).path
        if not self._allowed():
            return
        if path == "/messages":
            self._messages(asked)
        elif path == "/webhooks":
            self._webhooks(asked)
        else:
            self._answer(404, {"message": "Not Found"})

    def _allowed(self) -> bool:
        phone: FakeAndroid = self.server.provider
        account = base64.b64encode(f"{USERNAME}:{phone.password}".encode()).decode()
        allowed = self.headers.get("authorization") == f"Basic {account}" and phone.mode != "401"
        if not allowed:
            self._answer(401, {"message": "Unauthorized"})
        return allowed

    def _messages(self, asked: dict[str, Any]) -> None:
        phone: FakeAndroid = self.server.provider
        with phone.lock:
            phone.requests += 1
        mode = phone.mode
        if mode in ("400", "404", "429", "500"):
            self._answer(int(mode), {"message": mode})
        elif mode in ("garbage", "list", "deep", "other"):
            body = {"garbage": "<html>oops", "list": "[]", "deep": "[" * 100_000, "other": '{"id": "another"}'}[mode]
            self.reply(202, body, JSON)
        elif mode == "redirect":
            self.redirect("/health")
        elif not asked["phoneNumbers"] or not asked["textMessage"]["text"]:
            self._answer(400, {"message": "Text message is empty"})
        elif not phone.take(asked):
            self._answer(409, {"message": f"Message with ID {asked['id']} already exists"})
        elif mode in SILENCES:
            self.fall_silent(mode)
        elif mode == "half":
            self.reply_half(202, json.dumps(self._state(asked["id"])))
        else:
            if mode == "slow":
                phone.released.wait(phone.seconds)
            self._answer(500 if mode == "broken" else 202, self._state(asked["id"]))

    def _webhooks(self, asked: dict[str, Any]) -> None:
        phone: FakeAndroid = self.server.provider
        url = urllib.parse.urlsplit(asked["url"])
        if asked["event"] not in EVENTS:
            self._answer(400, {"message": "Unsupported event"})
        elif url.scheme != "https" and not (url.scheme == "http" and url.hostname == "127.0.0.1"):
            self._answer(400, {"message": "url must start with https:// or http://127.0.0.1"})
        else:
            with phone.lock:
                hook_id = asked.get("id") or f"hook-{len(phone.webhooks) + 1}"
                phone.webhooks[hook_id] = {"id": hook_id, "url": asked["url"], "event": asked["event"]}
            self._answer(201, phone.webhooks[hook_id])

    def _state(self, message_id: str) -> dict[str, Any]:
        phone: FakeAndroid = self.server.provider
        to = next(message["to"] for message in phone.messages if message["id"] == message_id)
        state = phone.states[message_id]
        return {
            "id": message_id, "deviceId": "device", "state": state, "isHashed": False, "isEncrypted": False,
            "recipients": [{"phoneNumber": to, "state": state, "error": None}], "states": {},
        }  # fmt: skip

    def _answer(self, status: int, body: object) -> None:
        self.reply(status, json.dumps(body), JSON)
