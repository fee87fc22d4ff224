"""What a review asked for: sessions know the token that they came from, and no row tells a code that signs in,
alerts know with which words they were read.

Frozen: later changes are later files. Sessions and codes of before end here: staff sign in once more.
"""

TABLES = """
ALTER TABLE token ADD COLUMN parent_id BIGINT REFERENCES token (id);
UPDATE token SET revoked_at = created_at WHERE expires_at IS NOT NULL AND revoked_at IS NULL;
DELETE FROM sign_in;
ALTER TABLE sign_in RENAME COLUMN digest TO salt;
ALTER TABLE alert ADD COLUMN read_with BIGINT NOT NULL DEFAULT 0;
CREATE INDEX alert_read_with ON alert (read_with);
CREATE INDEX token_over ON token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX notice_told ON notice (told_at) WHERE told_at IS NOT NULL;
CREATE INDEX waiting_over ON waiting (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX delivery_receipt_kept ON delivery_receipt (received_at);
CREATE INDEX conversation_kept ON conversation (updated_at);
CREATE INDEX notice_sign_in ON notice (id) WHERE kind = 'sign_in' AND facts <> '{}';
"""


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
