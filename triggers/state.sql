-- One row: which file this is, which form of capture it carries, until when writers are refused (fence.sql), and by how
-- many steps of SQLite's schema counter the fence's triggers came and went.
CREATE TABLE _cdc_state(id INTEGER PRIMARY KEY, source_id, format, fenced, fence_steps)
