"""Places from a file: the national standard of digital mediation places (mednum 1.0.2), and two lists of the State.

The dialect is known by its header. INSEE codes and postcodes look alike here (INSEE 97213 is Le Lamentin, postcode 97213
is Gros-Morne), so a commune must agree with its name, its postcode and its coordinates.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

from circular import places, settings
from circular.checks import Fields, read_number
from circular.errors import FieldErrors, Refusal
from circular.imports.damage import is_damaged, is_damaged_name
from circular.imports.loading import Cells, Identity, load
from circular.imports.report import Report
from circular.imports.tables import read_table

FAR_KM = 25  # from the commune's centroid: no commune of Martinique reaches farther
KM_A_DEGREE = 111.195
CODE_LIMIT = 40  # characters of a place's code
UNKNOWN_PIVOT = "00000000000000"  # the standard wants a SIRET: this one says that it is not known

REQUIRED = ("id", "pivot", "nom", "commune", "code_postal", "adresse", "date_maj")
COLUMNS = (
    "id", "pivot", "nom", "commune", "code_postal", "code_insee", "adresse", "complement_adresse", "latitude", "longitude",
    "typologie", "telephone", "courriels", "site_web", "horaires", "presentation_resume", "presentation_detail", "source",
    "itinerance", "structure_parente", "date_maj", "services", "publics_specifiquement_adresses",
    "prise_en_charge_specifique", "frais_a_charge", "dispositif_programmes_nationaux", "formations_labels",
    "autres_formations_labels", "modalites_acces", "modalites_accompagnement", "fiche_acces_libre", "prise_rdv",
)  # fmt: skip
RESUME_LIMIT = 280
PATTERNS = {
    "pivot": "[a-zA-Z0-9]{9,14}",
    "code_postal": "[0-9]{5}",
    "code_insee": "([013-9][0-9]|2[AB1-9])[0-9]{3}",
    "telephone": r"\+(33|590|594|262|596|269|687|689|508|681)[0-9]{6,9}",
}
# The words that the standard allows, joined by | in a cell.
CHOICES = {
    "itinerance": ("Itinérant", "Fixe"),
    "services": (
        "Aide aux démarches administratives", "Maîtrise des outils numériques du quotidien",
        "Insertion professionnelle via le numérique", "Utilisation sécurisée du numérique",
        "Parentalité et éducation avec le numérique", "Loisirs et créations numériques",
        "Compréhension du monde numérique", "Accès internet et matériel informatique",
        "Acquisition de matériel informatique à prix solidaire",
    ),
    "publics_specifiquement_adresses": ("Jeunes", "Étudiants", "Familles et/ou enfants", "Seniors", "Femmes"),
    "prise_en_charge_specifique": (
        "Surdité", "Handicaps moteurs", "Handicaps mentaux", "Illettrisme", "Langues étrangères (anglais)",
        "Langues étrangères (autres)", "Déficience visuelle",
    ),
    "frais_a_charge": ("Gratuit", "Gratuit sous condition", "Payant"),
    "dispositif_programmes_nationaux": (
        "Aidants Connect", "Bibliothèques numérique de référence", "Certification PIX", "Conseillers numériques",
        "Emmaüs Connect", "France Services", "Grande école du numérique", "La Croix Rouge",
        "Point d'accès numérique CAF", "Promeneurs du net", "Relais numérique (Emmaüs Connect)",
    ),
    "formations_labels": (
        "Formé à « Mon Espace Santé »", "Formé à « DUPLEX » (illettrisme)",
        "Arnia/MedNum BFC (Bourgogne-Franche-Comté)", "Collectif ressources et acteurs réemploi (Normandie)",
        "Étapes numériques(La Poste)", "Fabriques de Territoire", "Les Éclaireurs du numérique (Drôme)",
        "Mes Papiers (Métropole de Lyon)", "ORDI 3.0", "SUD LABS (PACA)",
    ),
    "modalites_acces": (
        "Se présenter", "Téléphoner", "Contacter par mail", "Prendre un RDV en ligne",
        "Ce lieu n'accueille pas de public", "Envoyer un mail avec une fiche de prescription",
    ),
    "modalites_accompagnement": ("En autonomie", "Accompagnement individuel", "Dans un atelier collectif", "À distance"),
}  # fmt: skip
NAMES = ("nom", "commune", "adresse", "complement_adresse", "lib_fs", "lib_com", "raison_sociale", "commune_insee")
DAYS = {
    "h_lundi": "Mo", "h_mardi": "Tu", "h_mercredi": "We", "h_jeudi": "Th", "h_vendredi": "Fr", "h_samedi": "Sa",
    "h_dimanche": "Su",
}  # fmt: skip
_SPAN = re.compile(r"([0-2]?[0-9])[:h]([0-5][0-9])\s*-\s*([0-2]?[0-9])[:h]([0-5][0-9])", re.IGNORECASE)


class Dialect(NamedTuple):
    """A kind of file. `columns` names its column of each of our fields; `read` makes the other fields of a place."""

    required: tuple[str, ...]
    known: tuple[str, ...] | None
    columns: Mapping[str, str]
    read: Callable[[Cells, FieldErrors], dict[str, Any]]
    prefix: str = ""  # of codes made from a bare number


def import_places(stream: IO[bytes], *, dry_run: bool = False) -> Report:
    """Add the places of a CSV or XLSX or bring them up to date: mednum 1.0.2, France services, conseillers numériques.

    Raises: Refusal("unreadable_file" | "missing_columns").
    """
    table = read_table(stream)
    dialect = next((each for each in (FRANCE_SERVICES, ADVISERS) if set(each.required) <= {*table.columns}), MEDNUM)
    missing = [name for name in dialect.required if name not in table.columns]
    if missing:
        raise Refusal("missing_columns", columns=", ".join(missing))
    return load(
        table,
        functools.partial(_put, dialect, {commune["insee"]: commune for commune in places.communes()}),
        lambda cells: _identity(dialect, cells),
        known=dialect.known,
        dry_run=dry_run,
    )


def _identity(dialect: Dialect, cells: Cells) -> Identity | None:
    column = dialect.columns["code"]
    return Identity(column, _code(dialect, cells)) if cells[column] else None


def _put(dialect: Dialect, communes: Mapping[str, dict[str, Any]], cells: Cells) -> str:
    """One row: everything that is wrong with it at once. Raises: Refusal("invalid") by the file's columns."""
    cells = {column: cells.get(column, "") for column in {*COLUMNS, *cells}}
    columns = dialect.columns
    errors = FieldErrors()
    for column in dialect.known or columns.values():
        if (is_damaged_name if column in NAMES else is_damaged)(cells[column]):
            errors.add(column, "mojibake")
    values = {field: cells[column] for field, column in columns.items() if field not in ("code", "commune_name")}
    values |= dialect.read(cells, errors)
    if _elsewhere(columns, communes, cells):
        values["commune"] = ""
        values["address"] = ", ".join(filter(None, (values["address"], cells[columns["commune_name"]])))
    else:
        values["commune"] = _commune(columns, communes, cells, errors)
    code = _code(dialect, cells)
    if not cells[columns["code"]]:
        errors.add(columns["code"], "required")
    elif not places.CODE.fullmatch(code):
        errors.add(columns["code"], "pattern", pattern=places.CODE.pattern)
    try:
        places.check_place(values)
    except Refusal as refusal:
        found: Any = refusal.facts["errors"]
        for field, error in found.items():
            errors.setdefault(columns.get(field, field), error)
    errors.refuse()
    return places.put_place(code, values)


