"""Places from the national standard and from two real lists, with the dirt that they had.

The rows are facts from ANCT's lists of France services (2024) and conseillers numériques (2022), Licence Ouverte 2.0.
"""

from __future__ import annotations

import io
from typing import Any

import pytest

from circular import i18n, imports, places
from circular.errors import Refusal
from tests.imports.files import rows
from tests.town import Town

FRANCE_SERVICES = """\
id_fs,insee_dep,lib_fs,adresse,complement_adresse,insee_com,code_postal,lib_com,latitude,longitude,mail,telephone,h_lundi,h_mardi,h_mercredi,h_jeudi,h_vendredi,h_samedi,prise_rdv,commentaire
2113,972,France services du Lamentin - bourg,rue Ernest Maugée,Bourg,97213,97232,Le Lamentin,14.6153957601329,-61.00181504804,,05 96 52 73 85,08:30 - 13:00,08:00 - 13:00,08:00 - 13:00,08:00 - 13:00,08:00 - 13:00,,Non,Antenne à Pelletier
2857,972,France services de Fort-de-France - Dorothy,Residence Athena,Dillon,97209,97200,Fort-de-France,14.614905,-61.043371,,05 96 35 48 86,09:30 - 12:30 / 14:00 - 16:30,09:30 - 12:30 / 14:00 - 16:30,,09:00 - 12:00 / 14:00 - 16:00,09:30 - 13:00,09:00 - 13:00,Non,
9001,972,France services du Robert,Vert-Pré,,97231,97231,Le Robert,14.690769,-60.974478,,05 96,matin,18:00 - 08:00,,,,,Non,
"""  # noqa: E501
ADVISERS = """\
raison_sociale,type,siret,adresse,insee_com,commune_insee,code_postal,nb_cnfs,qpv,france_services,latitude,longitude,result_score,result_label
COMMUNE DU LAMENTIN,publique,21972213900017,PL ANTONIO MACEO | 97232 LE LAMENTIN,97213,Le Lamentin,97232,4,oui,non,14.6154,-61.003,0.84,Place Antonio Maceo 97232 Le Lamentin
0,publique,18973906400015,,,0,97234,3,,non,44.9687,4.691,0.48,Nas 07270 Saint-Barth<e9>lemy-Grozon
COMMUNE DE GROS-MORNE,publique,21972212100015,2 RUE SCHOELCHER | 97213 GROS-MORNE,97212,Gros-Morne,97213,2,,non,14.7102,-61.0048,0.96,2 Rue Schoelcher 97213 Gros-Morne
ECO MOBIL,privée,50936608400028,22 RUE SYBOSY | IMM LE HAVRE | 97233 SCHOELCHER,97229,Schœlcher,97232,1,,non,14.6156,-61.0889,0.63,22 Rue Sybosys 97233 Sch?lcher
COMMUNE DES TROIS-ILETS,publique,21972231100012,BOURG | 97229 LES TROIS-ILETS,97231,Les Trois-<ce>lets,97229,1,,non,14.5409,-61.0404,0.73,Les Trois-<ce>lets
COMMUNAUTE D AGGLOMERATION DU CENTRE DE LA MARTINIQUE,publique,24972006100103,PL FRANCOIS MITTERRAND | 97200 FORT-DE-FRANCE,97209,Fort-de-France,97200,2,oui,non,,,,
"""  # noqa: E501


