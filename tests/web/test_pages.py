"""Searching, and what every page promises: no script, no other host, few bytes, the reader's language."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re

import pytest
from flask.testing import FlaskClient

from circular import db, places, projects
from tests.town import ADMIN, Town
from tests.web.conftest import Page, read, reserve

WIRE = 14_336  # bytes: what a first flight of ten packets carries


def test_search_finds_a_listing(town: Town, client: FlaskClient) -> None:
    """A word of the title leads to the listing, with what is left, where and for how much."""
    code = town.listing(title="Planche sapin 200x20", price_cents=250)["code"]
    town.listing(title="Tôle ondulée", category="toiture")

    page = read(client.get("/?q=planches"))

    (link,) = [link for link in page.all("a") if link["href"].startswith("/l/")]
    assert (link["href"], link["text"]) == (f"/l/{code}", "Planche sapin 200x20")
    for said in ("Reste 10 pièces", "2,50 EUR / pièce", "La Sphère", f"n° {code}", "1 annonce"):
        assert said in page.one("main")["text"]


def test_search_filters(town: Town, client: FlaskClient) -> None:
    """Category, place, commune and quantity narrow a search, and stay filled in."""
    town.listing(title="Planche du Lamentin", quantity=50)
    town.listing(title="Planche de Fort-de-France", place="trois-lieu", quantity=5)

    for asked in ("commune=Le+Lamentin", "place=la-sphere", "min_quantity=20", "category=bois&commune=97213"):
        main = read(client.get(f"/?q=planche&{asked}")).one("main")["text"]
        assert "Planche du Lamentin" in main
        assert "Planche de Fort-de-France" not in main
    assert read(client.get("/?min_quantity=20")).one("input", name="min_quantity")["value"] == "20"


def test_search_goes_on(town: Town, client: FlaskClient) -> None:
    """Twenty listings a page, the next one by a link that keeps the question."""
    for number in range(23):
        town.listing(title=f"Planche {number}")

    first = read(client.get("/?q=planche&place=la-sphere"))
    more = first.one("a", rel="next")["href"]
    second = read(client.get(more))

    assert "q=planche" in more and "place=la-sphere" in more
    assert "23 annonces" in first.one("main")["text"]
    assert (len(first.all("article")), len(second.all("article"))) == (20, 3)
    assert not second.all("a", rel="next")


def test_search_that_finds_nothing_helps(client: FlaskClient) -> None:
    """Nothing found: other words, and eight categories to look into."""
    page = read(client.get("/?q=zzzz"))

    assert "Rien trouvé" in page.one("main")["text"]
    assert len([link for link in page.all("a") if "?category=" in link["href"]]) == 8


def test_search_keeps_a_wrong_filter(client: FlaskClient) -> None:
    """A quantity that is no number is said beside its field, which keeps it."""
    response = client.get("/?min_quantity=beaucoup")
    page = read(response)

    assert response.status_code == 422
    assert page.one("input", name="min_quantity")["value"] == "beaucoup"
    assert page.one(role="alert")["text"].strip().endswith("Il faut un nombre, par exemple 12 ou 2,5.")
    assert page.one("title")["text"].startswith("Erreur :")


@pytest.mark.parametrize("query", ["cursor=zzz", "q=%00%F0%9F%98%80", "place=no-such", "category=x", "q=" + "a" * 999])
def test_search_survives_junk(query: str, client: FlaskClient) -> None:
    """Junk gets a page, never a stack trace."""
    response = client.get(f"/?{query}")

    assert response.status_code in (200, 422)
    assert read(response).one("html")["lang"] == "fr"


def test_listing_says_what_one_needs(town: Town, client: FlaskClient) -> None:
    """Number, what is left, weight, CO2e as an estimate with its source, hours, phone, and the SMS that reserves it."""
    code = town.listing(
        mass_kg=2.5, dimensions={"length_mm": 2000}, hazards=[{"kind": "termites", "state": "tested_clear"}]
    )["code"]

    page = read(client.get(f"/l/{code}"))

    assert page.one(class_="num")["text"] == code
    said = re.sub(r"\s+", " ", page.one("main")["text"])
    for words in ("Reste 10 pièces", "2,5 kg / pièce", "tout le lot : 25 kg", "Au plus 5 kg évités", "une estimation",
                  "ICE v2.0", "longueur 2000 mm", "termites: testé", "lun-sam 9h-17h", "+596596500000",
                  f"R {code}"):  # fmt: skip
        assert words in said


def test_listing_all_reserved_or_gone(town: Town, client: FlaskClient) -> None:
    """Without anything left nothing can be reserved, and the page says why; while somebody holds it, one can wait."""
    listing = town.listing(quantity=2)
    made = town.reserve(town.person(), listing["code"], 2)

    reserved = read(client.get(f"/l/{listing['code']}"))
    from circular import reservations

    reservations.pick_up(town.staff, made["reference"], made["pickup_code"])
    gone = read(client.get(f"/l/{listing['code']}"))

    assert "Tout est réservé" in reserved.one("main")["text"]
    assert "Tout est parti" in gone.one("main")["text"]
    assert [form["action"] for form in reserved.all("form", method="post")] == [f"/l/{listing['code']}/wait"]
    assert not gone.all("form", method="post")


def test_machine_is_booked_for_a_time(town: Town, client: FlaskClient) -> None:
    """Its free slots are a form that reserves; the place's number is there too."""
    code = town.listing(kind="machine", title="Scie à ruban", category="machine", quantity=1)["code"]

    page = read(client.get(f"/l/{code}"))

    assert "contactez le lieu" in page.one("main")["text"]
    assert page.all("a", href="tel:+596596500000")
    slot, form = page.all("option")[0]["value"], page.one("input", name="form")["value"]
    taken = client.post(f"/l/{code}/reserve", data={"form": form, "slot": slot, "tel": "0696 00 00 02"})
    assert taken.status_code == 200
    again = client.post(f"/l/{code}/reserve", data={"form": form[::-1], "slot": slot, "tel": "0696 00 00 03"})
    assert again.status_code == 409
    assert "Ce créneau est pris" in read(again).one(role="alert")["text"]


