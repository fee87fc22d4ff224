"""From a handset to an answer through Debian's gammu-smsd, with a server that really runs and a modem that is refused."""

from __future__ import annotations

import pathlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from sms import segments
from sms.gateways.base import Accepted, Inbound, Outgoing, Receipt
from sms.gateways.gammu import VAIN, Gammu
from tests.gateways_real.gammu import Heard, Smsd
from tests.gateways_real.modem import Modem
from tests.gateways_real.processes import until
from tests.gateways_real.server import CODE, Server
from tests.town import FABIOLA, JOSEPH

SLOW = 180.0  # seconds for several texts at a modem's pace


@pytest.fixture(params=["detail", "unicode"])
def smsd(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Smsd]:
    """smsd with the dummy phone, in either format that Circular reads."""
    running = Smsd(tmp_path, inbox_format=request.param)
    running.start()
    yield running
    running.kill()


def written(server: Server) -> list[Heard]:
    """Every text that the server has written, oldest first."""
    return [Heard(*row) for row in server.rows("SELECT recipient, text FROM outbound_message ORDER BY id")]


def hears(smsd: Smsd, server: Server, number: int) -> list[Heard]:
    """What was transmitted, once that is `number` texts, every one as it was written."""
    until(lambda: len(heard := smsd.heard()) >= number and heard == written(server), SLOW)
    assert len(smsd.heard()) == number
    return smsd.heard()


# --- all is well ------------------------------------------------------------------------------------------------------
def test_search_reserve_and_receipts(smsd: Smsd, server: Server) -> None:
    """BOIS, then R: two answers of one segment each, a hold with its pickup code, and smsd says that both have left."""
    server.start(**smsd.settings)
    smsd.text("BOIS", FABIOLA)
    (listed,) = hears(smsd, server, 1)
    assert listed.to == FABIOLA and CODE in listed.text

    smsd.text(f"R {CODE} 3", FABIOLA)
    _, reserved = hears(smsd, server, 2)
    pin = re.search(r"CODE (\d{4})", reserved.text)
    assert pin and "(3)" in reserved.text

    assert [segments.measure(text).segments for _, text in smsd.heard()] == [1, 1]
    assert server.rows("SELECT quantity, pickup_code FROM reservation") == [(3000, pin[1])]
    until(lambda: len(list((smsd.spool / "told").glob("*"))) == 2)
    assert server.rows("SELECT DISTINCT status FROM delivery_receipt") == [("sent",)]
    assert {folder: len(list((smsd.spool / folder).iterdir())) for folder in ("inbox", "outbox", "sent", "error")} == {
        "inbox": 0, "outbox": 0, "sent": 0, "error": 0,
    }  # fmt: skip


def test_inbound_as_it_was_written(smsd: Smsd, server: Server) -> None:
    """Accents, what GSM 03.38 has in its extension, all that it has not, and what takes several parts."""
    words = [
        "Chèche tòl épi bwa à 10 € {vit}",
        "ça alors, tôle ? 🙂",
        f"Je cherche {'des planches à 2 € et ' * 12}des briques",
        f"{'ê' * 66}{'🌴' * 30} tôle",
        "?",
    ]
    server.start(**smsd.settings)
    for number, text in enumerate(words):
        smsd.text(text, f"+59669600000{number}")

    until(lambda: len(server.rows("SELECT 1 FROM inbound_message")) >= len(words))
    kept = dict(server.rows("SELECT sender, text FROM inbound_message"))
    assert kept == {f"+59669600000{number}": text for number, text in enumerate(words)}
    sent_at = [row[0] / 1000 for row in server.rows("SELECT sent_at FROM inbound_message")]
    assert all(abs(datetime.now(UTC).timestamp() - at) < SLOW for at in sent_at), "the network's time is Martinique's"


def test_a_named_sender(smsd: Smsd, server: Server) -> None:
    """An operator's advertisement is kept, and never answered."""
    server.start(**smsd.settings)
    smsd.text("Rechargez maintenant", "Orange_MQ")
    smsd.text("BOIS", FABIOLA)

    assert [heard.to for heard in hears(smsd, server, 1)] == [FABIOLA]
    states = until(lambda: len(found := server.rows("SELECT sender, state FROM inbound_message")) == 2 and found)
    assert dict(states or []) == {"Orange_MQ": "ignored", FABIOLA: "handled"}


# --- something is broken ----------------------------------------------------------------------------------------------
def test_server_killed_between_collecting_and_answering(smsd: Smsd, server: Server) -> None:
    """kill -9 again and again: nothing is lost, nobody reserves twice, and nobody hears an answer twice."""
    crowd = [f"+59669600{number:04d}" for number in range(100, 106)]
    server.start(**smsd.settings)
    for phone in crowd:
        smsd.text(f"R {CODE}", phone)
    for table in ("inbound_message", "reservation", "outbound_message"):
        until(lambda table=table: server.rows(f"SELECT 1 FROM {table}"))  # type: ignore[misc]
        server.kill()
        server.start()
    until(lambda: any((smsd.spool / folder).glob("*_+*") for folder in ("outbox", "sent")) or smsd.heard(), SLOW)
    server.kill()
    server.start()

    until(lambda: {to for to, _ in smsd.heard()} == set(crowd), SLOW)
    until(lambda: server.rows("SELECT DISTINCT state FROM outbound_message") == [("sent",)], SLOW)

    assert Counter(to for to, _ in smsd.heard()) == dict.fromkeys(crowd, 1)
    assert server.rows("SELECT count(*), count(DISTINCT sender) FROM inbound_message") == [(len(crowd),) * 2]
    assert server.rows("SELECT count(*), count(DISTINCT person_id) FROM reservation") == [(len(crowd),) * 2]


