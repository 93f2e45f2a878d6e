-- name: deadlock_timeout
SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'deadlock_timeout'

-- name: holders
-- Whoever has a lock on a table: any, or one that writers have too. A prepared transaction has no process.
SELECT DISTINCT l.pid, coalesce(nullif(a.application_name, ''), a.backend_type, a.usename::text) AS name, a.state,
    round(extract(epoch FROM clock_timestamp() - a.xact_start))::int AS seconds
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'relation' AND l.relation = to_regclass($1)::oid AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.pid IS DISTINCT FROM pg_backend_pid() AND ($2 OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))
ORDER BY l.pid

-- name: maintained
-- Whether somebody vacuums or analyzes one of some tables, or builds an index of it beside its writers.
SELECT EXISTS (
    SELECT FROM pg_locks AS l JOIN unnest($1::text[]) AS t ON l.relation = to_regclass(t)
    WHERE l.locktype = 'relation' AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.pid IS DISTINCT FROM pg_backend_pid()
)

-- name: uncapturable
-- Why not every write to a table would fire our triggers, or could not be read back; the first reason that holds.
SELECT w.target, CASE
    WHEN c.oid IS NULL THEN 'is missing in Postgres'
    WHEN c.relkind = 'p' THEN 'is partitioned: writes to its partitions would go unnoticed'
    WHEN c.relkind = 'f' THEN 'is a foreign table: others write to it elsewhere'
    WHEN c.relkind <> 'r' THEN 'is no table'
    WHEN c.relispartition OR EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
        THEN 'inherits from another table: writes through that one would go unnoticed'
    WHEN EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid)
        THEN 'has tables that inherit from it: its rows are partly theirs'
    WHEN NOT pg_has_role(c.relowner, 'USAGE') THEN 'belongs to another role, and only its owner may switch triggers'
    WHEN c.relpersistence = 'u' THEN 'is unlogged: a crash empties it, and no trigger tells of that'
    WHEN EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = c.oid) THEN 'has rules, which rewrite what is written'
    WHEN row_security_active(c.oid) THEN 'has row level security, which hides rows from the role of `dsn`'
    WHEN EXISTS (SELECT FROM pg_subscription_rel AS s WHERE s.srrelid = c.oid)
        THEN 'is written by a subscription, whose changes do not fire triggers of statements'
END AS reason
FROM unnest($1::text[], $2::text[]) AS w (schema, target)
LEFT JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', w.schema, w.target))

-- name: triggers
-- The triggers that a source has on some tables: those that call a function of the schema `cdc` for it.
SELECT w.target, g.tgname::text AS name, g.tgenabled IN ('O', 'A') AS enabled, p.prosrc AS body
FROM unnest($2::text[], $3::text[]) AS w (schema, target)
JOIN pg_trigger AS g ON g.tgrelid = to_regclass(format('%I.%I', w.schema, w.target))
JOIN pg_proc AS p ON p.oid = g.tgfoid AND p.pronamespace = to_regnamespace('cdc')
WHERE g.tgargs = convert_to($1, 'UTF8') || '\x00' || convert_to(w.target, 'UTF8') || '\x00'

-- name: astray
-- Of some tables that applications write to, those that are `fenced`, or `silent`: some write to them goes unnoted, for a
-- trigger of the outbox is gone or does not fire in every session.
SELECT * FROM (
    SELECT w.target, coalesce(g.fenced, false) AS fenced, coalesce(g.noting, 0) < $4 AS silent
    FROM unnest($2::text[], $3::text[]) AS w (schema, target) CROSS JOIN LATERAL (
        SELECT bool_or(g.tgname = 'cdc_fence' AND g.tgenabled <> 'D') AS fenced,
            count(*) FILTER (WHERE g.tgname LIKE 'cdc\_outbox\_%' AND g.tgenabled = 'A') AS noting
        FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid AND p.pronamespace = to_regnamespace('cdc')
        WHERE g.tgrelid = to_regclass(format('%I.%I', w.schema, w.target))
            AND g.tgargs = convert_to($1, 'UTF8') || '\x00' || convert_to(w.target, 'UTF8') || '\x00'
    ) AS g
) AS t WHERE fenced OR silent

