-- Keys that were read again, by a snapshot that showed their entries, are known anew.
-- name: settle
DELETE FROM cdc.uncarried AS u USING cdc.outbox AS o
WHERE u.source_id = $1 AND o.source_id = $1 AND o.target = u.target AND (o.key IS NULL OR o.key = u.key)
    AND o.target = ANY($2::text[]) AND pg_visible_in_snapshot(o.xid, $3::text::pg_snapshot)

-- name: note
INSERT INTO cdc.uncarried (source_id, target, key, source_table, column_name, detail, remedy)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: retry
WITH again AS (DELETE FROM cdc.uncarried WHERE source_id = $1 RETURNING target, key)
INSERT INTO cdc.outbox (source_id, target, key) SELECT $1, target, key FROM again

-- name: read
SELECT source_table, key, column_name, detail, remedy, since FROM cdc.uncarried WHERE source_id = $1 ORDER BY since, key
LIMIT $2

-- name: count
SELECT count(*) FROM cdc.uncarried WHERE source_id = $1
