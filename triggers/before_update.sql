-- Before, not after: an application trigger that does RAISE(FAIL) during a cascade keeps the change and skips AFTER
-- triggers. The new key is logged too when it differs. No column list: `UPDATE t SET rowid = 3` matches none.
CREATE TRIGGER $trigger BEFORE UPDATE ON $table
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) VALUES ($tid, 'U', julianday('now'), $old);
    INSERT INTO _cdc_changelog(tid, op, at, $keys)
    SELECT $tid, 'U', julianday('now'), $new WHERE $moved;
$lookups
END