def _mednum(**fields: Any) -> dict[str, Any]:
    """The row that the standard gives as its valid example, moved to Le Lamentin."""
    return {
        "id": "structure-1", "pivot": "43493312300029", "nom": "Anonymal", "commune": "Le Lamentin", "code_postal": "97232",
        "code_insee": "97213", "adresse": "12 BIS RUE DE LECLERCQ", "complement_adresse": "Le patio du bois de l'Aulne",
        "latitude": "14.6154", "longitude": "-61.003", "typologie": "TIERS_LIEUX|ASSO", "telephone": "+33180059880",
        "site_web": "https://www.laquincaillerie.tl/|https://m.facebook.com/laquincaillerienumerique/",
        "horaires": "Mo-Fr 09:00-12:00,14:00-18:30; Sa 08:30-12:00", "presentation_resume": "Une association.",
        "itinerance": "Itinérant", "date_maj": "2024-04-02",
        "services": "Maîtrise des outils numériques du quotidien|Loisirs et créations numériques",
        "publics_specifiquement_adresses": "Jeunes|Femmes", "frais_a_charge": "Gratuit sous condition|Payant",
        "prise_en_charge_specifique": "Surdité|Illettrisme|Langues étrangères (anglais)",
        "formations_labels": "Formé à « Mon Espace Santé »|Arnia/MedNum BFC (Bourgogne-Franche-Comté)",
        "autres_formations_labels": "Label et la bête", "modalites_acces": "Se présenter|Téléphoner",
        "modalites_accompagnement": "Dans un atelier collectif|À distance", **fields,
    }  # fmt: skip


def _wrong(report: imports.Report) -> list[tuple[int, str, str, str]]:
    return [(error.row, error.column, error.value, error.error.code) for error in report.errors]


def test_import_the_standards_own_example(town: Town) -> None:
    report = imports.import_places(rows(_mednum()))

    assert _wrong(report) == []
    found = places.get_place("structure-1")
    assert (found["name"], found["commune_name"], found["label"]) == ("Anonymal", "Le Lamentin", "Label et la bête")
    assert found["address"] == "12 BIS RUE DE LECLERCQ, Le patio du bois de l'Aulne"
    assert found["website"] == "https://www.laquincaillerie.tl/"
    assert found["services"] == ["Maîtrise des outils numériques du quotidien", "Loisirs et créations numériques"]
    assert imports.import_places(rows(_mednum())).unchanged == 1


def test_import_dry_run_writes_no_place(town: Town) -> None:
    report = imports.import_places(rows(_mednum()), dry_run=True)

    assert report.created == 1
    with pytest.raises(Refusal):
        places.get_place("structure-1")


@pytest.mark.parametrize(
    ("fields", "column", "code"),
    [
        ({"pivot": "12 34"}, "pivot", "pattern"),
        ({"telephone": "05 96 52 73 85"}, "telephone", "pattern"),
        ({"horaires": "tous les jours"}, "horaires", "opening_hours"),
        ({"services": "Jardinage"}, "services", "unknown_choice"),
        ({"frais_a_charge": "Gratuit|"}, "frais_a_charge", "unknown_choice"),
        ({"date_maj": "hier"}, "date_maj", "not_a_date"),
        ({"date_maj": ""}, "date_maj", "required"),
        ({"presentation_resume": "x" * 281}, "presentation_resume", "too_long"),
        ({"adresse": "Rue Ernest Maug<e9>e"}, "adresse", "mojibake"),
        ({"nom": "Sch?lcher"}, "nom", "mojibake"),
        ({"nom": "Maison de lâ€™Ã‰cole"}, "nom", "mojibake"),
        ({"latitude": "x"}, "latitude", "latitude"),
        ({"latitude": "43.52609", "longitude": "5.41423"}, "latitude", "far"),
        ({"code_insee": "51454"}, "code_insee", "unknown_commune"),
        ({"code_insee": "97232"}, "code_insee", "unknown_commune"),  # the postcode; as INSEE code it is Le Vauclin
        ({"code_insee": "97213", "code_postal": "97213"}, "code_postal", "unknown_choice"),  # Gros-Morne's
        ({"code_insee": "", "commune": "Reims"}, "commune", "unknown_commune"),
        ({"code_insee": "", "code_postal": "97200"}, "code_postal", "unknown_choice"),
    ],
)
def test_import_names_what_is_wrong_with_a_place(town: Town, fields: dict[str, str], column: str, code: str) -> None:
    good = _mednum(id="structure-2")

    report = imports.import_places(rows(_mednum(**fields), good))

    assert report.created == 1
    assert (2, column, fields[column][:200], code) in _wrong(report)
    assert {error.row for error in report.errors} == {2}