def _code(dialect: Dialect, cells: Cells) -> str:
    """A code that can be typed. What is too long keeps its beginning and a fingerprint: the same in every import."""
    text = cells[dialect.columns["code"]]
    code = dialect.prefix + places.slug(text)
    if len(code) <= CODE_LIMIT:
        return code
    return f"{code[: CODE_LIMIT - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


# --- where ------------------------------------------------------------------------------------------------------------
def _elsewhere(columns: Mapping[str, str], communes: Mapping[str, dict[str, Any]], cells: Cells) -> bool:
    """A place in a department of which this town knows no commune: nothing to compare it with, so it is taken as it is."""
    departments = {insee[:3] for insee in communes}
    codes = [code for code in (cells[columns["commune"]], cells[columns["postcode"]]) if code]
    return bool(codes) and not any(code[:3] in departments for code in codes)


def _commune(
    columns: Mapping[str, str], communes: Mapping[str, dict[str, Any]], cells: Cells, errors: FieldErrors
) -> str:
    """The INSEE code of a row's commune, or "" with what is wrong noted: code, name, postcode and point must agree."""
    insee, name = cells[columns["commune"]], cells[columns["commune_name"]]
    postcode = cells[columns["postcode"]]
    named = places.find_commune(name) if name else None
    found = communes.get(insee or named or "")
    if insee and found is None:
        errors.add(columns["commune"], "unknown_commune", value=insee)
    elif insee and named is not None and named != insee:
        # Most often a postcode in the place of the code: no commune has both this name and this code.
        errors.add(columns["commune"], "unknown_commune", value=f"{name} {insee}")
        found = None
    elif found is None and name:
        errors.add(columns["commune_name"], "unknown_commune", value=name)
    elif found is not None and postcode and postcode not in found["postcodes"]:
        errors.add(columns["postcode"], "unknown_choice", choices=", ".join(found["postcodes"]))
    near = found or next((each for each in communes.values() if postcode in each["postcodes"]), None)
    if near is not None and (_distance_km(cells, columns, near) or 0) > FAR_KM:
        errors.add(columns["lat"], "far", commune=near["name"])
    return str(found["insee"]) if found else ""


