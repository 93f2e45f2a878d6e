-- name: temporary_schema
SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()

-- Views over a column, also through other views, keep Postgres from giving it another type. Ours go by themselves.
-- name: readers
WITH RECURSIVE reads (view) AS (
    SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE d.refclassid = 'pg_class'::regclass AND n.nspname = $1 AND t.relname = $2 AND a.attname = $3
        AND r.ev_class <> t.oid
    UNION
    SELECT r.ev_class FROM reads JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reads.view
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
)
SELECT format('%I.%I', n.nspname, v.relname) AS name
FROM reads JOIN pg_class v ON v.oid = reads.view JOIN pg_namespace n ON n.oid = v.relnamespace
WHERE NOT coalesce(starts_with(obj_description(v.oid, 'pg_class'), $4), false)
ORDER BY 1

-- Constraints over a column of a table (but foreign keys, which keep it as it is), and indexes of some names on it.
-- Those of uniqueness and exclusion go with their constraint.
-- name: standing
SELECT k.conname::text AS name, true AS constraint, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = $3
WHERE n.nspname = $1 AND t.relname = $2 AND k.contype IN ('c', 'u', 'x') AND EXISTS (
    SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = a.attnum
        AND (d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
            OR d.classid = 'pg_class'::regclass AND d.objid = k.conindid)
)
UNION ALL
SELECT i.relname::text, false, pg_get_indexdef(i.oid)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = $3
WHERE n.nspname = $1 AND t.relname = $2 AND i.relname = ANY($4::text[]) AND NOT x.indisprimary
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('u', 'x'))
    AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = a.attnum)
ORDER BY 2 DESC, 1
