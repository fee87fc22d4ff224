"""Files in: CSV and XLSX of listings, their rules, places, projects, sites, communes and categories.

Every row goes through its noun, which holds the rules. Good rows pass without the bad ones, and each bad one is named
by row, column, value and remedy; the same file twice changes nothing.
"""

from circular.imports.listings import import_listings
from circular.imports.others import (
    import_categories,
    import_communes,
    import_projects,
    import_rules,
    import_sites,
    seed,
)
from circular.imports.places import import_places
from circular.imports.report import Report, RowError, as_json
from circular.imports.tables import Table, read_table

__all__ = [
    "Report",
    "RowError",
    "Table",
    "as_json",
    "import_categories",
    "import_communes",
    "import_listings",
    "import_places",
    "import_projects",
    "import_rules",
    "import_sites",
    "read_table",
    "seed",
]
