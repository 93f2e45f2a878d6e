-- After, not before as for the changelog: a row that a trigger of the application kept (RAISE(IGNORE)) lives. A row that
-- REPLACE removes fires this only under recursive_triggers; then unbury.sql takes it back for the row that is put in.
CREATE TRIGGER $trigger AFTER DELETE ON $table
BEGIN
    INSERT INTO _cdc_tombstone(name, at, $keys) VALUES ($name, julianday('now'), $old);
END
