-- name: note
INSERT INTO cdc.rehearsal (id, source_id, began_at, times, kills, schema_name, result, refused, steps)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb)

-- name: forget_older
DELETE FROM cdc.rehearsal WHERE source_id = $1 AND id NOT IN (
    SELECT id FROM cdc.rehearsal WHERE source_id = $1 ORDER BY finished_at DESC LIMIT $2)

-- name: latest
SELECT id, finished_at, times, kills, schema_name, result, steps::text AS steps
FROM cdc.rehearsal WHERE source_id = $1 ORDER BY finished_at DESC LIMIT 1

-- name: past
SELECT began_at, finished_at, times, kills, result, refused::text AS refused
FROM cdc.rehearsal WHERE source_id = $1 ORDER BY finished_at
