-- The built-in desk: tickets, comments, history.
CREATE TABLE meta (
    name  TEXT    PRIMARY KEY,
    value TEXT    NOT NULL,
    crc   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    is_over     INTEGER NOT NULL,
    severity    INTEGER,
    queue       TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    requestor   TEXT    NOT NULL,
    merged_into INTEGER,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    crc         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tickets_by_key ON tickets (key) WHERE key <> '';
CREATE INDEX tickets_by_end ON tickets (is_over, number);

CREATE TABLE comments (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket INTEGER NOT NULL REFERENCES tickets (number),
    author TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    public INTEGER NOT NULL,
    text   TEXT    NOT NULL,
    marker TEXT    NOT NULL,
    crc    INTEGER NOT NULL
) STRICT;
CREATE INDEX comments_by_ticket ON comments (ticket, id);
CREATE UNIQUE INDEX comments_by_marker ON comments (ticket, marker) WHERE marker <> '';

CREATE TABLE changes (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket INTEGER NOT NULL REFERENCES tickets (number),
    author TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    what   TEXT    NOT NULL,
    crc    INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_ticket ON changes (ticket, id);
