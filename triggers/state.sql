-- One row: which file this is, which form of capture it carries, and whether writers are refused (the fence).
CREATE TABLE _cdc_state(id INTEGER PRIMARY KEY, source_id, format, fenced)