-- name: ask_for_all
INSERT INTO cdc.outbox (source_id, target) VALUES ($1, $2)

-- name: functions
-- The functions of a source by their comment, with the tables whose triggers call them.
SELECT p.oid::regprocedure::text AS name,
    ARRAY(SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_trigger AS g
        JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE g.tgfoid = p.oid) AS tables
FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('cdc') AND obj_description(p.oid, 'pg_proc') = $1

-- name: drop_entries
DELETE FROM cdc.outbox WHERE source_id = $1

-- name: snapshot
SELECT pg_current_snapshot()::text

-- name: noted
-- The tables that a source's entries tell of, and whether one of these asks for the whole table.
SELECT target, bool_or(key IS NULL) AS whole FROM cdc.outbox WHERE source_id = $1 GROUP BY target

-- How many entries a table has, and whether one of them asks for all of it.
-- name: entries
SELECT count(*) AS keys, coalesce(bool_or(key IS NULL), false) AS whole FROM cdc.outbox WHERE source_id = $1 AND target = $2

-- name: forget
-- What was visible in a snapshot is what was read in it, also by transactions that began before others and ended after
-- them; those that were in progress then are in none of it, whichever numbers their entries have.
WITH gone AS (
    DELETE FROM cdc.outbox
    WHERE source_id = $1 AND target = ANY($2::text[]) AND pg_visible_in_snapshot(xid, $3::text::pg_snapshot) RETURNING 1
)
SELECT count(*) FROM gone

-- name: lag
SELECT count(*) AS entries, min(at) AS oldest FROM cdc.outbox WHERE source_id = $1

-- name: rights
-- The rights to write to a table, or to columns of it, that others than its owner have. The role 0 is everybody. `giver`
-- is who handed a right on that is not the owner.
SELECT r.role, a.rolname::text AS role_name, r.privilege, r.column_name, r.grantable, g.rolname::text AS giver
FROM (
    SELECT x.grantee AS role, x.grantor, x.privilege_type AS privilege, '' AS column_name, x.is_grantable AS grantable,
        c.relowner AS owner
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x WHERE c.oid = $1::text::regclass
    UNION ALL
    SELECT x.grantee, x.grantor, x.privilege_type, t.attname::text, x.is_grantable, c.relowner
    FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid AND NOT t.attisdropped
    CROSS JOIN LATERAL aclexplode(t.attacl) AS x WHERE c.oid = $1::text::regclass
) AS r
LEFT JOIN pg_roles AS a ON a.oid = r.role
LEFT JOIN pg_roles AS g ON g.oid = r.grantor AND r.grantor <> r.owner
WHERE r.role <> r.owner AND r.privilege IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
ORDER BY r.role, r.column_name, r.privilege

-- name: note_right
INSERT INTO cdc.withheld_right (source_id, target_schema, target_table, role, privilege, column_name, grantable)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source_id, target_schema, target_table, role, privilege, column_name)
DO UPDATE SET grantable = excluded.grantable

-- name: withheld
-- What was taken of a table, for roles and columns that are still there.
SELECT a.rolname::text AS role_name, w.privilege, w.column_name, w.grantable
FROM cdc.withheld_right AS w LEFT JOIN pg_roles AS a ON a.oid = w.role
WHERE w.source_id = $1 AND w.target_schema = $2 AND w.target_table = $3 AND (w.role = 0 OR a.oid IS NOT NULL)
    AND (w.column_name = '' OR EXISTS (SELECT FROM pg_attribute AS t WHERE t.attname = w.column_name
        AND t.attrelid = to_regclass(format('%I.%I', $2::text, $3::text)) AND NOT t.attisdropped))
ORDER BY w.role, w.column_name, w.privilege

-- name: forget_rights
DELETE FROM cdc.withheld_right WHERE source_id = $1 AND target_schema = $2 AND target_table = $3

-- name: withheld_tables
-- Tables that are gone need nothing back.
SELECT DISTINCT target_schema, target_table FROM cdc.withheld_right
WHERE source_id = $1 AND to_regclass(format('%I.%I', target_schema, target_table)) IS NOT NULL ORDER BY 1, 2
