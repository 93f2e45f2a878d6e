-- Sequences of integer keys: an application that goes on in Postgres must get no number that SQLite gave before.

-- name: advance
-- Never backwards, and not beyond what the sequence can count. A key that no sequence feeds is passed over; where our
-- role may not move the sequence of a table that others made, `allowed` is false.
SELECT name, allowed,
    CASE WHEN NOT allowed THEN NULL
         WHEN mark > coalesce(pg_sequence_last_value(sequence), 0) THEN setval(sequence, least(mark, seqmax)) END
FROM (
    SELECT name, name::regclass AS sequence, mark
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS given(target, key, mark)
    CROSS JOIN LATERAL pg_get_serial_sequence(target, key) AS found(name)
) AS marks
JOIN pg_sequence ON seqrelid = sequence
CROSS JOIN LATERAL (
    SELECT has_sequence_privilege(sequence, 'UPDATE') AND has_sequence_privilege(sequence, 'USAGE') AS allowed
) AS role

-- name: next
-- The number that the sequence of each key gives next, where one feeds it and our role may read it. As a text: one that
-- is at its end would give a number that is no bigint.
SELECT given.place, name, seqmax AS most,
    coalesce(pg_sequence_last_value(sequence)::numeric + seqincrement, seqstart)::text AS next
FROM (
    SELECT place, name, name::regclass AS sequence
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given(target, key, place)
    CROSS JOIN LATERAL pg_get_serial_sequence(target, key) AS found(name)
) AS given
JOIN pg_sequence ON seqrelid = sequence AND seqincrement > 0
WHERE has_sequence_privilege(sequence, 'USAGE') OR has_sequence_privilege(sequence, 'SELECT')

-- name: without_owner
-- Sequences that belong to no column; pg_depend says so with `a` for serial and `i` for identity. A default may take
-- numbers of them all the same, or the application's code.
SELECT relname AS name
FROM pg_class
WHERE relkind = 'S' AND relnamespace = to_regnamespace(quote_ident($1))
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
            AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
    )
ORDER BY relname
