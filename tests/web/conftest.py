"""Reading pages as a browser would, without one."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from circular import settings


class Page(HTMLParser):
    """A parsed page: every element with its attributes and the text inside it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[dict[str, Any]] = []
        self.open: list[dict[str, Any]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = {"tag": tag, "text": "", **{name: value or "" for name, value in attrs}}
        self.elements.append(element)
        if tag not in ("meta", "link", "input", "br", "option"):
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1]["tag"] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element["text"] += data

    def all(self, tag: str = "", **attributes: str) -> list[dict[str, Any]]:
        """Elements of a tag whose attributes hold these values."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if (not tag or element["tag"] == tag)
            and all(value in element.get(name, "").split(" ") for name, value in wanted.items())
        ]

    def one(self, tag: str = "", **attributes: str) -> dict[str, Any]:
        found = self.all(tag, **attributes)
        assert len(found) == 1, (tag, attributes, len(found))
        return found[0]


def read(response: TestResponse) -> Page:
    """The page of a response."""
    assert response.mimetype == "text/html", response.mimetype
    return Page(response.text)


def reserve(client: FlaskClient, code: str, **changes: Any) -> TestResponse:
    """Fill the form of a listing in and send it, as a browser that names no origin; `headers` are added."""
    headers = changes.pop("headers", {})
    form = read(client.get(f"/l/{code}")).one("input", name="form")["value"]
    fields = {"form": form, "quantity": "3", "tel": "0696 00 00 01", **changes}
    return client.post(f"/l/{code}/reserve", data=fields, headers=headers)


@pytest.fixture
def production(client: FlaskClient) -> FlaskClient:
    """The same site, no longer a demonstration."""
    settings.use(dataclasses.replace(settings.get(), mode="production"))
    return client
