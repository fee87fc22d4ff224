"""What else people call a commune.

Frozen: later changes are later files.
"""


def up(migrator, db):
    db.execute_sql("ALTER TABLE commune ADD COLUMN also TEXT NOT NULL DEFAULT ''")
