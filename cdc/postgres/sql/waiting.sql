-- What tables are like: `types` are their columns with types, `shape` also what is demanded of rows. Both are empty where
-- there is no such table.
-- name: shapes
SELECT t.name, coalesce(types, '') AS types,
    coalesce(types || demands || coalesce(keys, '') || guards, '') AS shape
FROM unnest($2::text[]) AS t (name)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
    ON n.nspname = $1 AND c.relname = t.name AND c.relkind IN ('r', 'p')
LEFT JOIN LATERAL (
    SELECT md5(string_agg(format('%s %s %s', a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attname)) AS types,
        md5(string_agg(format('%s%s%s', a.attnotnull, a.attgenerated, a.atthasdef), ',' ORDER BY a.attname)) AS demands
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS of_columns ON true
LEFT JOIN LATERAL (
    -- Not pg_get_indexdef, which waits for a lock of others on the table.
    SELECT md5(string_agg(format('%s %s %s %s', x.indkey, x.indimmediate, x.indpred, x.indexprs), ','
        ORDER BY x.indexrelid)) AS keys
    FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid
) AS of_keys ON true
LEFT JOIN LATERAL (
    SELECT concat(nullif(row_security_active(c.oid), false), string_agg(w.rulename, ',' ORDER BY w.rulename)) AS guards
    FROM pg_rewrite w WHERE w.ev_class = c.oid
) AS of_guards ON true

-- name: read
SELECT source_table, target, types, shape, reason, remedy FROM cdc.target_table WHERE source_id = $1

-- name: waiting
SELECT source_table, target, reason, remedy, shape,
    (SELECT target_schema FROM cdc.stream AS s WHERE s.source_id = $1) AS schema
FROM cdc.target_table WHERE source_id = $1 AND reason IS NOT NULL ORDER BY source_table

-- name: note
INSERT INTO cdc.target_table (source_id, source_table, target, types, shape, reason, remedy)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (source_id, source_table) DO UPDATE SET target = EXCLUDED.target, types = EXCLUDED.types,
    shape = EXCLUDED.shape, reason = EXCLUDED.reason, remedy = EXCLUDED.remedy

-- Of tables that are not followed any more, nothing has to be known.
-- name: forget
DELETE FROM cdc.target_table WHERE source_id = $1 AND NOT source_table = ANY($2::text[])

-- name: accept_types
DELETE FROM cdc.target_table WHERE source_id = $1 AND source_table = ANY($2::text[]) AND reason IS NULL

-- name: renamed
-- Tables in a schema that are marked as the replica of a source table, under whatever name.
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND obj_description(c.oid, 'pg_class') = $2 ORDER BY 1 LIMIT 1
