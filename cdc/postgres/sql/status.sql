-- A source that cannot be read now is found by where its file was.
-- name: stream
SELECT source_id, source_path, phase, seq, snapshot_id, changes, applied_at, owner,
    stopped_reason, stopped_remedy,
    extract(epoch FROM now() - heartbeat_at)::double precision AS heartbeat_age
FROM cdc.stream
WHERE CASE WHEN $1::text IS NOT NULL THEN source_id = $1 ELSE source_path = $2 END
ORDER BY started_at DESC LIMIT 1

-- name: quarantine
SELECT reason, count(*) AS rows, count(acknowledged_at) AS acknowledged
FROM cdc.quarantine WHERE source_id = $1 GROUP BY reason ORDER BY reason

-- The lock lives as long as the daemon's connection, so it tells a killed daemon from a silent one.
-- name: holder
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = $1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1
