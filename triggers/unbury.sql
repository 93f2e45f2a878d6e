-- A key that lives has no tombstone: SQLite chose the id itself, a row was replaced, or one was given another key. A
-- guard on a table of children asks for tombstones alone, because a trigger that names another table of the
-- application would fail while that one is built anew.
CREATE TRIGGER $trigger AFTER $event ON $table WHEN EXISTS (SELECT 1 FROM _cdc_tombstone WHERE name = $name AND $same)
BEGIN
    DELETE FROM _cdc_tombstone WHERE name = $name AND $same;
END