def test_import_says_that_a_postcode_is_no_insee_code(town: Town) -> None:
    report = imports.import_places(rows(_mednum(code_insee="97232")))

    with i18n.use("en"):
        answer = imports.as_json(report)["errors"]

    assert answer[0]["message"] == (
        "There is no commune Le Lamentin 97232: give the INSEE code (Le Lamentin is 97213), not the postcode."
    )


def test_import_finds_a_commune_by_name_and_postcode(town: Town) -> None:
    report = imports.import_places(rows(_mednum(code_insee="", commune="LAMENTIN")))

    assert _wrong(report) == []
    assert places.get_place("structure-1")["commune"] == "97213"


def test_import_makes_a_code_of_any_id(town: Town) -> None:
    """Long ids keep their beginning and a fingerprint; the same id gives the same code."""
    long_id = "Médiathèque intercommunale du Nord Caraïbe, annexe du bourg"

    imports.import_places(rows(_mednum(id="Structure_2 (bis)"), _mednum(id=long_id)))

    codes = [place["code"] for place in places.find_places()][2:]
    assert codes[0] == "structure-2-bis"
    assert codes[1].startswith("mediatheque-intercommunale-du-n") and len(codes[1]) <= 40
    assert imports.import_places(rows(_mednum(id=long_id))).unchanged == 1


def test_import_names_the_standards_missing_columns(town: Town) -> None:
    with pytest.raises(Refusal) as caught:
        imports.import_places(io.BytesIO(b"id,nom\n1,x\n"))

    assert caught.value.facts == {"columns": "pivot, commune, code_postal, adresse, date_maj"}


def test_import_france_services(town: Town) -> None:
    """Columns of hours become OSM's syntax, national phone numbers international ones."""
    report = imports.import_places(io.BytesIO(FRANCE_SERVICES.encode()))

    assert report.created == 2
    lamentin, dorothy = places.get_place("fs-2113"), places.get_place("fs-2857")
    assert (lamentin["phone"], lamentin["opening_hours"]) == ("+596596527385", "Mo 08:30-13:00; Tu-Fr 08:00-13:00")
    assert dorothy["opening_hours"] == (
        "Mo-Tu 09:30-12:30,14:00-16:30; Th 09:00-12:00,14:00-16:00; Fr 09:30-13:00; Sa 09:00-13:00"
    )
    assert sorted(_wrong(report)) == [
        (4, "h_lundi", "matin", "opening_hours"),
        (4, "h_mardi", "18:00 - 08:00", "opening_hours"),
        (4, "insee_com", "97231", "unknown_commune"),
        (4, "telephone", "05 96", "phone"),
    ]
    assert imports.import_places(io.BytesIO(FRANCE_SERVICES.encode())).unchanged == 2


def test_import_conseillers_numeriques(town: Town) -> None:
    """One row of the real list was geocoded in Ardèche, one has another commune's postcode, accents were lost."""
    report = imports.import_places(io.BytesIO(ADVISERS.encode("cp1252")))

    assert report.created == 3
    assert places.get_place("commune-du-lamentin")["address"] == "PL ANTONIO MACEO"
    assert places.get_place("commune-de-gros-morne")["commune"] == "97212"
    assert sorted(_wrong(report)) == [
        (3, "adresse", "", "required"),
        (3, "commune_insee", "0", "required"),
        (3, "insee_com", "", "required"),
        (3, "latitude", "44.9687", "far"),
        (3, "raison_sociale", "0", "required"),
        (5, "code_postal", "97232", "unknown_choice"),
        (6, "commune_insee", "Les Trois-<ce>lets", "mojibake"),
    ]
