-- Figures of large comparisons: scores are found without reading the evidence beside them.
DROP INDEX verdicts_conversation;
CREATE INDEX verdicts_conversation ON verdicts (conversation_id, criterion, judge, rubric_hash, score);
CREATE INDEX measures_value ON measures (conversation_id, name, value);
CREATE INDEX conversations_figure ON conversations (comparison_id, condition, status, scenario_id, id);
DROP INDEX conversations_comparison;
