"""From a phone to an answer and back to its receipt, through the Kannel of Debian and a server that really runs."""

from __future__ import annotations

import pathlib
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import pytest

from sms import outbox, segments
from sms.gateways.base import Accepted, Outgoing
from sms.gateways.kannel import Kannel as Gateway
from tests.gateways_real.kannel import FAKE, NUMBER, PASSWORD, USERNAME, FakePhone, Heard, Kannel
from tests.gateways_real.processes import free_port, until
from tests.gateways_real.server import CODE, SECRET, Server
from tests.gateways_real.smsc import PASSWORD as OPERATOR_PASSWORD
from tests.gateways_real.smsc import USERNAME as OPERATOR_USERNAME
from tests.gateways_real.smsc import Operator
from tests.town import FABIOLA


class Phone(Protocol):
    """Somebody's, or everybody's."""

    def text(self, words: str, phone: str) -> None:
        """Text `words` to our number."""

    def heard(self) -> list[Heard]:
        """What came, oldest first."""


class Loop(NamedTuple):
    """A phone, Kannel in front of its operator, our server."""

    phone: Phone
    kannel: Kannel
    server: Server


@pytest.fixture
def fakesmsc(server: Server, tmp_path: pathlib.Path) -> Iterator[tuple[Kannel, FakePhone]]:
    """Kannel with a phone of its own."""
    port = free_port()
    kannel, phone = Kannel(tmp_path, server, smsc=FAKE.format(port=port)), FakePhone(tmp_path, port)
    kannel.start()
    yield kannel, phone
    phone.put_away()
    kannel.kill()


@pytest.fixture
def smpp(server: Server, tmp_path: pathlib.Path) -> Iterator[tuple[Kannel, Operator]]:
    """Kannel with an operator's account, to the letter of `docs/kannel.conf`; its pace alone is not waited for."""
    with Operator() as operator:
        kannel = Kannel(tmp_path, server, **{
            "OPERATOR_HOST": "127.0.0.1", "port = 2775": f"port = {operator.port}", "throughput = 20": "throughput = 1000",
            "OPERATOR_USERNAME": OPERATOR_USERNAME, "OPERATOR_PASSWORD": OPERATOR_PASSWORD,
        })  # fmt: skip
        kannel.start()
        yield kannel, operator
        kannel.kill()


@pytest.fixture(params=["fakesmsc", "smpp"])
def loop(request: pytest.FixtureRequest, server: Server) -> Loop:
    """Everything runs, with either phone."""
    kannel, phone = request.getfixturevalue(request.param)
    server.start(**kannel.settings)
    return Loop(phone, kannel, server)


def written(server: Server) -> list[Heard]:
    """Every text that the server has written, oldest first."""
    return [Heard(*row) for row in server.rows("SELECT recipient, text FROM outbound_message ORDER BY id")]


def hears(phone: Phone, server: Server, number: int) -> list[Heard]:
    """What the phone heard, once that is `number` texts, every one as it was written."""
    until(lambda: len(heard := phone.heard()) >= number and heard == written(server))
    assert len(phone.heard()) == number
    return phone.heard()


def states(server: Server) -> set[tuple[str, str]]:
    """In what states the texts are, and why."""
    return set(server.rows("SELECT state, reason FROM outbound_message"))


def gateway(kannel: Kannel, server: Server, password: str = PASSWORD) -> Gateway:
    """What the server has, in our own hands."""
    receipts = f"{server.url}/sms/kannel/{SECRET}/receipt"
    url = kannel.settings["KANNEL_URL"]
    return Gateway(url=url, username=USERNAME, password=password, receipts=receipts, sender=NUMBER)


