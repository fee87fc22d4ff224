"""The queue of texts by priority, what each costs, and the state of the gateways. Frozen: later changes are later files.

What waits in the queue is found by (priority, next_attempt_at, id) alone, so that 100,000 waiting alerts cost an answer
nothing. `good_until`: what a text says is untrue afterwards. `unknown_by`: the gateway that may have taken it; `resend_at`: when
any other may send it all the same.
"""

TABLES = """
ALTER TABLE outbound_message ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE outbound_message ADD COLUMN segments INTEGER NOT NULL DEFAULT 1;
ALTER TABLE outbound_message ADD COLUMN good_until BIGINT;
ALTER TABLE outbound_message ADD COLUMN unknown_by TEXT;
ALTER TABLE outbound_message ADD COLUMN resend_at BIGINT;
UPDATE outbound_message SET priority = CASE kind WHEN 'last' THEN 0 WHEN 'answer' THEN 1 ELSE 3 END
  WHERE state IN ('queued', 'sending', 'unknown');
UPDATE outbound_message SET unknown_by = '', resend_at = next_attempt_at WHERE state = 'unknown';
DROP INDEX outbound_message_waiting;
DROP INDEX outbound_message_queue;
CREATE INDEX outbound_message_queue ON outbound_message (priority, next_attempt_at, id) WHERE state IN ('queued', 'unknown');
CREATE INDEX outbound_message_line ON outbound_message (recipient, priority, id) WHERE state = 'queued';
CREATE INDEX outbound_message_in_hand ON outbound_message (recipient) WHERE state = 'sending';
CREATE TABLE gateway_state (name TEXT PRIMARY KEY, next_at BIGINT NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
  retry_at BIGINT NOT NULL DEFAULT 0, down_since BIGINT, last_ok_at BIGINT, last_failed_at BIGINT NOT NULL DEFAULT 0,
  last_reason TEXT NOT NULL DEFAULT '');
CREATE TABLE sms_day (day TEXT PRIMARY KEY, segments BIGINT NOT NULL DEFAULT 0, alarm INTEGER NOT NULL DEFAULT 0);
"""


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
