-- Where the stored value cannot be known before the write (a default that OR REPLACE puts in place of a NULL, in a key
-- or an indexed expression; a rowid not yet assigned), a key could be missed: a marker asks to read the whole table again.
CREATE TRIGGER $trigger BEFORE $event ON $table WHEN $unknown
BEGIN
    INSERT INTO _cdc_changelog(tid, op, at) VALUES ($tid, '*', julianday('now'));
END
