-- Sessions of others in this database. Which table a session wrote to is known while its transaction lasts, by its lock.
-- What a role may not see of others is NULL, but for names.
-- name: sessions
SELECT coalesce(nullif(a.application_name, ''), 'without a name') AS name, a.usename::text AS role,
    host(a.client_addr) AS address, count(*) AS sessions, bool_or(EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.pid = a.pid AND l.relation = to_regclass($1)::oid AND l.mode = 'RowExclusiveLock'
    )) AS writing
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.usename IS NOT NULL AND a.pid <> pg_backend_pid()
    AND coalesce(a.backend_type, 'client backend') = 'client backend' AND a.application_name NOT LIKE 'cdc %'
GROUP BY 1, 2, 3 ORDER BY 5 DESC, 4 DESC, 1 LIMIT $2

-- name: roles
SELECT r.rolname::text AS role, r.rolsuper AS superuser FROM pg_roles AS r
WHERE r.rolcanlogin AND r.rolname <> current_user
    AND has_table_privilege(r.oid, to_regclass($1)::oid, 'INSERT, UPDATE, DELETE')
ORDER BY 2, 1 LIMIT $2

-- What of the table itself changes what is written, or writes more: triggers that fire, and rules. Ours,
-- which call functions of the schema `cdc`, let replication pass and change nothing.
-- name: reactions
SELECT 'trigger' AS kind, g.tgname::text AS name, g.tgenabled = 'A' AS always FROM pg_trigger AS g
WHERE g.tgrelid = to_regclass($1) AND NOT g.tgisinternal AND g.tgenabled <> 'D'
    AND NOT EXISTS (SELECT FROM pg_proc AS f WHERE f.oid = g.tgfoid AND f.pronamespace = to_regnamespace('cdc'))
UNION ALL SELECT 'rule', w.rulename::text, w.ev_enabled = 'A' FROM pg_rewrite AS w
WHERE w.ev_class = to_regclass($1) AND w.rulename <> '_RETURN' AND w.ev_enabled <> 'D' ORDER BY 1, 2

-- Tables on which triggers fire that this role may disable, that have rules, or whose rows may be hidden from it.
-- name: guarded
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p') AND (
    row_security_active(c.oid) OR EXISTS (SELECT FROM pg_rewrite AS w WHERE w.ev_class = c.oid)
    OR (pg_has_role(c.relowner, 'USAGE') AND EXISTS (
        SELECT FROM pg_trigger AS g
        WHERE (g.tgrelid = c.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))
            AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
            AND NOT EXISTS (SELECT FROM pg_proc AS f WHERE f.oid = g.tgfoid AND f.pronamespace = to_regnamespace('cdc'))
    ))
)
