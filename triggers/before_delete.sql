-- Before, not after, for the same reason as updates: a cascade that fails half way keeps the delete, not its AFTER trigger.
CREATE TRIGGER $trigger BEFORE DELETE ON $table
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) VALUES ($tid, 'D', julianday('now'), $old);
END
