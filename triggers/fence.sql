-- Refuses writes until the moment in `fenced`, a UTC text as CURRENT_TIMESTAMP gives it: so the fence lifts itself, whoever
-- died. 0 is before every such text, 'never' after it, and where the row is gone nobody is refused. CURRENT_TIMESTAMP,
-- because applications define a julianday() of their own. No conflict clause of the outer statement overrules ABORT, and
-- no column is named, so that no ALTER TABLE fails. REPLACE removes rows without a delete trigger, but not without this
-- one on INSERT or UPDATE.
CREATE TRIGGER $trigger BEFORE $event ON $table WHEN (SELECT fenced FROM _cdc_state WHERE id = 1) > CURRENT_TIMESTAMP
BEGIN
    SELECT RAISE(ABORT, 'cdc: this database is read-only now: its application moves to Postgres, see `cdc status`');
END
