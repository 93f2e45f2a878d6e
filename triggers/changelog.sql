-- Which row changed, never what it holds. No column is typed: a typed one would bend keys ('010' into 10, 2^53+1 into
-- a real). Nothing is NOT NULL, UNIQUE or CHECKed: the outer statement's OR IGNORE or OR REPLACE overrules the clause
-- of a trigger's own INSERT, so a constraint here would silently drop or replace entries. No AUTOINCREMENT: it writes
-- a second page in every commit of the application; seq stays monotone because the newest entry is never pruned.
CREATE TABLE _cdc_changelog(seq INTEGER PRIMARY KEY, tid, op, at, $keys)
