-- The statements of the PostgreSQL store, by name. How they work together is told in postgres_*.py.

-- newest_under_names --
-- For each name the document that had it last, whether deleted or not.
SELECT DISTINCT ON (name) name, id, deleted_at IS NOT NULL AS deleted
FROM documents WHERE name = ANY($1::text[])
ORDER BY name, id DESC

-- create_documents --
-- Give names, in order, to new documents. Waits for whoever is doing the same; names that are taken by then are
-- left out.
INSERT INTO documents (name, created_at, updated_at)
SELECT name, $2, $2 FROM unnest($1::text[]) AS name ORDER BY name COLLATE "C"
ON CONFLICT (name) WHERE deleted_at IS NULL DO NOTHING
RETURNING name, id

-- remove_empty_documents --
-- Take back documents made in this transaction in which nothing was written after all.
DELETE FROM documents WHERE id = ANY($1::int8[]) AND head = 0

-- lock_documents --
-- Lock live documents, in the order that everybody keeps, and tell how far they are.
SELECT id, head FROM documents WHERE id = ANY($1::int8[]) AND deleted_at IS NULL ORDER BY id FOR UPDATE

-- lock_free_documents --
-- The same, but without those that somebody else has locked.
SELECT id, head FROM documents WHERE id = ANY($1::int8[]) AND deleted_at IS NULL ORDER BY id
FOR UPDATE SKIP LOCKED

-- live_documents --
-- Which of the documents are not deleted.
SELECT id FROM documents WHERE id = ANY($1::int8[]) AND deleted_at IS NULL

-- rejected_counts --
-- How many updates of each document were rejected.
SELECT document, count(*) AS count FROM rejected WHERE document = ANY($1::int8[]) GROUP BY document

-- find_batches --
-- Which of these batches were committed to these documents, or to any that had one of the names.
WITH candidates AS (
    SELECT id FROM documents WHERE id = ANY($2::int8[]) OR name = ANY($3::text[])
)
SELECT batch, document, seq FROM log
WHERE document IN (SELECT id FROM candidates) AND batch = ANY($1::int8[])
UNION ALL
SELECT batch, document, seq FROM compacted_batches
WHERE document IN (SELECT id FROM candidates) AND batch = ANY($1::int8[])

-- append --
-- Commit a group of batches: lock their documents in order, take numbers, write rows. `behind` is how many updates
-- of the same document follow in the group. Documents that were deleted are missing in the answer.
WITH batches AS (
    SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::bytea[], $5::bytea[], $6::int8[], $7::int8[])
        AS batches (document, count, behind, authors, payload, checksum, batch)
), due AS (
    SELECT document, sum(count)::int8 AS count FROM batches GROUP BY document
), locked AS MATERIALIZED (
    SELECT id FROM documents WHERE id = ANY($8::int8[]) AND deleted_at IS NULL ORDER BY id FOR UPDATE
), numbered AS (
    UPDATE documents d SET head = d.head + due.count, updated_at = greatest(d.updated_at, $9)
    FROM locked JOIN due ON due.document = locked.id
    WHERE d.id = locked.id
    RETURNING d.id, d.head, d.updated_at
), added AS (
    INSERT INTO log (document, seq, count, at, authors, payload, checksum, batch)
    SELECT b.document, n.head - b.behind, b.count, n.updated_at, b.authors, b.payload, b.checksum, b.batch
    FROM batches b JOIN numbered n ON n.id = b.document
)
SELECT id, head FROM numbered

-- save_authors --
-- Note who somebody is and that they still write, in the order that everybody keeps.
INSERT INTO authors (connection, principal, name, address, last_at)
SELECT connection, principal, name, address, $5
FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[]) AS given (connection, principal, name, address)
ORDER BY connection
ON CONFLICT (connection) DO UPDATE SET
    principal = excluded.principal, name = excluded.name, address = excluded.address,
    last_at = greatest(authors.last_at, excluded.last_at)
RETURNING connection, id

-- author_numbers --
-- The numbers that connections have.
SELECT connection, id FROM authors WHERE connection = ANY($1::int8[])

