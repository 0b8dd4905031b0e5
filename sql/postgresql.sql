-- The tables of effect-session's SqlLayer for PostgreSQL, as SqlLayer.migration() makes them. Moments are milliseconds since the
-- epoch; "fields" is a JSON object, in which each value is a string: the JSON text of a field, which JSONB would sort and
-- round. The second table says which sessions an owner has.
CREATE TABLE IF NOT EXISTS "effect_sessions" (
  "key" TEXT PRIMARY KEY,
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  superseded_until BIGINT,
  fields JSONB NOT NULL
);

CREATE INDEX IF NOT EXISTS "idx_effect_sessions_expires_at" ON "effect_sessions" (expires_at);

CREATE TABLE IF NOT EXISTS "owners_of_effect_sessions" (
  owner TEXT NOT NULL,
  entered_at BIGINT NOT NULL,
  "key" TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (owner, entered_at, "key")
);

CREATE INDEX IF NOT EXISTS "idx_owners_of_effect_sessions_expires_at" ON "owners_of_effect_sessions" (expires_at);
