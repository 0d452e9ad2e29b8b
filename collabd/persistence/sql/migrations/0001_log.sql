-- Names are compared by code point, whatever the database's own collation is. Nothing refers to a document by
-- its name. `head` is the number of the last committed update; whoever commits takes the numbers from it under
-- the row's lock. `generation` counts what changed about rows that were there before: whoever reads on notices
-- by it. Room is left in each page so that a commit can write the row anew beside the old one.
CREATE TABLE documents (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    created_at float8 NOT NULL,
    updated_at float8 NOT NULL,
    deleted_at float8,
    head int8 NOT NULL DEFAULT 0,
    generation int8 NOT NULL DEFAULT 0,
    quarantine text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX live_documents ON documents (name) WHERE deleted_at IS NULL;
CREATE INDEX document_names ON documents (name, id);

-- One row holds what one flush of a room brought: `count` updates, the last of which has number `seq`. `batch`
-- is random; whoever does not know whether its commit arrived looks for it.
CREATE TABLE log (
    document int8 NOT NULL,
    seq int8 NOT NULL,
    count int8 NOT NULL,
    at float8 NOT NULL,
    authors bytea NOT NULL,
    payload bytea NOT NULL,
    checksum int8 NOT NULL,
    batch int8 NOT NULL,
    PRIMARY KEY (document, seq)
);

-- Where batches went that compaction took from the log soon after they were committed.
CREATE TABLE compacted_batches (
    batch int8 PRIMARY KEY,
    document int8 NOT NULL,
    seq int8 NOT NULL,
    at float8 NOT NULL
);
CREATE INDEX compacted_batch_times ON compacted_batches (at);

CREATE TABLE rejected (
    document int8 NOT NULL,
    seq int8 NOT NULL,
    PRIMARY KEY (document, seq)
);

-- `early` lists the updates up to `seq` that the state does not contain. `packed` is 1 if it is compressed.
CREATE TABLE snapshots (
    document int8 PRIMARY KEY,
    seq int8 NOT NULL,
    at float8 NOT NULL,
    early int8[] NOT NULL,
    packed int8 NOT NULL,
    state bytea NOT NULL,
    checksum int8 NOT NULL
);
ALTER TABLE snapshots ALTER COLUMN state SET STORAGE EXTERNAL;

-- Rows that compaction took from the log, packed; the last of them has number `seq`.
CREATE TABLE segments (
    document int8 NOT NULL,
    seq int8 NOT NULL,
    first int8 NOT NULL,
    rows int8 NOT NULL,
    meta bytea NOT NULL,
    payload bytea NOT NULL,
    checksum int8 NOT NULL,
    PRIMARY KEY (document, seq)
);
ALTER TABLE segments ALTER COLUMN meta SET STORAGE EXTERNAL;
ALTER TABLE segments ALTER COLUMN payload SET STORAGE EXTERNAL;

-- `connection` is random; who it was can be erased without touching what was written.
CREATE TABLE authors (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection int8 NOT NULL UNIQUE,
    principal text NOT NULL,
    name text NOT NULL,
    address text NOT NULL,
    last_at float8 NOT NULL
);
CREATE INDEX author_principals ON authors (principal);
CREATE INDEX author_times ON authors (last_at);

CREATE TABLE versions (
    document int8 NOT NULL,
    seq int8 NOT NULL,
    name text NOT NULL,
    at float8 NOT NULL,
    author int8 NOT NULL,
    PRIMARY KEY (document, seq)
);

-- What could not be read and was set aside, for somebody to look at: `stored` is the row as JSON, its bytes in
-- base64.
CREATE TABLE damaged (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document int8 NOT NULL,
    part text NOT NULL,
    seq int8 NOT NULL,
    set_aside_at float8 NOT NULL,
    stored json NOT NULL
);

-- The processes that use the database. Each holds the advisory lock of its row as long as it lives.
CREATE TABLE processes (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now()
);

-- `oldest_program` is the oldest schema a program must know to write here.
CREATE TABLE about (key text PRIMARY KEY, value int8 NOT NULL);
INSERT INTO about VALUES ('oldest_program', 1);
