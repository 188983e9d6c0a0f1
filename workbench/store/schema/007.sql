-- How far a comparison is and what its scores add up to, kept by triggers: read at once, however many conversations it has.
CREATE TABLE held_counts (
    rowid INTEGER PRIMARY KEY, comparison_id TEXT NOT NULL, condition TEXT NOT NULL, agent TEXT NOT NULL,
    status TEXT NOT NULL, n INTEGER NOT NULL, UNIQUE (comparison_id, condition, agent, status)
);
CREATE TABLE score_sums (
    comparison_id TEXT NOT NULL, judge TEXT NOT NULL, criterion TEXT NOT NULL, condition TEXT NOT NULL,
    agent TEXT NOT NULL, n INTEGER NOT NULL, missing INTEGER NOT NULL, total REAL NOT NULL,
    PRIMARY KEY (comparison_id, judge, criterion, condition, agent)
) WITHOUT ROWID;
CREATE VIEW conversation_scores AS
    SELECT conversation_id, judge, criterion, score AS value FROM verdicts
    UNION ALL SELECT conversation_id, '', name, value FROM measures;

INSERT INTO held_counts (comparison_id, condition, agent, status, n)
SELECT comparison_id, condition, agent, status, count(*) FROM conversations
WHERE comparison_id IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY min(rowid);
INSERT INTO score_sums
SELECT c.comparison_id, s.judge, s.criterion, c.condition, c.agent, count(s.value), count(*) - count(s.value), total(s.value)
FROM conversation_scores s JOIN conversations c ON c.id = s.conversation_id
WHERE c.comparison_id IS NOT NULL GROUP BY 1, 2, 3, 4, 5;

-- What goes into this view is added (sign 1) to the sums of its conversation's comparison, or taken out of them (sign -1).
CREATE VIEW score_changes AS SELECT *, 1 AS sign FROM conversation_scores;
CREATE TRIGGER score_changes_insert INSTEAD OF INSERT ON score_changes BEGIN
    INSERT INTO score_sums
    SELECT comparison_id, new.judge, new.criterion, condition, agent, new.sign * (new.value IS NOT NULL),
           new.sign * (new.value IS NULL), new.sign * coalesce(new.value, 0.0)
    FROM conversations WHERE id = new.conversation_id AND comparison_id IS NOT NULL
    ON CONFLICT DO UPDATE SET n = n + excluded.n, missing = missing + excluded.missing, total = total + excluded.total;
END;
CREATE TRIGGER verdicts_insert AFTER INSERT ON verdicts BEGIN
    INSERT INTO score_changes VALUES (new.conversation_id, new.judge, new.criterion, new.score, 1);
END;
CREATE TRIGGER verdicts_update AFTER UPDATE OF conversation_id, judge, criterion, score ON verdicts BEGIN
    INSERT INTO score_changes VALUES (old.conversation_id, old.judge, old.criterion, old.score, -1);
    INSERT INTO score_changes VALUES (new.conversation_id, new.judge, new.criterion, new.score, 1);
END;
CREATE TRIGGER verdicts_delete AFTER DELETE ON verdicts BEGIN
    INSERT INTO score_changes VALUES (old.conversation_id, old.judge, old.criterion, old.score, -1);
END;
CREATE TRIGGER measures_insert AFTER INSERT ON measures BEGIN
    INSERT INTO score_changes VALUES (new.conversation_id, '', new.name, new.value, 1);
END;
CREATE TRIGGER measures_update AFTER UPDATE OF conversation_id, name, value ON measures BEGIN
    INSERT INTO score_changes VALUES (old.conversation_id, '', old.name, old.value, -1);
    INSERT INTO score_changes VALUES (new.conversation_id, '', new.name, new.value, 1);
END;
CREATE TRIGGER measures_delete AFTER DELETE ON measures BEGIN
    INSERT INTO score_changes VALUES (old.conversation_id, '', old.name, old.value, -1);
END;

-- The same for conversations. Their scores are taken out while the old row still stands, and added when the new one does.
CREATE VIEW held_changes AS SELECT comparison_id, condition, agent, status, 1 AS sign FROM conversations;
CREATE TRIGGER held_changes_insert INSTEAD OF INSERT ON held_changes WHEN new.comparison_id IS NOT NULL BEGIN
    INSERT INTO held_counts (comparison_id, condition, agent, status, n)
    VALUES (new.comparison_id, new.condition, new.agent, new.status, new.sign)
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
END;
CREATE TRIGGER conversations_insert AFTER INSERT ON conversations BEGIN
    INSERT INTO held_changes VALUES (new.comparison_id, new.condition, new.agent, new.status, 1);
END;
CREATE TRIGGER conversations_update AFTER UPDATE OF comparison_id, condition, agent, status ON conversations BEGIN
    INSERT INTO held_changes VALUES (old.comparison_id, old.condition, old.agent, old.status, -1);
    INSERT INTO held_changes VALUES (new.comparison_id, new.condition, new.agent, new.status, 1);
END;
CREATE TRIGGER conversations_leave BEFORE UPDATE OF comparison_id, condition, agent ON conversations
WHEN (old.comparison_id, old.condition, old.agent) IS NOT (new.comparison_id, new.condition, new.agent) BEGIN
    INSERT INTO score_changes SELECT *, -1 FROM conversation_scores WHERE conversation_id = old.id;
END;
CREATE TRIGGER conversations_enter AFTER UPDATE OF comparison_id, condition, agent ON conversations
WHEN (old.comparison_id, old.condition, old.agent) IS NOT (new.comparison_id, new.condition, new.agent) BEGIN
    INSERT INTO score_changes SELECT *, 1 FROM conversation_scores WHERE conversation_id = new.id;
END;
CREATE TRIGGER conversations_delete_sums BEFORE DELETE ON conversations BEGIN
    INSERT INTO score_changes SELECT *, -1 FROM conversation_scores WHERE conversation_id = old.id;
    INSERT INTO held_changes VALUES (old.comparison_id, old.condition, old.agent, old.status, -1);
END;

-- What was spent since a time, from the index alone.
DROP INDEX calls_created;
CREATE INDEX calls_created ON calls (created, cost);
