-- The ledger remembers whose job a call belongs to and what it may have cost at most, so that a budget holds over kills
-- and resumes, and keeps the answer of a call until what it was made for is in the record, so that nothing is asked twice.

ALTER TABLE calls ADD COLUMN job TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN reserved REAL;
ALTER TABLE calls ADD COLUMN request TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN reply TEXT;
CREATE INDEX calls_job ON calls (job) WHERE job <> '';
CREATE INDEX calls_request ON calls (request) WHERE reply IS NOT NULL;
