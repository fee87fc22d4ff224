"""Africa's Talking for tests: a real HTTP server on 127.0.0.1 that answers as the provider does, and fails as it does.

In a test: `with FakeAfricasTalking() as provider: provider.mode = "429"`. By hand, beside a running server whose
`AFRICASTALKING_API_URL` is `http://127.0.0.1:PORT`:

`python -m tests.fake_africastalking PORT`
`curl -d mode=slow -d seconds=2 http://127.0.0.1:PORT/mode` and `curl http://127.0.0.1:PORT/messages`
"""

from __future__ import annotations

import json
import sys
import threading
import urllib.parse

from tests.fake_provider import SILENCES, FakeProvider, Handler

# Those that take the message first, and then may or may not say so.
TAKING = ("ok", "charset", "slow", "half", *SILENCES)
REFUSING = ("401", "429", "500", "garbage", "empty_recipients", "insufficient", "invalid_sender", "unheard_of")
# `down` refuses connections: for `seconds` when it was asked by POST /mode, else until the mode changes.
MODES = (*TAKING, *REFUSING, "rejected", "blacklist", "no_balance", "gateway_error", "redirect", "down")
JSON = "application/json"
CODES = {
    "rejected": (403, "InvalidPhoneNumber"),
    "blacklist": (406, "UserInBlacklist"),
    "no_balance": (405, "InsufficientBalance"),
    "gateway_error": (501, "GatewayError"),
    "unheard_of": (999, "Unheard"),
}


class _Handler(Handler):
    def get(self) -> None:
        provider = self.server.provider
        if self.path == "/messages":
            with provider.lock:
                body = json.dumps(provider.messages)
            self.reply(200, body, JSON)
        elif self.path == "/elsewhere":
            self.redirect("/elsewhere")
        else:
            self.reply(404, "Not Found")

    def post(self) -> None:
        form = dict(urllib.parse.parse_qsl(self.body().decode(), keep_blank_values=True))
        if self.path == "/mode":
            self._change_mode(form)
        elif self.path == "/version1/messaging":
            self._messaging(form)
        else:
            self.reply(404, "Not Found")

    def _change_mode(self, form: dict[str, str]) -> None:
        provider = self.server.provider
        mode = form.get("mode", "")
        if mode not in MODES:
            self.reply(400, f"mode: one of {', '.join(MODES)}")
            return
        provider.seconds = float(form.get("seconds") or provider.seconds)
        if mode != "down":
            provider.mode = mode
            self.reply(200, json.dumps({"mode": mode}), JSON)
            return
        provider.back.clear()
        self.reply(200, json.dumps({"mode": mode, "seconds": provider.seconds}), JSON)
        provider.mode = mode
        # Nobody could ask for another mode: it comes back by itself.
        back = threading.Timer(provider.seconds, setattr, (provider, "mode", "ok"))
        back.daemon = True
        back.start()

    def _messaging(self, form: dict[str, str]) -> None:
        provider = self.server.provider
        mode = provider.mode
        api_key = self.headers.get("apiKey", "")
        with provider.lock:
            provider.requests += 1
        if provider.answer is not None:
            self.reply(201, provider.answer, provider.content_type)
        elif mode == "401" or not api_key:
            self.reply(401, "The supplied authentication is invalid")
        elif mode in ("429", "500"):
            self.reply(int(mode), json.dumps({"error": mode}), JSON)
        elif mode == "garbage":
            self.reply(201, "<html>oops", JSON)
        elif mode in ("empty_recipients", "insufficient", "invalid_sender"):
            word = {"insufficient": "InsufficientBalance", "invalid_sender": "InvalidSenderId"}.get(mode, "Sent to 0/1")
            self.reply(201, json.dumps({"SMSMessageData": {"Message": word, "Recipients": []}}), JSON)
        elif mode == "redirect":
            self.redirect("/elsewhere")
        elif mode in CODES:
            code, word = CODES[mode]
            self.reply(201, _sent(form, code, word, "0", "None"), JSON)
        else:
            self._taken(form, mode, provider.take(form, api_key))

    def _taken(self, form: dict[str, str], mode: str, number: str) -> None:
        provider = self.server.provider
        if mode in SILENCES:
            self.fall_silent(mode)
            return
        if mode == "slow":
            provider.released.wait(provider.seconds)
        body = _sent(form, 101, "Success", "EUR 0.0500", number)
        if mode == "half":
            self.reply_half(201, body)
        else:
            self.reply(201, body, f"{JSON}; charset=utf-8" if mode == "charset" else JSON)


class FakeAfricasTalking(FakeProvider):
    """One provider. Each of `messages` is `{id, username, to, text, from, api_key}`."""

    modes = MODES
    handler = _Handler

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.answer: str | None = None  # a body for every 201, whatever the mode
        self.content_type = JSON

    def take(self, form: dict[str, str], api_key: str) -> str:
        """Keep a message; its id."""
        with self.lock:
            number = f"ATXid_{len(self.messages) + 1:08d}"
            known = {name: form.get(name, "") for name in ("username", "to", "from")}
            self.messages.append({"id": number, **known, "text": form.get("message", ""), "api_key": api_key})
            return number


def _sent(form: dict[str, str], code: int, status: str, cost: str, number: str) -> str:
    recipient = {"statusCode": code, "number": form.get("to"), "status": status, "cost": cost, "messageId": number}
    taken = int(code == 101)
    message = f"Sent to {taken}/1 Total Cost: {cost}"
    return json.dumps({"SMSMessageData": {"Message": message, "Recipients": [recipient]}})


if __name__ == "__main__":
    with FakeAfricasTalking(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as running:
        sys.stdout.write(f"Africa's Talking, pretended, on {running.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
