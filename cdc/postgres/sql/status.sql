-- A source that cannot be read now is found by where its file was.
-- name: stream
SELECT source_id, source_path, phase, seq, snapshot_id, changes, applied_at, owner,
    stopped_reason, stopped_remedy,
    extract(epoch FROM now() - heartbeat_at)::double precision AS heartbeat_age,
    -- An earlier version has no such column.
    (to_jsonb(s) ->> 'ended_at')::timestamptz AS ended_at
FROM cdc.stream AS s
WHERE CASE WHEN $1::text IS NOT NULL THEN source_id = $1 ELSE source_path = $2 END
ORDER BY to_jsonb(s) ->> 'ended_at' IS NOT NULL, started_at DESC LIMIT 1

-- name: quarantine
SELECT reason, count(*) AS rows, count(acknowledged_at) AS acknowledged
FROM cdc.quarantine WHERE source_id = $1 GROUP BY reason ORDER BY reason

-- One statement, because the daemon asks it with every heartbeat while metrics are served.
-- name: findings
SELECT coalesce((SELECT json_object_agg(reason, rows) FROM (
        SELECT reason, count(*) AS rows FROM cdc.quarantine WHERE source_id = $1 GROUP BY reason) AS q), '{}')::text
        AS quarantine,
    (SELECT extract(epoch FROM min(coalesce(t.since, s.started_at)))::double precision
        FROM cdc.stream AS s JOIN cdc.target_table AS f USING (source_id)
        LEFT JOIN cdc.verified_table AS t USING (source_id, source_table)
        WHERE s.source_id = $1 AND f.reason IS NULL) AS oldest_at,
    v.result AS verified, extract(epoch FROM v.finished_at)::double precision AS verified_at
FROM (SELECT) AS always LEFT JOIN LATERAL (
    SELECT result, finished_at FROM cdc.verification WHERE source_id = $1 AND complete
    ORDER BY finished_at DESC LIMIT 1) AS v ON true

-- How the targets of a source are guarded, by the triggers of ours on them; and what waits on its way back. All of it is
-- nothing before a switch was prepared.
-- name: guards
SELECT count(*) FILTER (WHERE fenced) AS fenced, count(*) FILTER (WHERE captured AND NOT fenced) AS open,
    o.entries, extract(epoch FROM now() - o.oldest)::float8 AS oldest_seconds, u.rows AS uncarried
FROM (
    SELECT bool_or(g.tgname = 'cdc_fence' AND g.tgenabled <> 'D') AS fenced,
        bool_or(g.tgname = 'cdc_outbox_insert' AND g.tgenabled <> 'D') AS captured
    FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid AND p.pronamespace = to_regnamespace('cdc')
    WHERE g.tgname IN ('cdc_fence', 'cdc_outbox_insert') AND substr(g.tgargs, 1, 1 + octet_length($1)) = convert_to($1, 'UTF8') || '\x00'
    GROUP BY g.tgrelid
) AS guarded, (SELECT count(*) AS entries, min(at) AS oldest FROM cdc.outbox WHERE source_id = $1) AS o,
    (SELECT count(*) AS rows FROM cdc.uncarried WHERE source_id = $1) AS u
GROUP BY o.entries, o.oldest, u.rows
