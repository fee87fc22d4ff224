"""Signing in at the desk: a code by SMS, then a token that ends by itself."""

TABLES = """
ALTER TABLE token ADD COLUMN expires_at BIGINT;
CREATE TABLE sign_in (person_id BIGINT PRIMARY KEY REFERENCES person (id), digest TEXT NOT NULL, tries INTEGER NOT NULL,
  expires_at BIGINT NOT NULL);
"""


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
