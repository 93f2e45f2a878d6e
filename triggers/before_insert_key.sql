-- A declared key is logged before the row goes in: when an indexed column of another type refers to it, old versions
-- of SQLite turn the key into that type while they check foreign keys, so AFTER INSERT would see '010' as 10.
-- Rows that a REPLACE would remove are logged as well. Entries for rows that stay do no harm.
CREATE TRIGGER $trigger BEFORE INSERT ON $table
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) VALUES ($tid, 'I', julianday('now'), $new);
$lookups
END
