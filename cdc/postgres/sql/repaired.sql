-- name: note
INSERT INTO cdc.repaired_row (source_id, source_table, key_digest) SELECT $1, $2, unnest($3::bytea[])
ON CONFLICT (source_id, source_table, key_digest) DO UPDATE SET repaired_at = now()

-- name: forget
DELETE FROM cdc.repaired_row WHERE source_id = $1 AND repaired_at < now() - make_interval(days => $2)

-- name: among
SELECT count(*) AS rows, max(repaired_at) AS at FROM cdc.repaired_row
WHERE source_id = $1 AND source_table = $2 AND key_digest = ANY($3::bytea[])

-- name: by_table
SELECT source_table, count(*) AS rows, max(repaired_at) AS last_at FROM cdc.repaired_row
WHERE source_id = $1 GROUP BY source_table ORDER BY source_table
