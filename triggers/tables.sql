-- What each table id in the changelog means: a table's name and the columns that identify its rows. An id is never
-- used again for anything else; a table whose key is defined anew gets a new id, and the newest id of a name counts.
CREATE TABLE _cdc_table(tid INTEGER PRIMARY KEY, name, kind, columns)
