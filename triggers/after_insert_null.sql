-- SQLite lets a declared key be NULL, in any number of rows: then the rowid is logged, as the last of the key's columns.
CREATE TRIGGER $trigger AFTER INSERT ON $table WHEN $null
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) VALUES ($tid, 'I', julianday('now'), $new);
END
