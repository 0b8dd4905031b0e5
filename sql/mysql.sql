-- The tables of effect-session's SqlLayer for MySQL, as SqlLayer.migration() makes them. Moments are milliseconds since the
-- epoch; `fields` is a JSON object, in which each value is a string: the JSON text of a field. The second table says which
-- sessions an owner has.
CREATE TABLE IF NOT EXISTS `effect_sessions` (
  `key` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  superseded_until BIGINT,
  fields LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  INDEX `idx_effect_sessions_expires_at` (expires_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `owners_of_effect_sessions` (
  owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  entered_at BIGINT NOT NULL,
  `key` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (owner, entered_at, `key`),
  INDEX (expires_at)
) ENGINE = InnoDB;