-- read_authors --
-- Who the authors with these numbers are.
SELECT id, connection, principal, name, address FROM authors WHERE id = ANY($1::int8[])

-- erase_authors --
-- Forget who connections were: those of a principal, those not heard of since a time, or for whom both hold.
WITH due AS (
    SELECT id FROM authors
    WHERE ($1::text IS NULL OR principal = $1) AND ($2::float8 IS NULL OR last_at < $2)
      AND (principal != '' OR name != '' OR address != '')
    ORDER BY connection FOR UPDATE
)
UPDATE authors SET principal = '', name = '', address = '' WHERE id IN (SELECT id FROM due)

-- find_document --
-- The document that had the name last.
SELECT id, name, created_at, updated_at, head, quarantine, deleted_at IS NOT NULL AS deleted
FROM documents WHERE name = $1 ORDER BY id DESC LIMIT 1

-- find_documents --
-- The live documents that have one of the names.
SELECT id, name, created_at, updated_at, head, quarantine FROM documents
WHERE deleted_at IS NULL AND name = ANY($1::text[])

-- list_documents --
-- Live documents from a name on, behind another, before a third.
SELECT id, name, created_at, updated_at, head, quarantine FROM documents
WHERE deleted_at IS NULL AND name >= $1 AND name > $2 AND ($3::text IS NULL OR name < $3)
ORDER BY name LIMIT $4

-- delete_document --
-- Leave a tombstone.
UPDATE documents SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id

-- quarantine_document --
-- Say why a document is not to be loaded.
UPDATE documents SET quarantine = $2 WHERE id = $1

-- reject_updates --
-- Mark updates as not applicable.
INSERT INTO rejected (document, seq) SELECT $1, seq FROM unnest($2::int8[]) AS seq ON CONFLICT DO NOTHING

-- read_rejected --
-- The updates that are not applicable.
SELECT seq FROM rejected WHERE document = $1

-- clear_rejected --
-- Forget rejected updates that history does not hold any more.
DELETE FROM rejected WHERE document = $1 AND seq <= $2

-- read_snapshot --
-- A document's snapshot.
SELECT seq, early, packed, state, checksum FROM snapshots WHERE document = $1

-- snapshot_seq --
-- The number of a document's snapshot.
SELECT seq FROM snapshots WHERE document = $1

-- save_snapshot --
-- Put a snapshot in the place of the one before.
INSERT INTO snapshots (document, seq, at, early, packed, state, checksum) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (document) DO UPDATE SET
    seq = excluded.seq, at = excluded.at, early = excluded.early,
    packed = excluded.packed, state = excluded.state, checksum = excluded.checksum

-- read_log --
-- Rows of a document's log above one number and up to another.
SELECT seq, count, at, authors, payload, checksum FROM log
WHERE document = $1 AND seq > $2 AND ($3::int8 IS NULL OR seq <= $3)
ORDER BY seq LIMIT $4

-- read_rows_with --
-- The rows of a document's log that hold these updates.
SELECT seq, count, at, authors, payload, checksum FROM log
WHERE document = $1 AND seq IN (
    SELECT (SELECT min(seq) FROM log WHERE document = $1 AND seq >= wanted)
    FROM unnest($2::int8[]) AS wanted
)
ORDER BY seq

-- any_in_log --
-- Whether the log has rows up to a number.
SELECT EXISTS (SELECT FROM log WHERE document = $1 AND seq <= $2)

-- stretches_of_log --
-- Which numbers the rows of a document's log take up.
SELECT seq - count + 1 AS first, seq FROM log WHERE document = $1 ORDER BY seq

