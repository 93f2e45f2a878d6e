-- Only batches and what moves no row were noted since, none of the batches is of that table, and no entry is gone.
-- name: usable
SELECT m.source_table, m.signature, m.summed_at, m.lasts, m.rows, m.hashes
FROM cdc.source_sums AS m JOIN cdc.stream AS s USING (source_id)
WHERE m.source_id = $1 AND s.resync = '{}' AND s.audit_n - m.audit_n <= $3
    AND (s.audit_n = m.audit_n OR EXISTS (SELECT FROM cdc.audit AS a WHERE a.source_id = $1 AND a.n = m.audit_n + 1))
    AND NOT EXISTS (
        SELECT FROM cdc.audit AS a WHERE a.source_id = $1 AND a.n > m.audit_n
            AND NOT (a.entry ->> 'action' = ANY($2::text[])
                OR a.entry ->> 'action' = 'batch' AND a.entry -> 'details' -> 'tables' -> m.source_table IS NULL))

-- An older version had no such column.
-- name: audit_n
SELECT (to_jsonb(s) ->> 'audit_n')::bigint FROM cdc.stream AS s WHERE source_id = $1

-- name: forget
DELETE FROM cdc.source_sums WHERE source_id = $1 AND source_table = ANY($2::text[])

-- name: store
INSERT INTO cdc.source_sums (source_id, source_table, signature, audit_n, summed_at, lasts, rows, hashes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (source_id, source_table) DO NOTHING
