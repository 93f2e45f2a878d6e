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
