-- The shape of tables: changes whenever columns or constraints of one do, empty where there is none.
-- name: shapes
SELECT t.name, coalesce((
    SELECT md5(string_agg(format('%s %s %s %s%s', a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated), ','
        ORDER BY a.attnum)) || coalesce((
        SELECT md5(string_agg(pg_get_indexdef(x.indexrelid), ',' ORDER BY x.indexrelid))
        FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid), '')
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
), '') AS shape
FROM unnest($2::text[]) AS t (name) LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
    ON n.nspname = $1 AND c.relname = t.name AND c.relkind IN ('r', 'p')

-- name: read
SELECT w.source_table, w.target, w.reason, w.remedy, w.shape, s.target_schema AS schema
FROM cdc.waiting AS w JOIN cdc.stream AS s USING (source_id) WHERE w.source_id = $1 ORDER BY w.source_table

-- name: note
INSERT INTO cdc.waiting (source_id, source_table, target, reason, remedy, shape) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (source_id, source_table) DO UPDATE SET target = EXCLUDED.target, reason = EXCLUDED.reason,
    remedy = EXCLUDED.remedy, shape = EXCLUDED.shape

-- name: forget
DELETE FROM cdc.waiting WHERE source_id = $1 AND NOT source_table = ANY($2::text[]) RETURNING source_table
