-- name: take
SELECT pg_try_advisory_lock($1)

-- name: holder
-- The lock lives as long as the daemon's connection, so it tells a killed daemon from a silent one. An advisory lock on
-- one bigint shows as two halves.
SELECT a.application_name, a.backend_start, a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
    AND (l.classid::bigint << 32 | l.objid::bigint) = $1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
