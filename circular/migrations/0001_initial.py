"""The first tables. Plain SQL that both engines read; {id} is each one's own way to number rows.

Frozen: later changes are later files. Quantities are thousandths, times milliseconds since 1970 UTC, masses grams.
"""

TABLES = """
CREATE TABLE person (id {id}, phone TEXT UNIQUE, name TEXT NOT NULL DEFAULT '', language TEXT, shown_language TEXT,
  opted_out_at BIGINT, created_at BIGINT NOT NULL);
CREATE TABLE token (id {id}, digest TEXT NOT NULL UNIQUE, person_id BIGINT NOT NULL REFERENCES person (id), role TEXT NOT NULL,
  place_id BIGINT, created_at BIGINT NOT NULL, revoked_at BIGINT);
CREATE TABLE tally (name TEXT NOT NULL, window_start BIGINT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (name, window_start));
CREATE TABLE repeat (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, answer TEXT NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE commune (insee TEXT PRIMARY KEY, name TEXT NOT NULL, postcodes TEXT NOT NULL, latitude DOUBLE PRECISION NOT NULL,
  longitude DOUBLE PRECISION NOT NULL, population INTEGER NOT NULL);
CREATE TABLE place (id {id}, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL, label TEXT NOT NULL DEFAULT '',
  typology TEXT NOT NULL DEFAULT '', address TEXT NOT NULL DEFAULT '', postcode TEXT NOT NULL DEFAULT '',
  commune TEXT NOT NULL DEFAULT '', latitude DOUBLE PRECISION, longitude DOUBLE PRECISION,
  opening_hours TEXT NOT NULL DEFAULT '', services TEXT NOT NULL DEFAULT '[]', phone TEXT NOT NULL DEFAULT '',
  website TEXT NOT NULL DEFAULT '', summary TEXT NOT NULL DEFAULT '', pivot TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 1, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
CREATE TABLE site (id {id}, code TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL, commune TEXT NOT NULL DEFAULT '',
  address TEXT NOT NULL DEFAULT '', latitude DOUBLE PRECISION, longitude DOUBLE PRECISION, starts_on TEXT, ends_on TEXT,
  owner TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '',
  place_id BIGINT REFERENCES place (id), revision INTEGER NOT NULL DEFAULT 1, created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL);
CREATE TABLE category (code TEXT PRIMARY KEY, parent TEXT NOT NULL DEFAULT '', unit TEXT NOT NULL, labels TEXT NOT NULL,
  unverified TEXT NOT NULL DEFAULT '', waste_code TEXT NOT NULL DEFAULT '', co2e_kg_per_kg DOUBLE PRECISION,
  co2e_source TEXT NOT NULL DEFAULT '', position INTEGER NOT NULL DEFAULT 0);
CREATE TABLE counter (name TEXT PRIMARY KEY, last BIGINT NOT NULL);
CREATE TABLE listing (id {id}, code TEXT NOT NULL UNIQUE, external_id TEXT, place_id BIGINT NOT NULL REFERENCES place (id),
  site_id BIGINT REFERENCES site (id), kind TEXT NOT NULL, title TEXT NOT NULL, description TEXT NOT NULL, category TEXT NOT NULL,
  condition TEXT NOT NULL, quantity BIGINT NOT NULL CHECK (quantity >= 0), imported_quantity BIGINT, unit TEXT NOT NULL,
  min_quantity BIGINT NOT NULL CHECK (min_quantity > 0), step_quantity BIGINT NOT NULL CHECK (step_quantity > 0),
  price_cents BIGINT NOT NULL CHECK (price_cents >= 0), currency TEXT NOT NULL, hazards TEXT NOT NULL, dimensions TEXT NOT NULL,
  mass_g BIGINT, latitude DOUBLE PRECISION, longitude DOUBLE PRECISION, available_from BIGINT, available_until BIGINT,
  opening_hours TEXT NOT NULL, lang TEXT NOT NULL, status TEXT NOT NULL, title_terms TEXT NOT NULL, terms TEXT NOT NULL,
  version BIGINT NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 1, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
CREATE UNIQUE INDEX listing_external ON listing (place_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX listing_published ON listing (id) WHERE status = 'published';
CREATE TABLE project (id {id}, code TEXT NOT NULL UNIQUE, external_id TEXT UNIQUE, title TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '', place_id BIGINT REFERENCES place (id), difficulty TEXT NOT NULL DEFAULT 'easy',
  duration_minutes INTEGER NOT NULL DEFAULT 0, lang TEXT NOT NULL DEFAULT 'fr', revision INTEGER NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
CREATE TABLE need (id {id}, project_id BIGINT NOT NULL REFERENCES project (id) ON DELETE CASCADE, category TEXT NOT NULL,
  quantity BIGINT NOT NULL CHECK (quantity > 0), unit TEXT NOT NULL, position INTEGER NOT NULL);
CREATE INDEX need_project ON need (project_id);
CREATE TABLE notice (id {id}, person_id BIGINT NOT NULL REFERENCES person (id), kind TEXT NOT NULL, facts TEXT NOT NULL,
  created_at BIGINT NOT NULL, told_at BIGINT);
CREATE INDEX notice_untold ON notice (id) WHERE told_at IS NULL;
CREATE TABLE reservation (id {id}, reference TEXT NOT NULL UNIQUE, person_id BIGINT NOT NULL REFERENCES person (id),
  listing_id BIGINT NOT NULL REFERENCES listing (id), place_id BIGINT NOT NULL REFERENCES place (id),
  quantity BIGINT NOT NULL CHECK (quantity > 0), picked_quantity BIGINT NOT NULL DEFAULT 0
  CHECK (picked_quantity >= 0 AND picked_quantity <= quantity), state TEXT NOT NULL, pickup_code TEXT NOT NULL,
  origin TEXT NOT NULL UNIQUE, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, ended_at BIGINT);
CREATE INDEX reservation_live_listing ON reservation (listing_id) WHERE state IN ('held', 'prepared');
CREATE INDEX reservation_live_code ON reservation (pickup_code, place_id) WHERE state IN ('held', 'prepared');
CREATE INDEX reservation_held ON reservation (expires_at) WHERE state = 'held';
CREATE INDEX reservation_person ON reservation (person_id, id);
CREATE INDEX reservation_place ON reservation (place_id, id);
CREATE TABLE reservation_event (id {id}, reservation_id BIGINT NOT NULL REFERENCES reservation (id), at BIGINT NOT NULL,
  verb TEXT NOT NULL, person_id BIGINT, role TEXT NOT NULL, door TEXT NOT NULL, facts TEXT NOT NULL DEFAULT '{empty}');
CREATE INDEX reservation_event_reservation ON reservation_event (reservation_id);
CREATE TABLE inbound_message (id {id}, gateway TEXT NOT NULL, external_id TEXT NOT NULL, sender TEXT NOT NULL,
  recipient TEXT NOT NULL, text TEXT NOT NULL, truncated INTEGER NOT NULL DEFAULT 0, sent_at BIGINT, received_at BIGINT NOT NULL,
  state TEXT NOT NULL DEFAULT 'received', reason TEXT NOT NULL DEFAULT '', person_id BIGINT, intent TEXT NOT NULL DEFAULT '',
  language TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at BIGINT NOT NULL DEFAULT 0,
  handled_at BIGINT, UNIQUE (gateway, external_id));
CREATE INDEX inbound_message_waiting ON inbound_message (sender, id) WHERE state = 'received';
CREATE INDEX inbound_message_queue ON inbound_message (id) WHERE state = 'received';
CREATE TABLE outbound_message (id {id}, person_id BIGINT NOT NULL REFERENCES person (id), recipient TEXT NOT NULL,
  text TEXT NOT NULL, kind TEXT NOT NULL, language TEXT NOT NULL, gateway TEXT, in_reply_to BIGINT UNIQUE, notice_id BIGINT UNIQUE,
  state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at BIGINT NOT NULL DEFAULT 0,
  claimed_by TEXT, provider_id TEXT, cost TEXT, reason TEXT NOT NULL DEFAULT '', created_at BIGINT NOT NULL, sent_at BIGINT);
CREATE INDEX outbound_message_waiting ON outbound_message (recipient, id) WHERE state IN ('queued', 'sending');
CREATE INDEX outbound_message_queue ON outbound_message (id) WHERE state IN ('queued', 'unknown');
CREATE INDEX outbound_message_sending ON outbound_message (claimed_by) WHERE state = 'sending';
CREATE INDEX outbound_message_provider ON outbound_message (provider_id);
CREATE INDEX outbound_message_person ON outbound_message (person_id, id);
CREATE TABLE delivery_receipt (id {id}, gateway TEXT NOT NULL, provider_id TEXT NOT NULL, status TEXT NOT NULL,
  provider_status TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', received_at BIGINT NOT NULL);
CREATE INDEX delivery_receipt_provider ON delivery_receipt (provider_id);
CREATE TABLE conversation (person_id BIGINT PRIMARY KEY REFERENCES person (id), shown TEXT NOT NULL, updated_at BIGINT NOT NULL);
"""


def up(migrator, db):
    sqlite = type(db).__name__.startswith("Sqlite")
    number = "INTEGER PRIMARY KEY AUTOINCREMENT" if sqlite else "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
    for statement in TABLES.format(id=number, empty="{}").split(";"):
        if statement.strip():
            db.execute_sql(statement)
