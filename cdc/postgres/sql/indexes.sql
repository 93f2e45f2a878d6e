-- name: optional
-- Indexes that no constraint and no uniqueness hangs on, with what stands behind the table's name in their definition.
SELECT i.relname::text AS name, substr(pg_catalog.pg_get_indexdef(x.indexrelid),
    length(format('CREATE INDEX %I ON %I.%I', i.relname, n.nspname, t.relname)) + 1) AS body
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = $2 AND t.relkind = 'r' AND NOT x.indisunique AND NOT x.indisexclusion AND x.indisvalid
ORDER BY i.relname
