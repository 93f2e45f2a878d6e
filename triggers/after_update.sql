-- Only AFTER shows the key that was stored when OR REPLACE turned a NULL into the column's default.
CREATE TRIGGER $trigger AFTER UPDATE ON $table WHEN $moved
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) VALUES ($tid, 'U', julianday('now'), $new);
END
