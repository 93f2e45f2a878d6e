-- Only batches and what moves no row were noted since, none of the batches is of that table, and no entry is gone. The
-- entries are gone through once, however many tables there are.
-- name: usable
WITH kept AS (
    SELECT m.* FROM cdc.source_sums AS m JOIN cdc.stream AS s USING (source_id)
    WHERE m.source_id = $1 AND s.resync = '{}' AND s.audit_n - m.audit_n <= $3
        AND (s.audit_n = m.audit_n OR EXISTS (SELECT FROM cdc.audit AS a WHERE a.source_id = $1 AND a.n = m.audit_n + 1))
), since AS MATERIALIZED (
    SELECT a.n, a.entry ->> 'action' AS action, a.entry -> 'details' -> 'tables' AS tables
    FROM cdc.audit AS a WHERE a.source_id = $1 AND a.n > (SELECT min(audit_n) FROM kept)
), moved AS (
    SELECT t.name, max(n) AS n FROM since, json_object_keys(CASE WHEN action = 'batch' THEN tables ELSE '{}' END) AS t (name)
    GROUP BY t.name
)
SELECT source_table, signature, summed_at, lasts, rows, hashes FROM kept
WHERE NOT EXISTS (SELECT FROM since WHERE n > kept.audit_n AND action <> 'batch' AND NOT action = ANY($2::text[]))
    AND NOT EXISTS (SELECT FROM moved WHERE name = kept.source_table AND n > kept.audit_n)

-- An older version had no such column.
-- name: audit_n
SELECT (to_jsonb(s) ->> 'audit_n')::bigint FROM cdc.stream AS s WHERE source_id = $1

-- name: forget
DELETE FROM cdc.source_sums WHERE source_id = $1 AND source_table = ANY($2::text[])

-- name: store
INSERT INTO cdc.source_sums (source_id, source_table, signature, audit_n, summed_at, lasts, rows, hashes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (source_id, source_table) DO NOTHING
