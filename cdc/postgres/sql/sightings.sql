-- Noted when a session begins and with each heartbeat: a row for each position that was seen so.
-- name: note
INSERT INTO cdc.sighting AS s (source_id, seq, entry, boot, inode, changed_at, log, frames)
SELECT source_id, seq, entry, $2, $3, $4, $5, $6 FROM cdc.stream WHERE source_id = $1 AND seq IS NOT NULL
ON CONFLICT (source_id, seq) DO UPDATE SET boot = EXCLUDED.boot, inode = EXCLUDED.inode,
    changed_at = EXCLUDED.changed_at, log = EXCLUDED.log, frames = EXCLUDED.frames
WHERE (s.boot, s.inode, s.changed_at, s.log, s.frames)
    <> (EXCLUDED.boot, EXCLUDED.inode, EXCLUDED.changed_at, EXCLUDED.log, EXCLUDED.frames)

-- One that is older than asked for stays, so that there is always one that a loss of the newest commits cannot reach.
-- name: forget_older
DELETE FROM cdc.sighting AS s USING cdc.sighting AS later
WHERE s.source_id = $1 AND later.source_id = $1 AND later.seq > s.seq
    AND later.seen_at < now() - make_interval(secs => $2)

-- name: forget
DELETE FROM cdc.sighting WHERE source_id = $1

-- Newest first; how long before the last sign of life of a daemon, in seconds.
-- name: read
SELECT s.seq, s.entry, s.boot, s.inode, s.changed_at, s.log, s.frames,
    extract(epoch FROM coalesce(stream.heartbeat_at, s.seen_at) - s.seen_at)::double precision AS before_last_life
FROM cdc.sighting AS s JOIN cdc.stream USING (source_id) WHERE source_id = $1 ORDER BY s.seq DESC
