-- name: read
SELECT switched_at, prepared_at, verified_seq, forms::text AS forms FROM cdc.switch WHERE source_id = $1

-- name: prepare
INSERT INTO cdc.switch AS s (source_id, prepared_at, verified_seq, forms) VALUES ($1, now(), $2, $3::text::jsonb)
ON CONFLICT (source_id) DO UPDATE SET prepared_at = now(), verified_seq = $2, forms = EXCLUDED.forms

-- name: forget_prepared
UPDATE cdc.switch SET prepared_at = NULL, verified_seq = NULL WHERE source_id = $1

-- name: note_switch
INSERT INTO cdc.switch (source_id, switched_at) VALUES ($1, clock_timestamp())
ON CONFLICT (source_id) DO UPDATE SET switched_at = clock_timestamp()

-- name: begin_step
INSERT INTO cdc.switch_step (source_id, run, n, step) VALUES ($1, $2, $3, $4)

-- name: end_step
UPDATE cdc.switch_step SET ended_at = clock_timestamp(), outcome = $4, detail = $5
WHERE source_id = $1 AND run = $2 AND n = $3

-- name: steps
SELECT run, n, step, began_at, ended_at, outcome, detail FROM cdc.switch_step WHERE source_id = $1 ORDER BY began_at, n

-- How long each step took when it was done, over the attempts of the past to come to a side, by which they are named.
-- name: usual
SELECT step, 1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - began_at)) AS milliseconds
FROM cdc.switch_step WHERE source_id = $1 AND outcome = 'done' AND starts_with(run, $2 || ' ') GROUP BY step

-- Others' transactions that last and would hold a switch up, by the locks that they hold: those that wrote to some
-- tables ($1), and those that only read some of them ($2), which are altered.
-- name: long_writers
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text, 'without a name') AS name,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'relation' AND l.granted AND a.pid <> pg_backend_pid()
    AND a.application_name NOT LIKE 'cdc %' AND a.xact_start < clock_timestamp() - make_interval(secs => $3)
    AND (l.relation IN (SELECT to_regclass(t)::oid FROM unnest($2::text[]) AS t) OR (
        l.relation IN (SELECT to_regclass(t)::oid FROM unnest($1::text[]) AS t)
        AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
    ))
ORDER BY 3 DESC

-- name: unfed
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname <> ALL($2::text[]) ORDER BY 1
