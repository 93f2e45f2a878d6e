-- A rowid is logged after the row went in: only now an omitted INTEGER PRIMARY KEY has its value (before, it is -1).
CREATE TRIGGER $trigger AFTER INSERT ON $table
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) VALUES ($tid, 'I', julianday('now'), $new);
END
