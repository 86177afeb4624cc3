-- The engine's state: bodies are sealed (version, checksum), columns only what is searched by.
CREATE TABLE meta (
    name  TEXT    PRIMARY KEY,
    value TEXT    NOT NULL,
    crc   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    cursor       INTEGER NOT NULL,
    served_until INTEGER NOT NULL,
    crc          INTEGER NOT NULL
) STRICT;
-- Never without a row, so that a lost one is not taken for a beginning.
INSERT INTO position (one, cursor, served_until, crc) VALUES (1, 0, 0, 3971697493);

CREATE TABLE alerts (
    id       INTEGER PRIMARY KEY,
    incident INTEGER,
    active   INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX alerts_by_incident ON alerts (incident, active DESC, id) WHERE incident IS NOT NULL;

CREATE TABLE alert_texts (
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE incidents (
    id         INTEGER PRIMARY KEY,
    open       INTEGER NOT NULL,
    live       INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    body       BLOB    NOT NULL
) STRICT;
CREATE INDEX incidents_by_open ON incidents (open, id);
CREATE INDEX incidents_live ON incidents (id) WHERE live = 1;
CREATE INDEX incidents_over ON incidents (changed_at) WHERE live = 0;

CREATE TABLE cases (
    incident INTEGER NOT NULL,
    contract TEXT    NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (incident, contract)
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    id       INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL,
    tracker  TEXT    NOT NULL,
    work     INTEGER,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX tickets_by_incident ON tickets (incident, id);
CREATE INDEX tickets_by_work ON tickets (tracker, work, id) WHERE work IS NOT NULL;

CREATE TABLE timeline (
    n        INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX timeline_by_incident ON timeline (incident, n);

CREATE TABLE things (
    kind       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    value      BLOB    NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
