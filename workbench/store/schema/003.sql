-- Reviews are about dialogues and conversations alike. What follows from them (the newest decision of each reviewer, the
-- state of each subject) is kept by triggers, so that lists of any length can be filtered by it.

ALTER TABLE reviews RENAME TO reviews_before;

CREATE TABLE reviews (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    subject_kind TEXT NOT NULL CHECK (subject_kind IN ('dialogue', 'conversation')), subject_id TEXT NOT NULL,
    subject_hash TEXT NOT NULL, reviewer TEXT NOT NULL, decision TEXT NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL,
    copy_id TEXT, undoes TEXT, created REAL NOT NULL
);
CREATE INDEX reviews_subject ON reviews (subject_kind, subject_id, created);
CREATE INDEX reviews_reviewer ON reviews (reviewer, created);

CREATE TABLE votes (
    subject_kind TEXT NOT NULL, subject_id TEXT NOT NULL, reviewer TEXT NOT NULL, decision TEXT NOT NULL,
    created REAL NOT NULL, PRIMARY KEY (subject_kind, subject_id, reviewer)
) WITHOUT ROWID;
CREATE INDEX votes_reviewer ON votes (reviewer, subject_kind, decision);

CREATE TABLE review_states (
    subject_kind TEXT NOT NULL, subject_id TEXT NOT NULL, state TEXT NOT NULL, votes INTEGER NOT NULL,
    PRIMARY KEY (subject_kind, subject_id)
) WITHOUT ROWID;
CREATE INDEX review_states_state ON review_states (subject_kind, state);

CREATE TRIGGER reviews_subject_there BEFORE INSERT ON reviews WHEN NOT EXISTS (
    SELECT 1 FROM dialogues WHERE new.subject_kind = 'dialogue' AND id = new.subject_id
    UNION ALL SELECT 1 FROM conversations WHERE new.subject_kind = 'conversation' AND id = new.subject_id
) BEGIN
    SELECT RAISE(ABORT, 'a review needs its dialogue or conversation in the record');
END;

CREATE TRIGGER reviews_insert AFTER INSERT ON reviews BEGIN
    INSERT INTO votes (subject_kind, subject_id, reviewer, decision, created)
    VALUES (new.subject_kind, new.subject_id, new.reviewer, new.decision, new.created)
    ON CONFLICT (subject_kind, subject_id, reviewer) DO UPDATE SET decision = excluded.decision, created = excluded.created
    WHERE excluded.created >= votes.created;
    -- The decision of more than half of those who have one; "split" if there is none such.
    INSERT INTO review_states (subject_kind, subject_id, state, votes)
    SELECT new.subject_kind, new.subject_id, coalesce(
        (SELECT v.decision FROM votes v
         WHERE v.subject_kind = new.subject_kind AND v.subject_id = new.subject_id AND v.decision <> 'none'
         GROUP BY v.decision HAVING 2 * count(*) > n.n),
        CASE n.n WHEN 0 THEN 'none' ELSE 'split' END), n.n
    FROM (SELECT count(*) AS n FROM votes
          WHERE subject_kind = new.subject_kind AND subject_id = new.subject_id AND decision <> 'none') n
    WHERE true
    ON CONFLICT (subject_kind, subject_id) DO UPDATE SET state = excluded.state, votes = excluded.votes;
END;

INSERT INTO reviews (id, subject_kind, subject_id, subject_hash, reviewer, decision, tags, note, created)
SELECT id, 'dialogue', dialogue_id, '', reviewer, decision, tags, note, created FROM reviews_before ORDER BY created, rowid;
DROP TABLE reviews_before;

CREATE TRIGGER dialogues_delete_reviews AFTER DELETE ON dialogues BEGIN
    DELETE FROM reviews WHERE subject_kind = 'dialogue' AND subject_id = old.id;
    DELETE FROM votes WHERE subject_kind = 'dialogue' AND subject_id = old.id;
    DELETE FROM review_states WHERE subject_kind = 'dialogue' AND subject_id = old.id;
END;
CREATE TRIGGER conversations_delete_reviews AFTER DELETE ON conversations BEGIN
    DELETE FROM reviews WHERE subject_kind = 'conversation' AND subject_id = old.id;
    DELETE FROM votes WHERE subject_kind = 'conversation' AND subject_id = old.id;
    DELETE FROM review_states WHERE subject_kind = 'conversation' AND subject_id = old.id;
END;

-- A sampling plan is frozen when it is made; a lease says who is looking at an item, until when.
CREATE TABLE review_plans (
    rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, subject_kind TEXT NOT NULL,
    workflow_id TEXT NOT NULL REFERENCES workflows (id), about TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE review_plan_items (
    plan_id TEXT NOT NULL REFERENCES review_plans (id) ON DELETE CASCADE, idx INTEGER NOT NULL, subject_id TEXT NOT NULL,
    stratum TEXT NOT NULL, reviewers INTEGER NOT NULL, PRIMARY KEY (plan_id, idx)
) WITHOUT ROWID;
CREATE TABLE review_leases (
    subject_kind TEXT NOT NULL, subject_id TEXT NOT NULL, reviewer TEXT NOT NULL, plan_id TEXT NOT NULL,
    until REAL NOT NULL, PRIMARY KEY (subject_kind, subject_id, reviewer)
) WITHOUT ROWID;

CREATE INDEX scenarios_persona ON scenarios (json_extract(data, '$.persona'));
CREATE INDEX dialogues_path ON dialogues (workflow_id, path_rank);