def test_server_killed_with_answers_in_the_spool(tmp_path: pathlib.Path, server: Server) -> None:
    """The answer lies in `outbox`, and kill -9 comes before or after that is noted: smsd sends it once."""
    smsd = Smsd(tmp_path)
    smsd.start()
    smsd.text("BOIS", FABIOLA)
    until(lambda: list((smsd.spool / "inbox").iterdir()))
    smsd.kill()  # before anybody answers: nothing leaves any more
    server.start(**smsd.settings)
    until(lambda: list((smsd.spool / "outbox").glob("OUT*")))
    server.kill()
    server.start()
    until(lambda: server.rows("SELECT 1 FROM outbound_message WHERE state = 'sent'"), SLOW)
    assert len(list((smsd.spool / "outbox").glob("OUT*"))) == 1

    smsd.start()

    hears(smsd, server, 1)
    smsd.kill()


def test_smsd_killed_with_texts_to_send(smsd: Smsd, server: Server) -> None:
    """What the modem has not sent waits in the spool, and goes when it is back."""
    server.start(**smsd.settings)
    smsd.text("BOIS", FABIOLA)
    until(lambda: server.rows("SELECT 1 FROM inbound_message"))
    smsd.kill()
    until(lambda: server.rows("SELECT 1 FROM outbound_message WHERE state = 'sent'"), SLOW)

    smsd.start()

    assert [heard.to for heard in hears(smsd, server, 1)] == [FABIOLA]


# --- a modem and its network ------------------------------------------------------------------------------------------
class Kept:
    """An inbox in memory."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []

    def message(self, message: Inbound) -> None:
        raise AssertionError("nobody texts this modem")

    def receipt(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)


@pytest.fixture
def modem(tmp_path: pathlib.Path) -> Iterator[tuple[Modem, Smsd]]:
    """smsd with a modem."""
    with Modem(tmp_path) as device:
        running = Smsd(tmp_path, device.device)
        running.start()
        yield device, running
        running.kill()


@pytest.mark.parametrize("words", ["Déjà à 7h: {[€]} @_^~|\\", "Élan naïf: ça y est, tôle n° 5 “prête” 🙂"])
def test_outbound_as_it_was_written(modem: tuple[Modem, Smsd], words: str) -> None:
    """In GSM 03.38 or not: what goes over the air is what was written, once, and smsd says that it went."""
    device, smsd = modem
    gammu, box = Gammu(spool=str(smsd.spool)), Kept()
    sent = gammu.send(Outgoing("12", FABIOLA, words))

    until(lambda: gammu.collect(box) or box.receipts)

    assert isinstance(sent, Accepted)
    assert device.sent == [Heard(FABIOLA, words)]
    assert [(receipt.provider_id, receipt.status) for receipt in box.receipts] == [(sent.provider_id, "sent")]


def test_a_number_that_the_network_refuses(modem: tuple[Modem, Smsd]) -> None:
    """smsd would try it for ever, everybody behind it: it steps aside after a minute, and comes back."""
    device, smsd = modem
    device.refuses = {FABIOLA}
    gammu, box = Gammu(spool=str(smsd.spool)), Kept()
    for to in (FABIOLA, JOSEPH):
        gammu.send(Outgoing("12", to, "x"))
    gammu.collect(box)
    until(lambda: len(device.refused) > 2)
    assert device.sent == []

    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=VAIN + 1)):
        gammu.collect(box)
    until(lambda: device.sent == [Heard(JOSEPH, "x")])
    until(lambda: gammu.collect(box))

    device.refuses = set()
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=5)):
        gammu.collect(box)
    until(lambda: device.sent[1:] == [Heard(FABIOLA, "x")])
    until(lambda: gammu.collect(box))
    assert [receipt.status for receipt in box.receipts] == ["sent", "sent"]


def test_a_network_that_is_away_for_a_while(modem: tuple[Modem, Smsd]) -> None:
    """Nothing leaves, then everything does, once each."""
    device, smsd = modem
    device.refuses = None
    gammu, box = Gammu(spool=str(smsd.spool)), Kept()
    start = datetime.now(UTC)
    for number, to in enumerate((FABIOLA, JOSEPH)):
        gammu.send(Outgoing("12", to, "x"))
        with time_machine.travel(start + timedelta(minutes=1.2 * number)):
            gammu.collect(box)  # it is the first
        until(lambda to=to: device.refused[-1:] == [to])  # type: ignore[misc]
        with time_machine.travel(start + timedelta(minutes=1.2 * number + 1.1)):
            gammu.collect(box)  # it is in vain
    assert list((smsd.spool / "outbox").glob("OUT*")) == []
    with time_machine.travel(start + timedelta(minutes=12)):
        assert "2 texts wait" in gammu.health()

    device.refuses = set()
    with time_machine.travel(start + timedelta(hours=1)):
        gammu.collect(box)

    until(lambda: sorted(device.sent) == [Heard(FABIOLA, "x"), Heard(JOSEPH, "x")])
    until(lambda: (gammu.collect(box), len(box.receipts) == 2)[1])
    assert gammu.health() == ""
