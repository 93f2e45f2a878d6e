-- Views of ours that read some tables of a schema, directly or through other views; those that read most come first, so
-- that a view is dropped before the one that it reads.
-- name: ours
WITH RECURSIVE ours AS (
    SELECT v.oid, v.relname, v.relnamespace, obj_description(v.oid, 'pg_class') AS comment
    FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace
    WHERE v.relkind = 'v' AND n.nspname = $1 AND starts_with(obj_description(v.oid, 'pg_class'), $3)
), reads(view, relation) AS (
    SELECT oid, oid FROM ours
    UNION
    SELECT reads.view, d.refobjid FROM reads JOIN pg_rewrite r ON r.ev_class = reads.relation
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
)
SELECT ours.relname::text AS name, ours.comment
FROM ours JOIN reads ON reads.view = ours.oid JOIN pg_class t ON t.oid = reads.relation
GROUP BY ours.relname, ours.comment
HAVING bool_or(t.relnamespace = ours.relnamespace AND t.relname = ANY($2::text[]))
ORDER BY count(*) DESC, 1

-- name: comment_of
SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
