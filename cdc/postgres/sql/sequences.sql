-- Sequences of integer keys: an application that goes on in Postgres must get no number that SQLite gave before.

-- name: of_keys
-- The sequences that number each key: the one that its column owns, those in its default, and the one that was chosen for
-- it. A key that none numbers, or that is no number, is passed over, and a chosen one that is not there.
SELECT DISTINCT given.place, format('%I.%I', n.nspname, s.relname) AS name
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS given(target, key, chosen, place)
LEFT JOIN pg_attribute AS number ON number.attrelid = target::regclass AND number.attname = key
    AND number.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
CROSS JOIN LATERAL (
    SELECT pg_get_serial_sequence(target, key)::regclass::oid
    UNION ALL SELECT to_regclass(chosen)::oid WHERE number.attnum IS NOT NULL
    UNION ALL SELECT d.refobjid FROM pg_attrdef AS f
        JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
    WHERE f.adrelid = number.attrelid AND f.adnum = number.attnum
) AS found(sequence)
JOIN pg_class AS s ON s.oid = found.sequence AND s.relkind = 'S'
JOIN pg_namespace AS n ON n.oid = s.relnamespace
ORDER BY 1, 2

-- name: advance
-- Never backwards, and not beyond what the sequence can count. Where our role may not move the sequence of a table that
-- others made, `allowed` is false.
SELECT name, allowed,
    CASE WHEN NOT allowed THEN NULL
         WHEN mark >= coalesce(pg_sequence_last_value(sequence)::numeric + seqincrement, seqstart)
         THEN setval(sequence, least(mark, seqmax)) END
FROM (
    SELECT name, name::regclass AS sequence, mark FROM unnest($1::text[], $2::bigint[]) AS given(name, mark)
) AS marks
JOIN pg_sequence ON seqrelid = sequence AND seqincrement > 0
CROSS JOIN LATERAL (
    SELECT has_sequence_privilege(sequence, 'UPDATE') AND has_sequence_privilege(sequence, 'USAGE') AS allowed
) AS role

-- name: next
-- The number that each sequence gives next, where our role may read it. As a text: one that is at its end would give a
-- number that is no bigint.
SELECT given.place, name, seqmax AS most,
    coalesce(pg_sequence_last_value(sequence)::numeric + seqincrement, seqstart)::text AS next
FROM (
    SELECT place, name, name::regclass AS sequence FROM unnest($1::text[]) WITH ORDINALITY AS given(name, place)
) AS given
JOIN pg_sequence ON seqrelid = sequence AND seqincrement > 0
WHERE has_sequence_privilege(sequence, 'USAGE') OR has_sequence_privilege(sequence, 'SELECT')

-- name: of_schema
-- The sequences of a schema, with each table of it and the column that it numbers: one that owns it, or whose default takes
-- numbers from it. Both are empty where no column does: then only the application's code knows who takes them.
SELECT s.relname::text AS name, coalesce(c.relname::text, '') AS table, coalesce(a.attname::text, '') AS column
FROM pg_class AS s JOIN pg_namespace AS n ON n.oid = s.relnamespace
LEFT JOIN LATERAL (
    SELECT d.refobjid, d.refobjsubid FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    UNION SELECT f.adrelid, f.adnum FROM pg_depend AS d
    JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
) AS used(relation, number) ON true
LEFT JOIN pg_class AS c ON c.oid = used.relation
LEFT JOIN pg_attribute AS a ON a.attrelid = used.relation AND a.attnum = used.number
WHERE n.nspname = $1 AND s.relkind = 'S' ORDER BY 1, 2, 3
