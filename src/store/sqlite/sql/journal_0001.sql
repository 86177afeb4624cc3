-- The journal: inputs in order, their raw bytes, and marks that move with an append.
CREATE TABLE inputs (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    key_id  INTEGER NOT NULL,
    source  TEXT    NOT NULL,
    payload BLOB    NOT NULL,
    crc     INTEGER NOT NULL
) STRICT;

-- `keep`: 1 for what waits in quarantine, which is kept longer than the rest.
CREATE TABLE raw (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    keep   INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    body   BLOB    NOT NULL,
    crc    INTEGER NOT NULL
) STRICT;

CREATE TABLE marks (
    space TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    value BLOB    NOT NULL,
    crc   INTEGER NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT    PRIMARY KEY,
    value TEXT    NOT NULL,
    crc   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
