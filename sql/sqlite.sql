-- The table of effect-session's SqlLayer for SQLite, as SqlLayer.migration() makes it. Moments are milliseconds since the
-- epoch; "fields" is a JSON object, in which each value is a string: the JSON text of a field.
CREATE TABLE IF NOT EXISTS "effect_sessions" (
  "key" TEXT NOT NULL PRIMARY KEY,
  created_at INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  superseded_until INTEGER,
  fields TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS "idx_effect_sessions_expires_at" ON "effect_sessions" (expires_at);
