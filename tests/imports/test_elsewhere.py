"""The standard's own example: a place of another department, of which this town knows no commune."""

from __future__ import annotations

import io

from circular import imports, places
from tests.town import Town

HEADER = "id,pivot,nom,commune,code_postal,code_insee,adresse,latitude,longitude,telephone,horaires,date_maj\n"
ROW = (
    "structure-1,43493312300029,Anonymal,Reims,51100,51454,12 BIS RUE DE LECLERCQ,43.52609,5.41423,+33180059880,"
    '"Mo-Fr 09:00-12:00,14:00-18:30; Sa 08:30-12:00",2024-04-02\n'
)


def test_a_place_elsewhere_is_taken_as_it_is(town: Town) -> None:
    """There is nothing to compare it with; its commune's name goes to the address."""
    report = imports.import_places(io.BytesIO((HEADER + ROW).encode()))

    assert (report.created, report.errors) == (1, [])
    place = places.get_place("structure-1")
    assert (place["commune"], place["address"]) == ("", "12 BIS RUE DE LECLERCQ, Reims")


def test_a_postcode_in_the_place_of_the_code(town: Town) -> None:
    """97232 is Le Lamentin's postcode and Le Vauclin's INSEE code."""
    row = ROW.replace("Reims,51100,51454", "Le Lamentin,97232,97232").replace("43.52609,5.41423", "14.61,-61.0")

    report = imports.import_places(io.BytesIO((HEADER + row).encode()))

    assert [(error.row, error.column) for error in report.errors] == [(2, "code_insee")]
