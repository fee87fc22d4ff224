"""Places in the queue of a time that is taken: a session that is full, an hour of a machine.

Frozen: later changes are later files.
"""

TABLES = """
ALTER TABLE waiting ADD COLUMN starts_at BIGINT;
ALTER TABLE waiting ADD COLUMN ends_at BIGINT;
DROP INDEX waiting_once;
CREATE UNIQUE INDEX waiting_once ON waiting (person_id, listing_id, COALESCE(starts_at, 0), COALESCE(ends_at, 0))
WHERE state IN ('waiting', 'offered');
DROP INDEX waiting_one_offer;
CREATE UNIQUE INDEX waiting_one_offer ON waiting (listing_id, COALESCE(starts_at, 0)) WHERE state = 'offered';
CREATE INDEX waiting_next ON waiting (starts_at, id) WHERE starts_at IS NOT NULL AND state IN ('waiting', 'offered');
CREATE INDEX waiting_slot ON waiting (listing_id, starts_at) WHERE starts_at IS NOT NULL AND state IN ('waiting', 'offered');
"""


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
