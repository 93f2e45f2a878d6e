-- name: record
INSERT INTO cdc.audit (at, source_id, actor, action, result, details)
VALUES ($1::text::timestamptz, $2, $3, $4, $5, $6::text::jsonb)

-- An entry is known by when, who and what, so that copying the file again adds nothing twice.
-- name: record_missing
INSERT INTO cdc.audit (at, source_id, actor, action, result, details)
SELECT $1::text::timestamptz, $2, $3, $4, $5, $6::text::jsonb
WHERE NOT EXISTS (
    SELECT FROM cdc.audit WHERE at = $1::text::timestamptz AND actor = $3 AND action = $4 AND result = $5
)

-- name: recent
SELECT at, actor, action, result, details::text AS details FROM cdc.audit ORDER BY id DESC LIMIT $1
