-- The record, version 1. Every table has an explicit integer key, so that row ids survive VACUUM (lists are arrays of
-- row ids) and full-text rows keep their owners. Text ids are hashes of meaning, made by the rooms above.

CREATE TABLE workflows (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, title TEXT NOT NULL, source TEXT,
    canonical TEXT NOT NULL, created REAL NOT NULL
);

CREATE TABLE scenarios (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workflow_id TEXT NOT NULL REFERENCES workflows (id),
    split TEXT NOT NULL, seed TEXT NOT NULL, data TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX scenarios_workflow ON scenarios (workflow_id, split);

CREATE TABLE dialogues (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workflow_id TEXT NOT NULL REFERENCES workflows (id),
    scenario_id TEXT NOT NULL REFERENCES scenarios (id), path TEXT NOT NULL, nodes TEXT NOT NULL, path_rank INTEGER,
    steps INTEGER NOT NULL, message_count INTEGER NOT NULL, terminal TEXT NOT NULL, writer TEXT NOT NULL,
    split TEXT NOT NULL, seed TEXT NOT NULL, rep INTEGER NOT NULL, deviations TEXT NOT NULL, checks TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ok', 'quarantined')), provenance TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX dialogues_workflow ON dialogues (workflow_id, split, status);
CREATE INDEX dialogues_scenario ON dialogues (scenario_id);

CREATE TABLE messages (
    rowid INTEGER PRIMARY KEY, owner_kind TEXT NOT NULL CHECK (owner_kind IN ('dialogue', 'conversation')),
    owner_id TEXT NOT NULL, idx INTEGER NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL, data TEXT NOT NULL,
    created REAL NOT NULL, UNIQUE (owner_kind, owner_id, idx)
);
CREATE VIRTUAL TABLE messages_fts USING fts5 (
    text, content = 'messages', content_rowid = 'rowid', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER messages_insert AFTER INSERT ON messages BEGIN
    INSERT INTO messages_fts (rowid, text) VALUES (new.rowid, new.text);
END;
CREATE TRIGGER messages_delete AFTER DELETE ON messages BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', old.rowid, old.text);
END;
CREATE TRIGGER messages_update AFTER UPDATE OF text ON messages BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', old.rowid, old.text);
    INSERT INTO messages_fts (rowid, text) VALUES (new.rowid, new.text);
END;
CREATE TRIGGER dialogues_delete AFTER DELETE ON dialogues BEGIN
    DELETE FROM messages WHERE owner_kind = 'dialogue' AND owner_id = old.id;
END;

CREATE TABLE reviews (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    dialogue_id TEXT NOT NULL REFERENCES dialogues (id) ON DELETE CASCADE, reviewer TEXT NOT NULL,
    decision TEXT NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX reviews_dialogue ON reviews (dialogue_id, created);

CREATE TABLE datasets (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    workflow_id TEXT NOT NULL REFERENCES workflows (id), manifest TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE dataset_items (
    dataset_id TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE, idx INTEGER NOT NULL,
    dialogue_id TEXT NOT NULL REFERENCES dialogues (id), split TEXT NOT NULL, PRIMARY KEY (dataset_id, dialogue_id)
) WITHOUT ROWID;
CREATE INDEX dataset_items_dialogue ON dataset_items (dialogue_id);

CREATE TABLE runs (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, job_id TEXT,
    dataset_id TEXT REFERENCES datasets (id), workflow_id TEXT REFERENCES workflows (id), recipe TEXT NOT NULL,
    status TEXT NOT NULL, summary TEXT NOT NULL, provenance TEXT NOT NULL, created REAL NOT NULL
);

CREATE TABLE comparisons (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workflow_id TEXT NOT NULL REFERENCES workflows (id),
    name TEXT NOT NULL, config TEXT NOT NULL, status TEXT NOT NULL, summary TEXT NOT NULL, created REAL NOT NULL
);

CREATE TABLE conversations (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, comparison_id TEXT REFERENCES comparisons (id) ON DELETE CASCADE,
    agent TEXT NOT NULL, condition TEXT NOT NULL, scenario_id TEXT REFERENCES scenarios (id),
    workflow_id TEXT NOT NULL REFERENCES workflows (id), rep INTEGER NOT NULL, seed TEXT NOT NULL, status TEXT NOT NULL,
    terminal TEXT, ended_by TEXT, totals TEXT NOT NULL, provenance TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX conversations_comparison ON conversations (comparison_id, condition);
CREATE TRIGGER conversations_delete AFTER DELETE ON conversations BEGIN
    DELETE FROM messages WHERE owner_kind = 'conversation' AND owner_id = old.id;
END;

CREATE TABLE verdicts (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, judge TEXT NOT NULL,
    criterion TEXT NOT NULL, score REAL, evidence TEXT NOT NULL, rubric_hash TEXT NOT NULL, rep INTEGER NOT NULL,
    provenance TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX verdicts_conversation ON verdicts (conversation_id, criterion);

CREATE TABLE measures (
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, name TEXT NOT NULL, value REAL,
    detail TEXT NOT NULL, PRIMARY KEY (conversation_id, name)
) WITHOUT ROWID;

CREATE TABLE calls (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, purpose TEXT NOT NULL, model TEXT NOT NULL,
    owner_kind TEXT NOT NULL, owner_id TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
    cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, cost REAL, latency REAL, ttft REAL, price_date TEXT,
    attempt INTEGER NOT NULL, error TEXT, created REAL NOT NULL
);
CREATE INDEX calls_owner ON calls (owner_kind, owner_id);
CREATE INDEX calls_created ON calls (created);

CREATE TABLE jobs (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, folder TEXT NOT NULL, title TEXT NOT NULL,
    created REAL NOT NULL
);
