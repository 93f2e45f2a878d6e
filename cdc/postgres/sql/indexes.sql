-- name: of_table
-- The indexes of a table, with what stands behind the table's name in their definition. What no constraint and no
-- uniqueness hangs on is optional.
SELECT i.relname::text AS name, NOT (x.indisunique OR x.indisexclusion) AS optional,
    substr(pg_catalog.pg_get_indexdef(x.indexrelid), length(format('CREATE %sINDEX %I ON %I.%I',
        CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname)) + 1) AS body
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = $2 AND t.relkind = 'r' AND x.indisvalid
ORDER BY i.relname