def test_markup_in_a_title_is_text(town: Town, client: FlaskClient) -> None:
    """What people write is shown, never run."""
    code = town.listing(title="<script>alert(1)</script> & \"co\" 'x'", description="<b>gras</b>")["code"]

    for path in ("/", f"/l/{code}"):
        page = read(client.get(path))
        assert not page.all("script") and not page.all("b")
        assert "<script>alert(1)</script>" in page.one("main")["text"]
    assert not read(reserve(client, code)).all("script")


def _pages(town: Town, client: FlaskClient) -> dict[str, Page]:
    for number in range(20):
        code = town.listing(title=f"Planche de sapin raboté 200x20 n° {number}", mass_kg=2, price_cents=150)["code"]
    needs = [{"category": "bois-planche", "quantity": 3, "unit": "piece"}]
    project = projects.add(ADMIN, {"title": "Banc", "place": "la-sphere", "needs": needs})["code"]
    places.open_site(ADMIN, {"kind": "friche", "name": "Friche", "code": "friche", "available_from": "2099-01-01"})
    town.listing(title="Portail", site="friche")
    paths = ["/", "/s/friche", "/?q=planche", "/?q=zzzz", "/?min_quantity=x", f"/l/{code}", "/lieux", "/projets",
             f"/p/{project}", "/nowhere"]  # fmt: skip
    pages = {path: read(client.get(path)) for path in paths}
    return {**pages, "reserved": read(reserve(client, code)), "refused": read(reserve(client, code, tel="1"))}


def test_every_page_keeps_its_promises(town: Town, client: FlaskClient) -> None:
    """No script, no inline style but the hashed one, no other host, one h1, labelled fields, few bytes."""
    for path, page in _pages(town, client).items():
        assert not page.all("script"), path
        for element in page.elements:
            assert "style" not in element, path
            assert not [name for name in element if name.startswith("on")], path
            for name in ("href", "src", "action"):
                assert re.match(r"/(?!/)|#|tel:|sms:|$", element.get(name, "")), (path, element)
        assert "url(" not in page.one("style")["text"] and "@import" not in page.one("style")["text"]
        assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1, path
        identifiers = [element["id"] for element in page.elements if "id" in element]
        assert len(identifiers) == len(set(identifiers)), path
        for field in page.all("input") + page.all("select"):
            assert field.get("type") == "hidden" or page.all("label", for_=field["id"]), path
            for identifier in field.get("aria-describedby", "").split():
                assert identifier in identifiers, path
        assert len(gzip.compress(page.html.encode())) < WIRE / 2, path
        assert len(page.html.encode()) < 12_000, path


def test_policy_names_the_stylesheet(client: FlaskClient) -> None:
    """The Content-Security-Policy allows the inlined stylesheet by its hash, and nothing else."""
    response = client.get("/")
    style = read(response).one("style")["text"]

    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = response.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/v1/listings", "/api/v1/nowhere", "/healthz", "/sms/nowhere"])
