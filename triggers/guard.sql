-- Refuses a row that was deleted, and its children. No conflict clause of the outer statement overrules ABORT. Before the
-- row goes in, an id that SQLite is to choose is -1: such a row is a new one, whoever had that id before.
CREATE TRIGGER $trigger BEFORE INSERT ON $table WHEN $guarded
BEGIN
    SELECT RAISE(ABORT, 'cdc: a row of this key, or its parent, was deleted and is not taken in again: see `cdc tombstones`');
END
