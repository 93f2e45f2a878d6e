-- Keys that were deleted lately. A tombstone stands while `returned_at` is NULL, and one for which a row waits stands
-- until somebody decides, however old it is.

-- name: bury
-- Of several tables at once, each with the time in seconds since 1970, NULL when it is unknown. The numbers of the
-- parameters are filled in, for it can be a part of the statement that moves the rows.
INSERT INTO cdc.tombstone (source_id, source_table, key, key_digest, deleted_at, cause)
SELECT $1, k.source_table, k.key, sha256(convert_to(k.key, 'UTF8')), coalesce(to_timestamp(k.at), now()), 'application'
FROM unnest({tables}::text[], {keys}::text[], {times}::float8[]) AS k (source_table, key, at)
ON CONFLICT (source_id, source_table, key_digest) DO UPDATE SET deleted_at = EXCLUDED.deleted_at,
    applied_at = EXCLUDED.applied_at, cause = EXCLUDED.cause, returned_at = NULL, waits = false

-- name: bury_unseen
-- Rows of Postgres that SQLite was found not to have: nobody knows when they were deleted. {unseen} stages them as gone.
WITH unseen AS ({unseen} RETURNING {key} AS key)
INSERT INTO cdc.tombstone (source_id, source_table, key, key_digest, deleted_at, cause)
SELECT $1, $2, key, sha256(convert_to(key, 'UTF8')), now(), $3 FROM unseen WHERE key IS NOT NULL
ON CONFLICT (source_id, source_table, key_digest) DO UPDATE SET deleted_at = EXCLUDED.deleted_at,
    applied_at = EXCLUDED.applied_at, cause = EXCLUDED.cause, returned_at = NULL, waits = false

-- name: return
-- Rows of these keys are taken in again.
UPDATE cdc.tombstone SET returned_at = now(), waits = false WHERE source_id = $1 AND source_table = {table}
    AND key_digest = ANY(ARRAY(SELECT sha256(convert_to(k, 'UTF8')) FROM unnest({keys}::text[]) AS k))
    AND returned_at IS NULL AND (waits OR deleted_at > now() - make_interval(days => {days}))

-- name: standing
SELECT key, waits FROM cdc.tombstone WHERE source_id = $1 AND source_table = $2
    AND key_digest = ANY(ARRAY(SELECT sha256(convert_to(k, 'UTF8')) FROM unnest($3::text[]) AS k))
    AND returned_at IS NULL AND (waits OR deleted_at > now() - make_interval(days => $4))

-- name: hold
UPDATE cdc.tombstone SET waits = true WHERE source_id = $1 AND source_table = $2
    AND key_digest = ANY(ARRAY(SELECT sha256(convert_to(k, 'UTF8')) FROM unnest($3::text[]) AS k))

-- name: tables
-- Those of which keys have a tombstone that stands.
SELECT DISTINCT source_table FROM cdc.tombstone WHERE source_id = $1 AND returned_at IS NULL

-- name: keys
SELECT key, key_digest FROM cdc.tombstone WHERE source_id = $1 AND source_table = $2 AND returned_at IS NULL
    AND (waits OR deleted_at > now() - make_interval(days => $3)) AND key_digest > $4 ORDER BY key_digest LIMIT $5

-- name: list
SELECT source_table, key, deleted_at, applied_at, cause, returned_at, waits FROM cdc.tombstone
WHERE source_id = $1 AND ($2::text IS NULL OR source_table = $2)
    AND (waits OR deleted_at > now() - make_interval(days => $3))
ORDER BY source_table, deleted_at DESC, key

-- name: counts
SELECT source_table, count(*) FILTER (WHERE returned_at IS NULL) AS standing, count(*) FILTER (WHERE waits) AS waiting,
    count(returned_at) AS returned, max(deleted_at) AS newest_at
FROM cdc.tombstone WHERE source_id = $1 AND (waits OR deleted_at > now() - make_interval(days => $2))
GROUP BY source_table ORDER BY source_table

-- name: end
-- Somebody decided: these keys are anybody's again.
DELETE FROM cdc.tombstone WHERE source_id = $1 AND source_table = $2
    AND key_digest = ANY(ARRAY(SELECT sha256(convert_to(k, 'UTF8')) FROM unnest($3::text[]) AS k))

-- name: end_table
DELETE FROM cdc.tombstone WHERE source_id = $1 AND source_table = $2

-- name: prune
-- In portions, so that no transaction takes long.
DELETE FROM cdc.tombstone WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM cdc.tombstone WHERE source_id = $1 AND NOT waits
        AND deleted_at <= now() - make_interval(days => $2) LIMIT $3))
