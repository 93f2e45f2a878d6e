-- A declared key is logged before the row goes in, see before_insert_key.sql. Where it has a NULL, the row is known by its
-- rowid, which is assigned later: then after_insert_null.sql logs it.
CREATE TRIGGER $trigger BEFORE INSERT ON $table
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at, $keys) SELECT $tid, 'I', julianday('now'), $new WHERE NOT ($null);
$lookups
END
