-- name: read
SELECT source_table, since, rows, differences, began_at, after_key, rows_so_far, differences_so_far
FROM cdc.verified_table WHERE source_id = $1

-- name: store
INSERT INTO cdc.verified_table (source_id, source_table, since, rows, differences, began_at, after_key, rows_so_far,
    differences_so_far)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (source_id, source_table) DO UPDATE SET since = EXCLUDED.since, rows = EXCLUDED.rows,
    differences = EXCLUDED.differences, began_at = EXCLUDED.began_at, after_key = EXCLUDED.after_key,
    rows_so_far = EXCLUDED.rows_so_far, differences_so_far = EXCLUDED.differences_so_far

-- A table whose pass is under way has its turn before all others.
-- name: begin_anew
INSERT INTO cdc.verified_table (source_id, source_table, began_at) VALUES ($1, $2, now())
ON CONFLICT (source_id, source_table) DO UPDATE SET began_at = EXCLUDED.began_at, after_key = NULL, rows_so_far = 0,
    differences_so_far = 0

-- Of tables that are not fed any more, nothing has to be known.
-- name: keep
DELETE FROM cdc.verified_table WHERE source_id = $1 AND NOT source_table = ANY($2::text[])

-- A table that is fed and was never compared as a whole counts from when the stream began.
-- name: oldest
SELECT t.source_table, coalesce(v.since, s.started_at) AS since
FROM cdc.target_table AS t JOIN cdc.stream AS s USING (source_id)
LEFT JOIN cdc.verified_table AS v USING (source_id, source_table)
WHERE t.source_id = $1 AND t.reason IS NULL ORDER BY 2, 1 LIMIT 1
