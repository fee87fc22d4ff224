"""What a review asked for: sessions know the token that they came from. Frozen: later changes are later files.

Sessions of before know none, so they end here: staff sign in once more.
"""

TABLES = """
ALTER TABLE token ADD COLUMN parent_id BIGINT REFERENCES token (id);
UPDATE token SET revoked_at = created_at WHERE expires_at IS NOT NULL AND revoked_at IS NULL;
"""


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
