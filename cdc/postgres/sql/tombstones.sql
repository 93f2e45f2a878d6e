-- Keys that were deleted lately. A tombstone stands while `returned_at` is NULL, and one for which a row waits stands
-- until somebody decides, however old it is.

-- name: bury
-- Of several tables at once, each with the time in seconds since 1970, NULL when it is unknown. The numbers of the
-- parameters are filled in, for it can be a part of the statement that moves the rows.
INSERT INTO cdc.tombstone (source_id, source_table, key, deleted_at, cause)
SELECT $1, k.source_table, k.key, coalesce(to_timestamp(k.at), now()), 'application'
FROM unnest({tables}::text[], {keys}::text[], {times}::float8[]) AS k (source_table, key, at)

-- name: dig_up
-- The tombstones that such keys have already, in the same statement.
DELETE FROM cdc.tombstone AS d USING unnest({tables}::text[], {keys}::text[]) AS k (source_table, key)
WHERE d.key = k.key AND d.source_table = k.source_table AND d.source_id = $1

-- name: bury_first
-- Of one table that has none yet.
INSERT INTO cdc.tombstone (source_id, source_table, key, deleted_at, cause)
SELECT $1, $2, k.key, coalesce(to_timestamp(k.at), now()), $5 FROM unnest($3::text[], $4::float8[]) AS k (key, at)

-- name: bury_again
WITH old AS (
    DELETE FROM cdc.tombstone AS d USING unnest($3::text[]) AS k (key)
    WHERE d.key = k.key AND d.source_table = $2 AND d.source_id = $1
)
INSERT INTO cdc.tombstone (source_id, source_table, key, deleted_at, cause)
SELECT $1, $2, k.key, coalesce(to_timestamp(k.at), now()), $5 FROM unnest($3::text[], $4::float8[]) AS k (key, at)

-- name: bury_unseen
-- Rows of Postgres that SQLite was found not to have: nobody knows when they were deleted. {unseen} stages them as gone.
WITH unseen AS ({unseen} RETURNING {key} AS key), old AS (
    DELETE FROM cdc.tombstone AS d USING unseen AS u WHERE d.key = u.key AND d.source_table = $2 AND d.source_id = $1
)
INSERT INTO cdc.tombstone (source_id, source_table, key, deleted_at, cause)
SELECT $1, $2, key, now(), $3 FROM unseen WHERE key IS NOT NULL

-- name: return
-- Rows of these keys are taken in again.
UPDATE cdc.tombstone AS d SET returned_at = now(), waits = false FROM unnest({keys}::text[]) AS k (key)
WHERE d.key = k.key AND d.source_id = $1 AND d.source_table = {table}
    AND d.returned_at IS NULL AND (d.waits OR d.deleted_at > now() - make_interval(days => {days}))

-- name: return_staged
-- The same of all rows that are staged as present; {key} is SQL for the source key of one.
UPDATE cdc.tombstone AS d SET returned_at = now() FROM {stage} AS s
WHERE NOT s._cdc_gone AND d.key = {key} AND d.source_id = $1 AND d.source_table = $2
    AND d.returned_at IS NULL AND NOT d.waits AND d.deleted_at > now() - make_interval(days => $3)

-- name: standing
SELECT d.key, d.waits FROM cdc.tombstone AS d JOIN unnest($3::text[]) AS k (key) ON d.key = k.key
WHERE d.source_id = $1 AND d.source_table = $2
    AND d.returned_at IS NULL AND (d.waits OR d.deleted_at > now() - make_interval(days => $4))

-- name: hold
UPDATE cdc.tombstone AS d SET waits = true FROM unnest($3::text[]) AS k (key)
WHERE d.key = k.key AND d.source_id = $1 AND d.source_table = $2

-- name: tables
-- Those of which keys have a tombstone, or the trace of one: it is taken away when the key is deleted again.
SELECT DISTINCT source_table FROM cdc.tombstone WHERE source_id = $1

-- name: keys
SELECT key FROM cdc.tombstone WHERE source_id = $1 AND source_table = $2 AND returned_at IS NULL
    AND (waits OR deleted_at > now() - make_interval(days => $3))

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
DELETE FROM cdc.tombstone AS d USING unnest($3::text[]) AS k (key)
WHERE d.key = k.key AND d.source_id = $1 AND d.source_table = $2

-- name: end_table
DELETE FROM cdc.tombstone WHERE source_id = $1 AND source_table = $2

-- name: prune
-- In portions, so that no transaction takes long.
DELETE FROM cdc.tombstone WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM cdc.tombstone WHERE source_id = $1 AND NOT waits
        AND deleted_at <= now() - make_interval(days => $2) LIMIT $3))
