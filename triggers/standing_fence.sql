-- Refuses every write for good, and asks no table of ours: it stands alone in a file that is of use no more, once its
-- application has moved. As in fence.sql, no conflict clause overrules ABORT, and no column is named.
CREATE TRIGGER $trigger BEFORE $event ON $table
BEGIN
    SELECT RAISE(ABORT, 'cdc: this database is read-only for good: its application has moved to Postgres');
END
