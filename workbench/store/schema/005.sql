-- A disagreement of reviewers is settled by a row of its own, which says who settled it and when; it counts before theirs.

ALTER TABLE reviews ADD COLUMN settles INTEGER NOT NULL DEFAULT 0;
CREATE INDEX reviews_settled ON reviews (subject_kind, subject_id, created) WHERE settles;
CREATE INDEX reviews_copies ON reviews (copy_id) WHERE copy_id IS NOT NULL;

CREATE INDEX dialogues_writer ON dialogues (writer);

DROP TRIGGER reviews_insert;
CREATE TRIGGER reviews_insert AFTER INSERT ON reviews BEGIN
    INSERT INTO votes (subject_kind, subject_id, reviewer, decision, created)
    SELECT new.subject_kind, new.subject_id, new.reviewer, new.decision, new.created WHERE NOT new.settles
    ON CONFLICT (subject_kind, subject_id, reviewer) DO UPDATE SET decision = excluded.decision, created = excluded.created
    WHERE excluded.created >= votes.created;
    -- What settles it, else the decision of more than half of those who have one, else "split".
    INSERT INTO review_states (subject_kind, subject_id, state, votes)
    SELECT new.subject_kind, new.subject_id, coalesce(
        (SELECT nullif(s.decision, 'none') FROM (
            SELECT decision FROM reviews
            WHERE settles AND subject_kind = new.subject_kind AND subject_id = new.subject_id
            ORDER BY created DESC, rowid DESC LIMIT 1) s),
        (SELECT v.decision FROM votes v
         WHERE v.subject_kind = new.subject_kind AND v.subject_id = new.subject_id AND v.decision <> 'none'
         GROUP BY v.decision HAVING 2 * count(*) > n.n),
        CASE n.n WHEN 0 THEN 'none' ELSE 'split' END), n.n
    FROM (SELECT count(*) AS n FROM votes
          WHERE subject_kind = new.subject_kind AND subject_id = new.subject_id AND decision <> 'none') n
    WHERE true
    ON CONFLICT (subject_kind, subject_id) DO UPDATE SET state = excluded.state, votes = excluded.votes;
END;
