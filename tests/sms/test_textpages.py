"""The menus as text pages: every link looks, none acts."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from circular import db, projects
from circular.i18n import LANGUAGES
from tests.town import ADMIN, Town


def links(html: str) -> list[str]:
    """The addresses of the menu's own links."""
    found = re.search(r"<ol>(.*?)</ol>", html, re.DOTALL)
    return re.findall(r'href="([^"]+)"', found[1]) if found else []


def test_from_the_menu_to_a_listing(town: Town, client: FlaskClient) -> None:
    """Search, results, details; reserving is the listing's page."""
    code = town.listing(title="Planche sapin")["code"]

    assert "Chercher" in client.get("/t").text
    results = client.get("/t?do=search&words=planche")
    assert "PLANCHE (1):" in results.text
    assert "Planche sapin x10" in results.text
    details = client.get(links(results.text)[0].replace("&amp;", "&"))
    assert "Reste 10" in details.text
    assert links(details.text) == [f"/l/{code}"]


def test_to_a_project(town: Town, client: FlaskClient) -> None:
    """What can be built comes first and says so; to reserve it is the project's page."""
    town.listing(quantity=3)
    for title, quantity in (("Abri", 4), ("Banc", 3)):
        code = projects.add(ADMIN, {"title": title, "needs": f"bois-planche:{quantity}:piece"})["code"]

    found = client.get("/t?do=projects").text
    assert found.index("Banc") < found.index("Abri")
    details = client.get(links(found)[0].replace("&amp;", "&")).text

    assert "tout y est. 3 Planche. La Sphère" in details
    assert links(details) == [f"/p/{code}"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_opens(town: Town, client: FlaskClient, language: str) -> None:
    """A walk over all links, in every language, finds no dead end and changes nothing."""
    for n in range(5):
        town.listing(title=f"Planche {n}")
    town.listing(title="Scie", kind="machine", category="machine-bois")
    waiting, seen = [f"/t?lang={language}", "/t?do=search&words=planche"], set[str]()
    while waiting:
        address = waiting.pop().replace("&amp;", "&")
        if address in seen:
            continue
        seen.add(address)
        response = client.get(address)
        assert response.status_code == 200, address
        waiting += [link for link in links(response.text) if link.startswith("/t")]

    assert any("do=go_on" in address for address in seen)
    assert db.value("SELECT COUNT(*) FROM reservation") == 0


@pytest.mark.parametrize(
    "query", ["do=reserve&code=41271", "do=stop", "do=erase", "do=details", "do=details&code=41272", "do=go_on", "do=%00",
              "do=search&words=%F0%9F%98%80", "do=go_on&words=a&cursor=x",
              "do=machines&cursor=x", "do=projects&cursor=x", "do=search&cursor=x&words=a"]
)  # fmt: skip
def test_odd_addresses(town: Town, client: FlaskClient, query: str) -> None:
    """What only a phone may ask, and junk, get a page and do nothing."""
    assert client.get(f"/t?{query}").status_code in (200, 404, 422)
    assert db.value("SELECT COUNT(*) FROM person") == 0
