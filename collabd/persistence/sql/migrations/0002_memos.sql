-- What is remembered of people and their credentials. Programs before this one know nothing of it, and need not.
CREATE TABLE memos (
    kind text NOT NULL,
    key text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    value text NOT NULL,
    expires_at float8 NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX memo_subjects ON memos (kind, subject);
CREATE INDEX memo_ends ON memos (expires_at);
