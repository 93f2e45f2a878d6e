-- Returns those that were there already, with the reason they had. What somebody acknowledged stays so for as long as
-- the cause is the same.
-- name: put
WITH before AS (
    SELECT key, reason FROM cdc.quarantine WHERE source_id = $1 AND source_table = $2
        AND key_digest = ANY(ARRAY(SELECT sha256(convert_to(k, 'UTF8')) FROM unnest($3::text[]) AS k))
), put AS (
    INSERT INTO cdc.quarantine AS q (source_id, source_table, key, key_digest, reason, column_name, detail, remedy,
        waits_table, waits_for, waits_digest, acknowledged_at, acknowledged_by)
    SELECT $1, $2, r.key, sha256(convert_to(r.key, 'UTF8')), r.reason, r.column_name, r.detail, r.remedy,
        r.waits_table, r.waits_for, sha256(convert_to(r.waits_for, 'UTF8')),
        r.acknowledged_at, r.acknowledged_by
    FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[],
        $11::text[])
        AS r (key, reason, column_name, detail, remedy, waits_table, waits_for, acknowledged_at, acknowledged_by)
    ON CONFLICT (source_id, source_table, key_digest) DO UPDATE SET reason = EXCLUDED.reason,
        column_name = EXCLUDED.column_name, detail = EXCLUDED.detail, remedy = EXCLUDED.remedy,
        waits_table = EXCLUDED.waits_table, waits_for = EXCLUDED.waits_for, waits_digest = EXCLUDED.waits_digest,
        last_seen = now(),
        acknowledged_at = CASE WHEN (q.reason, q.detail) = (EXCLUDED.reason, EXCLUDED.detail)
            THEN q.acknowledged_at ELSE EXCLUDED.acknowledged_at END,
        acknowledged_by = CASE WHEN (q.reason, q.detail) = (EXCLUDED.reason, EXCLUDED.detail)
            THEN q.acknowledged_by ELSE EXCLUDED.acknowledged_by END
)
SELECT key, reason FROM before

-- Keys whose row was read again: they leave, and come back only if the row still cannot be held.
-- name: release
DELETE FROM cdc.quarantine WHERE source_id = $1 AND source_table = $2
    AND key_digest = ANY(ARRAY(SELECT sha256(convert_to(k, 'UTF8')) FROM unnest($3::text[]) AS k))
RETURNING key, reason, detail, acknowledged_at, acknowledged_by

-- name: release_table
DELETE FROM cdc.quarantine WHERE source_id = $1 AND source_table = $2
RETURNING key, reason, detail, acknowledged_at, acknowledged_by

-- name: counts
SELECT source_table, count(*) AS rows FROM cdc.quarantine WHERE source_id = $1 GROUP BY source_table

-- name: tables
SELECT DISTINCT source_table FROM cdc.quarantine WHERE source_id = $1

-- name: columns
SELECT DISTINCT source_table, column_name FROM cdc.quarantine WHERE source_id = $1 AND reason = 'value'

-- A bounded number: a table with very many is retried over several batches.
-- name: retriable
SELECT key FROM cdc.quarantine
WHERE source_id = $1 AND source_table = $2 AND reason = 'constraint' ORDER BY last_seen LIMIT 500

-- name: keys
SELECT source_table, key FROM cdc.quarantine
WHERE source_id = $1 AND ($2::text IS NULL OR source_table = $2) ORDER BY source_table, key

-- name: list
SELECT source_table, key, reason, column_name, detail, remedy, first_seen, last_seen, acknowledged_at, acknowledged_by,
    waits_table, waits_for
FROM cdc.quarantine WHERE source_id = $1 ORDER BY source_table, first_seen, key

-- name: acknowledge
UPDATE cdc.quarantine SET acknowledged_at = now(), acknowledged_by = $4
WHERE source_id = $1 AND ($2::text IS NULL OR source_table = $2) AND ($3::text IS NULL OR key_digest = sha256(convert_to($3::text, 'UTF8')))
    AND acknowledged_at IS NULL
RETURNING source_table, reason, key
