-- Votes on conversations side by side, and names that people give to them. `job` is the live conversation's job.

CREATE TABLE chat_votes (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL,
    workflow_id TEXT NOT NULL REFERENCES workflows (id), agents TEXT NOT NULL, conversations TEXT NOT NULL,
    winner INTEGER, verdict TEXT NOT NULL CHECK (verdict IN ('win', 'tie', 'bad')), note TEXT NOT NULL,
    blind INTEGER NOT NULL, voter TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX chat_votes_workflow ON chat_votes (workflow_id, created);

CREATE TABLE chats (rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created REAL NOT NULL);
