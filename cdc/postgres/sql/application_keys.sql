-- name: keys
-- Uniqueness of some tables that can wait, and the indexes that took its place, whose comment begins with $3 and goes on
-- with the constraint that stood there. Constraints that wait by themselves are not of our making; those of exclusion
-- that have a btree ask for nothing but equality. `body` is what stands behind the table's name in the definition of the
-- index. A key is `held` where something depends on it: a foreign key, a function, a replica identity.
SELECT
    t.relname::text AS table,
    i.relname::text AS name,
    coalesce(c.condeferrable, false) AS deferrable,
    CASE WHEN c.condeferrable THEN pg_catalog.pg_get_constraintdef(c.oid) ELSE substr(d.note, length($3) + 1) END AS definition,
    substr(pg_catalog.pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %I.%I',
        CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname)) + 1) AS body,
    x.indexprs IS NOT NULL AS computed,
    pg_catalog.obj_description(c.oid, 'pg_constraint') AS comment,
    x.indisreplident OR EXISTS (
        SELECT FROM pg_catalog.pg_depend p WHERE p.deptype = 'n' AND (
            p.refclassid = 'pg_class'::regclass AND p.refobjid = i.oid
            OR p.refclassid = 'pg_constraint'::regclass AND p.refobjid = c.oid
        )
    ) AS held
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = i.relam AND m.amname = 'btree'
JOIN pg_catalog.pg_class t ON t.oid = x.indrelid AND t.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = i.oid AND c.contype IN ('p', 'u', 'x')
CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.obj_description(i.oid, 'pg_class'), '') AS note) d
WHERE n.nspname = $1 AND t.relname = ANY ($2::text[]) AND CASE WHEN c.condeferrable
    THEN NOT c.condeferred AND c.contype IN ('u', 'x')
    ELSE starts_with(d.note, $3) END
ORDER BY t.relname, i.relname

-- name: twins
-- The indexes of some tables whose names begin with $3, `usable` where one can take the place of a key. An index can be
-- valid only when its build came to its end.
SELECT
    t.relname::text AS table,
    i.relname::text AS name,
    x.indisunique AND x.indisvalid AND x.indimmediate AS usable,
    substr(pg_catalog.pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %I.%I',
        CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname)) + 1) AS body,
    x.indisreplident OR EXISTS (
        SELECT FROM pg_catalog.pg_depend p
        WHERE p.deptype = 'n' AND p.refclassid = 'pg_class'::regclass AND p.refobjid = i.oid
    ) AS held
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = ANY ($2::text[]) AND starts_with(i.relname::text, $3)
ORDER BY t.relname, i.relname
