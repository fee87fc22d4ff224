"""What a list of listings can be narrowed to, as links with counts; and what it was narrowed to, as links that undo it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from circular import i18n
from circular.facets import FREE, Count
from circular.rendering import label, money

MOST = 12  # choices of a facet
ASKED = ("kind", "category", "place", "commune", "condition", "free", "available", "min_quantity", "price_max_cents",
         "available_on", "near", "radius_km")  # fmt: skip


class Choice(NamedTuple):
    """A link of a list."""

    text: str
    tally: str
    href: str


def offered(
    asked: Mapping[str, str], counted: Mapping[str, list[Count]], categories: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, list[Choice]]]:
    """For each facet that parts what is found: its name, and its values with how many listings have them."""
    total = sum(one.number for one in counted.get("price", ()))
    lists = []
    for facet, counts in counted.items():
        name = {"price": "free"}.get(facet, facet)
        parting = [one for one in counts if one.more or one.number < total][:MOST]
        if parting and (facet == "category" or name not in asked):
            choices = []
            for one in parting:
                value = {"free": str(one.value == FREE).lower(), "available": "true"}.get(name, one.value)
                text = one.name or _text(name, value, categories)
                choices.append(
                    Choice(text, f"{one.number}+" if one.more else str(one.number), _link({**asked, name: value}))
                )
            lists.append((_legend(name), choices))
    return lists


def chosen(
    asked: Mapping[str, str], categories: Mapping[str, Mapping[str, Any]], places: Sequence[Mapping[str, Any]]
) -> list[Choice]:
    """What a list is narrowed to, each with the link that undoes it."""
    names = {place["code"]: place["name"] for place in places}
    return [
        Choice(
            names.get(value, value) if name == "place" else _text(name, value, categories), "",
            _link({other: said for other, said in asked.items() if other != name}),
        )
        for name, value in asked.items() if name in ASKED and (name != "radius_km" or "near" not in asked)
    ]  # fmt: skip


def _link(asked: Mapping[str, str]) -> str:
    return f"/?{urlencode(asked)}"


def _legend(name: str) -> str:
    return {
        "kind": i18n.gettext("Kind"), "category": i18n.gettext("Category"), "place": i18n.gettext("Place"),
        "commune": i18n.gettext("Commune"), "condition": i18n.gettext("Condition"), "free": i18n.gettext("Price"),
        "available": i18n.gettext("Availability"),
    }[name]  # fmt: skip


def _text(name: str, value: str, categories: Mapping[str, Mapping[str, Any]]) -> str:
    """A value as people say it; as it was typed when it is none."""
    if name in ("kind", "condition"):
        return i18n.pgettext(name, value)
    if name == "category":
        return label(categories[value]) if value in categories else value
    if name == "free":
        return i18n.gettext("Free") if value in ("true", "1", "yes") else i18n.gettext("With a price")
    if name == "available":
        return i18n.gettext("Can be reserved now")
    if name == "price_max_cents" and value.isdigit():
        return i18n.gettext("{amount} at most", amount=money(int(value), "EUR"))
    if name == "min_quantity":
        return i18n.gettext("{amount} at least", amount=value)
    return value
