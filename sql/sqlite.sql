-- The tables of effect-session's SqlLayer for SQLite, as SqlLayer.migration() makes them. Moments are milliseconds since the
-- epoch; "fields" is a JSON object, in which each value is a string: the JSON text of a field. The second table says which
-- sessions an owner has.
CREATE TABLE IF NOT EXISTS "effect_sessions" (
  "key" TEXT NOT NULL PRIMARY KEY,
  created_at INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  superseded_until INTEGER,
  fields TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS "idx_effect_sessions_expires_at" ON "effect_sessions" (expires_at);

CREATE TABLE IF NOT EXISTS "owners_of_effect_sessions" (
  owner TEXT NOT NULL,
  entered_at INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (owner, entered_at, "key")
);

CREATE INDEX IF NOT EXISTS "idx_owners_of_effect_sessions_expires_at" ON "owners_of_effect_sessions" (expires_at);
