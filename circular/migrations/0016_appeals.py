"""Appeals, closed days with other hours, and places in queues that are set aside.

Frozen: later changes are later files.
"""

TABLES = """
ALTER TABLE reservation ADD COLUMN appealed_at BIGINT;
ALTER TABLE closure ADD COLUMN hours TEXT NOT NULL DEFAULT '';
ALTER TABLE waiting ADD COLUMN suspended_at BIGINT;
CREATE INDEX closure_place ON closure (place_id, last_day);
CREATE INDEX reservation_appealed ON reservation (place_id) WHERE appealed_at IS NOT NULL AND forgiven_at IS NULL;
"""
# Closed days follow `;;` from now on (places.SINGLE_DAYS).
MARK = "UPDATE place SET closed = ';' || closed WHERE closed <> ''"


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
    db.execute_sql(MARK)
