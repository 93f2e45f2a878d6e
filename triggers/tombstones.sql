-- Keys of deleted rows that may not come back, where the operator wants them refused. As in changelog.sql nothing is typed
-- or constrained: the outer statement's OR IGNORE or OR REPLACE overrules the clause of a trigger's own INSERT.
CREATE TABLE _cdc_tombstone(name, at, $keys)
