-- The table of effect-session's SqlLayer for PostgreSQL, as SqlLayer.migration() makes it. Moments are milliseconds since the
-- epoch; "fields" is a JSON object, in which each value is a string: the JSON text of a field, which JSONB would sort and
-- round.
CREATE TABLE IF NOT EXISTS "effect_sessions" (
  "key" TEXT PRIMARY KEY,
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  superseded_until BIGINT,
  fields JSONB NOT NULL
);

CREATE INDEX IF NOT EXISTS "idx_effect_sessions_expires_at" ON "effect_sessions" (expires_at);
