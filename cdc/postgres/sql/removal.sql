-- What this tool made in Postgres beside its schema `cdc`, and taking all of it away.

-- name: others
-- Other sources that Postgres remembers: what is theirs in the schema `cdc` stays. The copy of a rehearsal is none.
SELECT source_path FROM cdc.stream
WHERE source_id <> $1 AND NOT starts_with(target_schema, 'cdc_rehearsal_') ORDER BY 1

-- name: left
-- What is in the schema `cdc`, by kind and name; indexes, and sequences of columns, go with their tables.
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END || ' cdc.' || c.relname
FROM pg_class AS c WHERE c.relnamespace = to_regnamespace('cdc') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
UNION ALL SELECT 'function ' || p.oid::regprocedure::text FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('cdc')
ORDER BY 1

-- name: leaners
-- Objects of others that lean on a table of the schema `cdc`, such as a view that reads one.
SELECT DISTINCT pg_describe_object(v.classid, v.objid, 0) || ' leans on ' || d.refobjid::regclass::text
FROM pg_depend AS d
JOIN pg_class AS c ON c.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
CROSS JOIN LATERAL (
    SELECT 'pg_class'::regclass::oid AS classid, r.ev_class AS objid FROM pg_rewrite AS r
    WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class <> c.oid
    UNION ALL SELECT 'pg_class'::regclass::oid, o.conrelid FROM pg_constraint AS o
    WHERE d.classid = 'pg_constraint'::regclass AND o.oid = d.objid AND o.conrelid <> c.oid
) AS v
WHERE c.relnamespace = to_regnamespace('cdc') AND NOT EXISTS (
    SELECT FROM pg_class AS w WHERE w.oid = v.objid AND w.relnamespace = to_regnamespace('cdc') AND w.relkind <> 'v'
)
ORDER BY 1

-- name: marked
-- Tables of a schema by whose comments this tool knows them as its own.
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname = ANY ($2::text[])
    AND starts_with(obj_description(c.oid, 'pg_class'), $3)
ORDER BY 1

-- name: helper_keys
-- Columns of adopted tables that were added to find rows by.
SELECT c.relname::text AS table, a.attname::text AS column
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND col_description(c.oid, a.attnum) = $3 ORDER BY 1, 2

-- name: unsettled
-- Constraints and indexes of some tables that do not hold for every row yet, or are not used.
SELECT format('constraint %s of %s is not validated', o.conname, c.relname) AS words
FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND NOT o.convalidated
UNION ALL SELECT format('index %s of %s is not valid', i.relname, c.relname)
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS c ON c.oid = x.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND NOT x.indisvalid
ORDER BY 1
