-- A row that REPLACE removes fires no delete trigger (unless the application sets recursive_triggers), so the rows that
-- would be in the way are looked up before the write, through each unique index and in that index's own collation.
    INSERT INTO _cdc_changelog(tid, op, at, $keys)
    SELECT $tid, 'R', julianday('now'), $found FROM $source WHERE $conflict;