-- take_from_log --
-- Remove rows from a document's log, and remember for a while which batches they were.
WITH gone AS (
    DELETE FROM log WHERE document = $1 AND seq = ANY($2::int8[]) RETURNING batch, seq, at
), remembered AS (
    INSERT INTO compacted_batches (batch, document, seq, at)
    SELECT batch, $1, seq, at FROM gone WHERE at > $3
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- compacted_at --
-- When documents were compacted last.
SELECT document, at FROM snapshots WHERE document = ANY($1::int8[])

-- forget_batches --
-- Forget which batches were compacted that were committed before a time.
DELETE FROM compacted_batches
WHERE batch IN (SELECT batch FROM compacted_batches WHERE at < $1 FOR UPDATE SKIP LOCKED)

-- read_parts --
-- First and last number of each segment of a document. They may overlap.
SELECT first, seq FROM segments WHERE document = $1 ORDER BY first

-- read_segments --
-- The segments that end with these numbers.
SELECT seq, meta, payload, checksum FROM segments WHERE document = $1 AND seq = ANY($2::int8[]) ORDER BY first

-- add_segment --
-- Add a segment to a document's history.
INSERT INTO segments (document, first, seq, rows, meta, payload, checksum) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- fill_gap --
-- The same, unless there is one that ends with the same number.
INSERT INTO segments (document, first, seq, rows, meta, payload, checksum) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING

-- remove_segments --
-- Remove the segments that end with these numbers.
DELETE FROM segments WHERE document = $1 AND seq = ANY($2::int8[])

-- drop_history --
-- Remove all of a document's segments.
DELETE FROM segments WHERE document = $1

-- drop_versions --
-- Remove all of a document's named versions.
DELETE FROM versions WHERE document = $1

-- read_versions --
-- A document's named versions.
SELECT seq, name, at, author FROM versions WHERE document = $1 ORDER BY seq

-- save_version --
-- Give the state after an update a name.
INSERT INTO versions (document, seq, name, at, author) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (document, seq) DO UPDATE SET name = excluded.name, at = excluded.at, author = excluded.author

-- remove_version --
-- Take it away again.
DELETE FROM versions WHERE document = $1 AND seq = $2

-- read_place --
-- What somebody who begins to read history must know.
SELECT d.generation, d.head, coalesce(s.seq, 0) AS snapshot_seq
FROM documents d LEFT JOIN snapshots s ON s.document = d.id WHERE d.id = $1

-- rows_changed --
-- Tell those who read a document's history that rows moved.
UPDATE documents SET generation = generation + 1 WHERE id = $1

-- keep_damaged_log --
-- Move a row of the log out of the way.
WITH gone AS (DELETE FROM log WHERE document = $1 AND seq = $2 RETURNING *)
INSERT INTO damaged (document, part, seq, set_aside_at, stored)
SELECT document, 'log', seq, $3, json_build_object(
    'count', count, 'at', at, 'authors', encode(authors, 'base64'), 'payload', encode(payload, 'base64'),
    'checksum', checksum, 'batch', batch
) FROM gone

-- keep_damaged_history --
-- Move a segment out of the way.
WITH gone AS (DELETE FROM segments WHERE document = $1 AND seq = $2 RETURNING *)
INSERT INTO damaged (document, part, seq, set_aside_at, stored)
SELECT document, 'history', seq, $3, json_build_object(
    'first', first, 'rows', rows, 'meta', encode(meta, 'base64'), 'payload', encode(payload, 'base64'),
    'checksum', checksum
) FROM gone

-- keep_damaged_snapshot --
-- Move a snapshot out of the way.
WITH gone AS (DELETE FROM snapshots WHERE document = $1 AND seq = $2 RETURNING *)
INSERT INTO damaged (document, part, seq, set_aside_at, stored)
SELECT document, 'snapshot', seq, $3, json_build_object(
    'at', at, 'early', early, 'packed', packed, 'state', encode(state, 'base64'), 'checksum', checksum
) FROM gone

-- can_commit --
-- Whether the server takes writes.
SELECT NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::bool

-- begin_process --
-- Make a row for this process.
INSERT INTO processes DEFAULT VALUES RETURNING id

-- hold_process --
-- Hold the lock of this process's row as long as the connection lives.
SELECT pg_advisory_lock($1, $2)

-- end_process --
-- Remove the row of a process that ends.
DELETE FROM processes WHERE id = $1

-- interrupted_processes --
-- Remove the rows of processes that do not hold their locks any more.
DELETE FROM processes WHERE pg_try_advisory_xact_lock($1, id) RETURNING id

-- schema_exists --
-- Whether there is a schema of this name.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)

