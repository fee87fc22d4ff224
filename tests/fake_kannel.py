"""Kannel's smsbox for tests: what 1.4.5 answers at `/cgi-bin/sendsms`, and how it fails."""

from __future__ import annotations

from tests.fake_provider import SILENCES, FakeProvider, Handler

USERNAME = "circular"
# Those that take the message first, and then may or may not say so.
TAKING = {"ok": (202, "0: Accepted for delivery"), "queued": (202, "3: Queued for later delivery"),
          "immediate": (202, "Sent."), "odd": (202, "Thank you"), "half": (202, "0: Accepted for delivery"),
          "nothing": (202, "")}  # fmt: skip
REFUSING = {
    "number": (400, "Number(s) has/have been denied by white- and/or black-lists."),
    "sender": (400, "Sender missing and no global set, rejected"),
    "dlr": (400, "DLR-URL field misformed, rejected"),
    "charset": (400, "Charset or body misformed, rejected"),
    "route": (403, "Not routable. Do not try again."),
    "busy": (503, "Temporal failure, try again later."),
    "failed": (500, "Sending failed."),
    "portal": (200, "<html>Welcome to the hotel"),
    "elsewhere": (404, "Unknown request."),
}
MODES = (*TAKING, *REFUSING, *SILENCES, "slow", "redirect", "not_http", "down")


class _Handler(Handler):
    def post(self) -> None:
        provider = self.server.provider
        said = {name.lower().removeprefix("x-kannel-"): value for name, value in self.headers.items()}
        text = self.body().decode()
        with provider.lock:
            provider.requests += 1
        mode = provider.mode
        account = (said.get("username", ""), said.get("password", "").encode("latin-1").decode())
        if self.path != "/cgi-bin/sendsms":
            self.reply(*REFUSING["elsewhere"])
        elif mode in REFUSING:
            self.reply(*REFUSING[mode])
        elif mode == "redirect":
            self.redirect("/cgi-bin/sendsms")
        elif mode == "not_http":
            self.wfile.write(b"220 mail.example.org ESMTP\r\n")
        elif account != (USERNAME, provider.password):
            self.reply(403, "Authorization failed for sendsms")
        elif "to" not in said:
            self.reply(400, "Missing receiver(s) number(s), rejected")
        else:
            with provider.lock:
                provider.messages.append({"text": text, **said})
            self._taken(mode)

    def _taken(self, mode: str) -> None:
        if mode in SILENCES:
            self.fall_silent(mode)
            return
        if mode == "slow":
            self.server.provider.released.wait(self.server.provider.seconds)
        status, words = TAKING.get(mode, TAKING["ok"])
        if mode == "half":
            self.reply_half(status, words)
        else:
            self.reply(status, words)


class FakeKannel(FakeProvider):
    """One smsbox. Each of `messages` has the text and the headers, named as sendsms names its fields."""

    modes = MODES
    handler = _Handler

    def __init__(self, password: str) -> None:
        super().__init__()
        self.password = password
