-- name: read
SELECT source_table, target, column_name AS column, noticed_at, decided::text AS decided, dropped
FROM cdc.pending WHERE source_id = $1 ORDER BY target, column_name NULLS FIRST

-- name: note
INSERT INTO cdc.pending (source_id, source_table, target, column_name, decided, dropped)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6)
ON CONFLICT (source_id, target, coalesce(column_name, '')) DO UPDATE SET dropped = cdc.pending.dropped || EXCLUDED.dropped

-- name: forget
DELETE FROM cdc.pending WHERE source_id = $1 AND target = $2 AND column_name IS NOT DISTINCT FROM $3

-- What an operator dropped by hand waits for nobody any more.
-- name: forget_gone
DELETE FROM cdc.pending AS p WHERE source_id = $1 AND NOT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = p.column_name AND NOT a.attisdropped
    WHERE n.nspname = $2 AND c.relname = p.target AND (p.column_name IS NULL OR a.attnum > 0)
)

-- Constraints that read a column, foreign keys of other tables to it included. An exclusion constraint reads the
-- columns of its expressions through its index. Foreign keys come first: without them a uniqueness may go.
-- name: over_column
SELECT n.nspname::text AS schema, t.relname::text AS table, k.conname::text AS name, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE k.contype IN ('c', 'f', 'u', 'x') AND k.conparentid = 0 AND EXISTS (
    SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    JOIN pg_class r ON r.oid = d.refobjid JOIN pg_namespace rn ON rn.oid = r.relnamespace
    WHERE d.refclassid = 'pg_class'::regclass AND rn.nspname = $1 AND r.relname = $2 AND a.attname = $3
        AND (d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
            OR k.contype = 'x' AND d.classid = 'pg_class'::regclass AND d.objid = k.conindid)
)
ORDER BY k.contype <> 'f', 1, 2, 3

-- Foreign keys between a table and others: its rows stay as they are, and must hold up nobody's changes.
-- name: around_table
SELECT n.nspname::text AS schema, t.relname::text AS table, k.conname::text AS name, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid <> k.confrelid
    AND ((n.nspname, t.relname) = ($1, $2) OR (pn.nspname, p.relname) = ($1, $2))
ORDER BY 1, 2, 3

-- Uniqueness of some tables that can wait, and foreign keys among them. Ours can, and what an operator adds by hand
-- mostly cannot: it is none of our business. CHECKs of ours are known by their comment. Foreign keys come first, as above.
-- name: demanded
SELECT n.nspname::text AS schema, t.relname::text AS table, k.conname::text AS name, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_class p ON p.oid = k.confrelid
WHERE n.nspname = $1 AND t.relname = ANY($2::text[]) AND k.conparentid = 0 AND k.condeferrable AND (
    k.contype IN ('u', 'x') OR k.contype = 'f' AND p.relnamespace = n.oid AND p.relname = ANY($2::text[])
) OR n.nspname = $1 AND t.relname = ANY($2::text[]) AND k.contype = 'c' AND k.conparentid = 0
    AND obj_description(k.oid, 'pg_constraint') = $3
ORDER BY k.contype <> 'f', 1, 2, 3

-- CHECKs of some tables and names that a version before had made without a comment.
-- name: unmarked_checks
SELECT t.relname::text AS table, k.conname::text AS name
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND k.contype = 'c' AND k.conparentid = 0 AND obj_description(k.oid, 'pg_constraint') IS NULL
    AND (t.relname::text, k.conname::text) IN (SELECT * FROM unnest($2::text[], $3::text[]))

-- name: refuses_null
SELECT a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND NOT a.attisdropped

-- Indexes of some tables with some names, each with the constraint that it belongs to.
-- name: in_the_way
SELECT t.relname::text AS table, i.relname::text AS name, k.conname::text AS constraint,
    coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(i.oid)) AS definition
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.contype IN ('p', 'u', 'x')
WHERE n.nspname = $1 AND t.relname = ANY($2::text[]) AND i.relname = ANY($3::text[]) AND NOT x.indisprimary
ORDER BY 1, 2