-- tables_of_schema --
-- The tables that a schema has.
SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p')

-- oldest_program --
-- The oldest schema a program must know to write here.
SELECT value FROM about WHERE key = 'oldest_program'

-- applied_migrations --
-- The numbers of the migrations applied so far.
SELECT number FROM migrations ORDER BY number

-- record_migration --
-- Note that a migration was applied.
INSERT INTO migrations (number, name) VALUES ($1, $2)

-- lock_schema --
-- Let one program at a time look after the schema, until the transaction ends.
SELECT pg_advisory_xact_lock($1, $2)

-- dump_authors --
-- Authors, erased or not, by connection, behind one.
SELECT connection, principal, name, address, last_at FROM authors
WHERE connection > $1 ORDER BY connection LIMIT $2

-- dump_document --
-- The document with the lowest id above another, deleted or not.
SELECT id, name, created_at, deleted_at, quarantine FROM documents WHERE id > $1 ORDER BY id LIMIT 1

-- dump_damaged --
-- What was set aside of a document.
SELECT document, part, seq, set_aside_at, stored FROM damaged WHERE document = $1 ORDER BY id

-- dump_snapshot --
-- A document's snapshot, and when the last update it stands for was committed, or not much later.
SELECT s.seq, least(s.at, d.updated_at) AS at, s.early, s.packed, s.state, s.checksum
FROM snapshots s JOIN documents d ON d.id = s.document WHERE s.document = $1

-- take_in_author --
-- Put in an author of another store.
INSERT INTO authors (connection, principal, name, address, last_at) VALUES ($1, $2, $3, $4, $5)

-- take_in_document --
-- Put in a document of another store under its id.
INSERT INTO documents (id, name, created_at, updated_at, deleted_at, quarantine) OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $3, $4, $5)

-- continue_ids --
-- Let the ids of new documents be higher than those there are.
SELECT setval(pg_get_serial_sequence('documents', 'id'), (SELECT max(id) FROM documents))

-- take_in_damaged --
-- Put in what another store had set aside.
INSERT INTO damaged (document, part, seq, set_aside_at, stored) VALUES ($1, $2, $3, $4, $5)

-- take_in_row --
-- Put in a row of another store's log.
INSERT INTO log (document, seq, count, at, authors, payload, checksum, batch)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- document_reached --
-- Note how far a document is, at least, and when it changed.
UPDATE documents SET head = greatest(head, $2), updated_at = greatest(updated_at, $3) WHERE id = $1

-- put_memo --
-- Keep a memo; one that is there only if it may be replaced or has expired.
INSERT INTO memos AS kept (kind, key, subject, value, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind, key) DO UPDATE
SET subject = excluded.subject, value = excluded.value, expires_at = excluded.expires_at
WHERE NOT $6 OR kept.expires_at <= $7
RETURNING true

-- find_memo --
-- One memo, unless it has expired.
SELECT kind, key, subject, value, expires_at FROM memos WHERE kind = $1 AND key = $2 AND expires_at > $3

-- list_memos --
-- Memos of a kind, and of a subject if one is given, from a key on.
SELECT kind, key, subject, value, expires_at FROM memos
WHERE kind = $1 AND ($2::text IS NULL OR subject = $2) AND key > $3 AND expires_at > $4
ORDER BY key LIMIT $5

-- memos_about --
-- The memos of a kind that are about any of some subjects, by key.
SELECT kind, key, subject, value, expires_at FROM memos
WHERE kind = $1 AND subject = ANY($2) AND expires_at > $3 ORDER BY key

-- remove_memo --
-- Forget one memo.
DELETE FROM memos WHERE kind = $1 AND key = $2 RETURNING expires_at

-- remove_expired_memos --
-- Forget the memos that have expired.
DELETE FROM memos WHERE expires_at <= $1

-- dump_memos --
-- All memos, from a kind and key on.
SELECT kind, key, subject, value, expires_at FROM memos
WHERE (kind COLLATE "C", key) > ($1, $2) ORDER BY kind COLLATE "C", key LIMIT $3
