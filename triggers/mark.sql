-- One row whose rowid tells whether rows still have the rowids that were captured: VACUUM, and a dump that is read in
-- again, number the rows of every table without a key anew, and this one with them. It declares no key for that reason.
CREATE TABLE _cdc_mark(at)
