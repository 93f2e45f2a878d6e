-- name: relations
-- Everything in a schema whose name a new table or index could meet, with the table that an index belongs to and
-- the comment by which our own tables are known.
SELECT
    c.relname::text AS name,
    c.relkind IN ('r', 'p') AS is_table,
    t.relname::text AS owner_table,
    pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
WHERE n.nspname = $1;

-- name: constraints
-- ALTER TABLE has no ADD CONSTRAINT IF NOT EXISTS.
SELECT t.relname::text AS table_name, c.conname::text AS name
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1;

-- name: schema_exists
-- CREATE SCHEMA IF NOT EXISTS asks for the right to create schemas even where the schema is there.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1);
