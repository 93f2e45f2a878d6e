-- What a source's targets are known to do without, and what was found otherwise than it was made.

-- name: left_out
SELECT target_table, kind, name FROM cdc.left_out WHERE source_id = $1

-- name: note_left_out
INSERT INTO cdc.left_out (source_id, target_table, kind, name, why)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (source_id, target_table, kind, name) DO UPDATE SET why = EXCLUDED.why

-- name: forget_left_out
DELETE FROM cdc.left_out WHERE source_id = $1 AND (target_table, kind, name) IN (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[])
)

-- name: made_views
SELECT name FROM cdc.made_view WHERE source_id = $1

-- name: note_view
INSERT INTO cdc.made_view (source_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: forget_view
DELETE FROM cdc.made_view WHERE source_id = $1 AND name = $2

-- name: findings
SELECT source_table, kind, name, expected, actual, remedy FROM cdc.schema_finding WHERE source_id = $1 ORDER BY 1, 2, 3

-- Of some tables, all that is not found any more is forgotten.
-- name: forget_findings
DELETE FROM cdc.schema_finding WHERE source_id = $1 AND (source_table = ANY($2::text[]) OR NOT source_table = ANY($3::text[]))

-- name: note_finding
INSERT INTO cdc.schema_finding (source_id, source_table, kind, name, expected, actual, remedy)
VALUES ($1, $2, $3, $4, $5, $6, $7)
