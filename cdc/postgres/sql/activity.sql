-- name: at_work
-- A backend that waits for its client is not at work: then it is the client that hangs. The pid of a prepared
-- transaction is 0.
SELECT a.pid, CASE WHEN a.wait_event_type = 'Lock' THEN ARRAY(
    SELECT CASE WHEN p.pid = 0 THEN 'a prepared transaction'
        ELSE format('process %s (%s)', p.pid, coalesce(nullif(b.application_name, ''), b.usename, 'unknown')) END
    FROM (SELECT DISTINCT unnest(pg_blocking_pids(a.pid)) AS pid) p LEFT JOIN pg_stat_activity b USING (pid)
    ORDER BY p.pid
) END AS blockers
FROM pg_stat_activity a
WHERE a.application_name = ANY($1) AND ($2::int IS NULL OR a.pid = $2)
    AND a.state = 'active' AND a.wait_event_type IS DISTINCT FROM 'Client'
LIMIT 1

-- name: at_rest
-- Whether a process of the server is gone, or has nothing to do until its client says something, or reads.
SELECT NOT EXISTS (
    SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
)

-- name: end
-- Only one that is at rest, and of our own role: its number may belong to another by now.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid = $1 AND usename = current_user AND application_name LIKE 'cdc %'
    AND NOT (state = 'active' AND wait_event_type IS DISTINCT FROM 'Client')