# --- all is well ------------------------------------------------------------------------------------------------------
def test_search_reserve_and_receipts(loop: Loop) -> None:
    """BOIS, then R: two answers of one segment each, a hold with its pickup code, and both delivered, says the operator."""
    loop.phone.text("BOIS", FABIOLA)
    (listed,) = hears(loop.phone, loop.server, 1)
    assert listed.to == FABIOLA and CODE in listed.text

    loop.phone.text(f"R {CODE} 3", FABIOLA)
    _, reserved = hears(loop.phone, loop.server, 2)
    pin = re.search(r"CODE (\d{4})", reserved.text)
    assert pin and "(3)" in reserved.text

    assert [segments.measure(text).segments for _, text in loop.phone.heard()] == [1, 1]
    assert loop.server.rows("SELECT quantity, pickup_code FROM reservation") == [(3000, pin[1])]
    until(lambda: states(loop.server) == {("delivered", "")})


@pytest.mark.parametrize("words", ["Chèche tòl épi bwa à 10 € {vit}", "ça alors, tôle ? 🙂 ’œuf’"])
def test_inbound_as_it_was_written(loop: Loop, words: str) -> None:
    """Accents, what GSM 03.38 has in its extension, and all that it has not."""
    loop.phone.text(words, FABIOLA)
    hears(loop.phone, loop.server, 1)

    assert loop.server.rows("SELECT text, sender, recipient FROM inbound_message") == [(words, FABIOLA, NUMBER)]


def test_long_inbound_in_parts(smpp: tuple[Kannel, Operator], server: Server) -> None:
    """What a phone sent in parts, the last of them first, is one message."""
    kannel, operator = smpp
    server.start(**kannel.settings)
    for words in (f"Je cherche {'des planches à 2 € et ' * 20}des briques", f"{'🙂' * 70} tôle"):
        operator.text(words, FABIOLA)
        until(lambda words=words: server.rows("SELECT 1 FROM inbound_message WHERE text = ?", words))  # type: ignore[misc]

    assert server.rows("SELECT count(*) FROM inbound_message") == [(2,)]


@pytest.mark.parametrize(
    "words", ["Déjà à 7h: {[€]} @_^~|", "Élan naïf: ça y est, tôle n° 5 “prête” 🙂", "{€} " * 100, "🙂ç" * 60]
)
def test_outbound_as_it_was_written(smpp: tuple[Kannel, Operator], server: Server, words: str) -> None:
    """In GSM 03.38 or not, short or in parts: whole, and the receipt finds its way by our key, whatever it was made of."""
    kannel, operator = smpp
    server.start(**kannel.settings)
    message = Outgoing("12 + é%d%A&id=13", FABIOLA, words)
    assert gateway(kannel, server).send(message) == Accepted(message.key, None)

    until(lambda: operator.heard() == [Heard(FABIOLA, words)])
    said = until(lambda: server.rows("SELECT provider_id, status, reason FROM delivery_receipt"))
    assert set(said) == {(message.key, "delivered", "")}


def test_health_of_the_real_thing(fakesmsc: tuple[Kannel, FakePhone], server: Server) -> None:
    """Well with the right password; with a wrong one, or with no Kannel at all, that is said."""
    kannel, _ = fakesmsc
    assert gateway(kannel, server).health() == ""
    assert gateway(kannel, server, "wrong").health().startswith("403 Kannel refuses the user name")
    kannel.kill()
    assert gateway(kannel, server).health() == "no connection to Kannel: ConnectionRefusedError"


def test_crowd_at_once(smpp: tuple[Kannel, Operator], server: Server) -> None:
    """Two hundred people text in one breath: each is stored once, answered once, and has it, says the operator."""
    kannel, operator = smpp
    crowd = [f"+596697{number:04d}00" for number in range(200)]
    server.start(**kannel.settings)
    for phone in crowd:
        operator.text("BOIS", phone)

    until(lambda: len(operator.heard()) == len(crowd))
    until(lambda: states(server) == {("delivered", "")})

    assert sorted(to for to, _ in operator.heard()) == crowd
    assert server.rows("SELECT count(*), count(DISTINCT sender) FROM inbound_message") == [(200, 200)]


