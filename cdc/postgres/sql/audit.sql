-- name: record
INSERT INTO cdc.audit (at, source_id, actor, action, result, details)
VALUES ($1::text::timestamptz, $2, $3, $4, $5, $6::text::jsonb)

-- name: recent
SELECT at, actor, action, result, details::text AS details FROM cdc.audit ORDER BY id DESC LIMIT $1