def test_every_response_is_guarded(path: str, client: FlaskClient) -> None:
    """Pages, JSON, refusals; what is about links, scripts and windows on all but JSON, HSTS over TLS only."""
    plain, safe = client.get(path), client.get(path, base_url="https://localhost")

    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in plain.headers["Content-Security-Policy"]
    for name in ("Referrer-Policy", "Permissions-Policy", "Cross-Origin-Opener-Policy"):
        assert (name in plain.headers) is not plain.is_json
    assert "Strict-Transport-Security" not in plain.headers and "Strict-Transport-Security" in safe.headers


def test_documentation_keeps_its_own_policy(client: FlaskClient) -> None:
    """A response that says more about itself is not overruled."""
    docs = client.get("/api/v1/docs/").headers["Content-Security-Policy"]
    assert "script-src 'self'" in docs and "unsafe" not in docs


def test_language_by_address_then_choice_then_browser(client: FlaskClient) -> None:
    """`?lang=` wins and is kept; then what was kept; then Accept-Language; then the town's."""
    english = {"Accept-Language": "en-GB,en;q=0.9"}

    assert read(client.get("/")).one("html")["lang"] == "fr"
    assert read(client.get("/", headers=english)).one("html")["lang"] == "en"
    response = client.get("/?lang=es", headers=english)
    assert read(response).one("html")["lang"] == "es"
    assert re.search(r"lang=es;.*Max-Age=31536000;.*SameSite=Lax", response.headers["Set-Cookie"])
    assert read(client.get("/", headers=english)).one("html")["lang"] == "es"
    assert "Set-Cookie" not in client.get("/?lang=xx").headers


@pytest.mark.parametrize(
    ("language", "word"),
    [("fr", "Chercher"), ("gcf", "Chaché"), ("ht", "Chache"), ("en", "Search"), ("es", "Buscar"), ("pt", "Procurar")],
)
def test_search_in_six_languages(language: str, word: str, client: FlaskClient) -> None:
    """The button speaks the language, and every language has its link, marked as such."""
    page = read(client.get(f"/?lang={language}&q=bois"))

    assert page.all("button")[0]["text"] == word
    links = [link for link in page.all("a") if "hreflang" in link]
    assert [link["hreflang"] for link in links] == ["fr", "gcf", "ht", "en", "es", "pt"]
    assert all("q=bois" in link["href"] and link["lang"] == link["hreflang"] for link in links)


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nada", "No hay nada en esta dirección."), ("/l/41271", "No hay ningún anuncio"), ("/p/1", "No hay ningún proy"),
     ("/l/12345", "hay una cifra equivocada")],
)  # fmt: skip
def test_missing_pages_speak_the_language(path: str, words: str, client: FlaskClient) -> None:
    """A 404 is a page in the reader's language, with the sentence of the refusal and a way on."""
    response = client.get(path, headers={"Accept-Language": "es"})
    page = read(response)

    assert response.status_code == 404
    assert words in page.one("h1")["text"]
    assert page.all("input", name="q")


def test_wrong_method_is_told(client: FlaskClient) -> None:
    """A 405 names what would do."""
    response = client.post("/lieux")

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_what_breaks_is_a_page(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error shows a number to tell, and nothing of its cause."""

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("circular.queries.find", broken)
    response = client.get("/")

    assert response.status_code == 500
    assert "secret detail" not in response.text
    assert re.search(r"le numéro [0-9a-f]{8}", read(response).one("h1")["text"])


def test_places_and_projects(town: Town, client: FlaskClient) -> None:
    """Places with their hours; a project with what it needs, each need a way to the catalogue."""
    needs = [{"category": "bois-planche", "quantity": 3, "unit": "piece"}]
    code = projects.add(ADMIN, {"title": "Banc", "place": "la-sphere", "needs": needs, "duration_minutes": 90})["code"]

    assert "lun-sam 9h-17h" in read(client.get("/lieux")).one("main")["text"]
    assert read(client.get("/projets")).all("a", href=f"/p/{code}")
    page = read(client.get(f"/p/{code}"))
    assert "1,5 h" in page.one("main")["text"]
    assert page.one("a", href="/?category=bois-planche")["text"] == "Planche"


def test_health(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process answers even when the database does not; readiness needs both database and tables."""
    assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (200, 200)

    monkeypatch.setattr(db, "pending_migrations", lambda: ["0009_later"])
    assert client.get("/readyz").status_code == 503

    def down(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(db, "value", down)
    assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (200, 503)