def _distance_km(cells: Cells, columns: Mapping[str, str], commune: Mapping[str, Any]) -> float | None:
    """From a row's coordinates to the commune's centroid; equirectangular, right to 1 % where it matters."""
    latitude, longitude = read_number(cells[columns["lat"]]), read_number(cells[columns["lon"]])
    if latitude is None or longitude is None:
        return None
    north = float(latitude) - commune["latitude"]
    east = (float(longitude) - commune["longitude"]) * math.cos(math.radians(commune["latitude"]))
    return math.hypot(north, east) * KM_A_DEGREE


# --- mednum -----------------------------------------------------------------------------------------------------------
def _read_mednum(cells: Cells, errors: FieldErrors) -> dict[str, Any]:
    for column in REQUIRED:
        if not cells[column]:
            errors.add(column, "required")
    for column, pattern in PATTERNS.items():
        if cells[column] and not re.fullmatch(pattern, cells[column]):
            errors.add(column, "pattern", pattern=pattern)
    for column, choices in CHOICES.items():
        if cells[column] and not {*_several(cells[column])} <= {*choices}:
            errors.add(column, "unknown_choice", choices=" | ".join(choices))
    if len(cells["presentation_resume"]) > RESUME_LIMIT:
        errors.add("presentation_resume", "too_long", limit=RESUME_LIMIT)
    updated = Fields({"date_maj": cells["date_maj"]})
    updated.day("date_maj")
    for column, error in updated.errors.items():
        errors.setdefault(column, error)
    return {
        "pivot": "" if cells["pivot"] == UNKNOWN_PIVOT else cells["pivot"],
        "address": ", ".join(filter(None, (cells["adresse"], cells["complement_adresse"]))),
        "website": _several(cells["site_web"])[0],
        "services": _several(cells["services"]) if cells["services"] else [],
    }


def _several(cell: str) -> list[str]:
    return [part.strip() for part in cell.split("|")]


MEDNUM = Dialect(
    REQUIRED,
    COLUMNS,
    {
        "code": "id", "name": "nom", "commune": "code_insee", "commune_name": "commune", "postcode": "code_postal",
        "address": "adresse", "lat": "latitude", "lon": "longitude", "typology": "typologie", "phone": "telephone",
        "website": "site_web", "opening_hours": "horaires", "summary": "presentation_resume", "source": "source",
        "label": "autres_formations_labels", "pivot": "pivot", "services": "services",
    },
    _read_mednum,
)  # fmt: skip