# --- something is broken ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("phone", "mode", "reason"), [("+596696000099", "ok", "UNDELIV 001"), (FABIOLA, "fail", "Submit failed")]
)
def test_what_the_operator_cannot_deliver(
    smpp: tuple[Kannel, Operator], server: Server, phone: str, mode: str, reason: str
) -> None:
    """A phone that was never reached, a text that was never taken: failed, and staff see why."""
    kannel, operator = smpp
    server.start(**kannel.settings)
    operator.mode = mode
    operator.text("BOIS", phone)

    until(lambda: states(server) == {("failed", reason)})


def test_server_away_for_a_while(fakesmsc: tuple[Kannel, FakePhone], server: Server) -> None:
    """Nobody at home when the text came: smsbox comes again, one message is stored and one answer goes out."""
    kannel, phone = fakesmsc
    phone.text("BOIS", FABIOLA)
    until(lambda: "Couldn't fetch" in kannel.said("smsbox"))

    server.start(**kannel.settings)

    hears(phone, server, 1)
    assert server.rows("SELECT count(*) FROM inbound_message") == [(1,)]


def test_kannel_away_for_a_while(fakesmsc: tuple[Kannel, FakePhone], server: Server) -> None:
    """No Kannel when the answer was ready: it waits with us, and goes out once."""
    kannel, phone = fakesmsc
    kannel.kill()
    server.start(**kannel.settings)
    query = urllib.parse.urlencode({"id": "1", "from": FABIOLA, "to": NUMBER, "text": "BOIS"})
    with urllib.request.urlopen(f"{server.url}/sms/kannel/{SECRET}/inbound?{query}", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"")
    until(lambda: server.rows("SELECT 1 FROM outbound_message WHERE state = 'queued' AND attempts > 0"))

    kannel.start()
    phone.text("0", FABIOLA)

    assert CODE in hears(phone, server, 2)[0].text
    until(lambda: states(server) == {("delivered", "")})


def test_kannel_killed_with_a_text_in_hand(fakesmsc: tuple[Kannel, FakePhone], server: Server) -> None:
    """The phone is out of reach, Kannel has the text, and is killed: it is delivered afterwards, and its receipt comes."""
    kannel, phone = fakesmsc
    server.start(**kannel.settings)
    query = urllib.parse.urlencode({"id": "1", "from": FABIOLA, "to": NUMBER, "text": "BOIS"})
    urllib.request.urlopen(f"{server.url}/sms/kannel/{SECRET}/inbound?{query}", timeout=10).close()
    until(lambda: states(server) == {("sent", "")})

    kannel.kill()
    kannel.start()
    phone.text("0", FABIOLA)

    assert CODE in hears(phone, server, 2)[0].text
    until(lambda: states(server) == {("delivered", "")})


def test_kannel_killed_before_the_receipt(smpp: tuple[Kannel, Operator], server: Server) -> None:
    """The operator has the text, Kannel is killed, and the receipt comes to its next life: it still finds our text."""
    kannel, operator = smpp
    operator.mode = "later"
    server.start(**kannel.settings)
    operator.text("BOIS", FABIOLA)
    hears(operator, server, 1)
    until(lambda: states(server) == {("sent", "")})

    kannel.kill()
    kannel.start()
    operator.tell()

    until(lambda: states(server) == {("delivered", "")})


def test_server_killed_in_the_middle(smpp: tuple[Kannel, Operator], server: Server) -> None:
    """kill -9 with a crowd's texts half answered: each is stored once, nobody is left without an answer."""
    kannel, operator = smpp
    crowd = [f"+596696{number:06d}" for number in range(100, 160)]
    server.start(**kannel.settings)
    for phone in crowd:
        operator.text(f"R {CODE}", phone)
    until(lambda: len(operator.heard()) > 5)

    server.kill()
    server.start()

    until(lambda: {to for to, _ in operator.heard()} == set(crowd))
    until(lambda: states(server) == {("delivered", "")})
    assert server.rows("SELECT count(*), count(DISTINCT sender) FROM inbound_message") == [(60, 60)]
    assert server.rows("SELECT count(*), count(DISTINCT person_id) FROM reservation") == [(60, 60)]
    again = len(operator.heard()) - len(crowd)
    assert again <= outbox.HANDS, "only what was in flight may come twice"