# --- France services --------------------------------------------------------------------------------------------------
def _read_france_services(cells: Cells, errors: FieldErrors) -> dict[str, Any]:
    return {
        "address": ", ".join(filter(None, (cells["adresse"], cells.get("complement_adresse", "")))),
        "phone": _phone(cells.get("telephone", ""), errors),
        "opening_hours": _hours(cells, errors),
        "summary": cells.get("commentaire", ""),
        "label": "France services",
        "typology": "RFS",
        "services": ["Aide aux démarches administratives"],
        "source": "ANCT, France services",
    }


def _phone(text: str, errors: FieldErrors) -> str:
    """`05 96 52 73 85` -> `+596596527385`: read as a number of here first, then of where people come from."""
    if not text:
        return ""
    import phonenumbers

    for region in settings.get().phone_regions:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            break
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    errors.add("telephone", "phone")
    return ""


def _hours(cells: Cells, errors: FieldErrors) -> str:
    """A column for each day -> OSM's `Mo 08:30-13:00; Tu-Fr 08:00-13:00`, days alike side by side together."""
    groups: list[list[str]] = []  # [first day, last day, hours]
    previous = ""
    for column, day in DAYS.items():
        spans = _spans(cells.get(column, ""))
        if spans is None:
            errors.add(column, "opening_hours")
            continue
        if spans and groups and groups[-1][1] == previous and groups[-1][2] == spans:
            groups[-1][1] = day
        elif spans:
            groups.append([day, day, spans])
        previous = day
    return "; ".join(f"{first if first == last else f'{first}-{last}'} {spans}" for first, last, spans in groups)


def _spans(cell: str) -> str | None:
    """`08:00 - 13:00 / 14:00 - 17:00` -> `08:00-13:00,14:00-17:00`; None when it says anything else."""
    spans = []
    for part in filter(None, cell.split("/")):
        found = _SPAN.fullmatch(part.strip())
        if found is None:
            return None
        opens, closes = f"{found[1]:0>2}:{found[2]}", f"{found[3]:0>2}:{found[4]}"
        if not opens < closes <= "24:00":
            return None
        spans.append(f"{opens}-{closes}")
    return ",".join(spans)


FRANCE_SERVICES = Dialect(
    ("id_fs", "lib_fs", "adresse", "insee_com", "code_postal", "lib_com", "latitude", "longitude"),
    None,
    {
        "code": "id_fs", "name": "lib_fs", "commune": "insee_com", "commune_name": "lib_com", "postcode": "code_postal",
        "address": "adresse", "lat": "latitude", "lon": "longitude",
    },
    _read_france_services,
    prefix="fs-",
)  # fmt: skip


# --- conseillers numériques -------------------------------------------------------------------------------------------
def _read_advisers(cells: Cells, errors: FieldErrors) -> dict[str, Any]:
    for column in ("raison_sociale", "adresse", "insee_com", "commune_insee"):
        if cells[column] in ("", "0"):  # the file's zeros stand for nothing
            errors.add(column, "required")
    if not re.fullmatch(PATTERNS["pivot"], cells["siret"]):
        errors.add("siret", "pattern", pattern=PATTERNS["pivot"])
    lines = _several(cells["adresse"])
    if re.match(f"{re.escape(cells['code_postal'])} ", lines[-1]):  # the last line repeats postcode and commune
        del lines[-1]
    return {
        "address": ", ".join(lines),
        "label": "Conseillers numériques",
        "services": ["Maîtrise des outils numériques du quotidien"],
        "source": "ANCT, conseillers numériques",
    }


ADVISERS = Dialect(
    ("raison_sociale", "siret", "adresse", "insee_com", "commune_insee", "code_postal", "latitude", "longitude"),
    None,
    {
        "code": "raison_sociale", "name": "raison_sociale", "commune": "insee_com", "commune_name": "commune_insee",
        "postcode": "code_postal", "address": "adresse", "lat": "latitude", "lon": "longitude", "pivot": "siret",
    },
    _read_advisers,
)  # fmt: skip
