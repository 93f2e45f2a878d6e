-- name: read
SELECT source_path, target_schema, phase, seq, entry, snapshot_id, schema_version, resync,
    coalesce(m.columns, '{}')::text AS columns, stopped_reason,
    -- An earlier version has no such columns.
    coalesce((to_jsonb(s) ->> 'unfinished')::boolean, false) AS finish_after_resync,
    (to_jsonb(s) ->> 'ended_at')::timestamptz AS ended_at
FROM cdc.stream AS s LEFT JOIN cdc.mapping AS m USING (source_id) WHERE source_id = $1

-- The transaction that applies changes stores how far it went, and the entry of the audit trail about it: all are there
-- or nothing is. It stands after `WITH`, and after the parts that move rows when these are in the same statement: then
-- {counts} are what they did, in the order of the %s in $6. `told` is materialized because it must not be computed again
-- when another writer of the trail is waited for: the parts have no rows then.
-- name: store_position
told AS MATERIALIZED (
    -- An array, because a function takes no more than a hundred arguments.
    SELECT format($6::text, VARIADIC ARRAY[{counts}
        (round(1e6 * ($7::float8 + date_part('epoch', clock_timestamp() - statement_timestamp()))) / 1e6)::text]) AS body
), moved AS (
    UPDATE cdc.stream AS s SET seq = $2, entry = $3, applied_at = now(), heartbeat_at = now(), changes = changes + $4,
        lag_seconds = $5, stopped_reason = NULL, stopped_remedy = NULL, audit_n = s.audit_n + 1,
        audit_hash = encode(sha256(convert_to(
            s.audit_hash || '{"n": ' || s.audit_n + 1 || ', ' || substr(told.body, 2), 'UTF8')), 'hex')
    FROM told WHERE s.source_id = $1
    RETURNING s.audit_n AS n, '{"n": ' || s.audit_n || ', ' || substr(told.body, 2) AS entry, s.audit_hash AS hash
)
INSERT INTO cdc.audit (source_id, n, entry, hash) SELECT $1, n, entry::json, hash FROM moved RETURNING entry::text

-- name: clear_resync
UPDATE cdc.stream SET resync = ARRAY(SELECT unnest(resync) EXCEPT SELECT unnest($2::text[]) ORDER BY 1),
    saving = ARRAY(SELECT unnest(saving) EXCEPT SELECT unnest($2::text[]) ORDER BY 1),
    holding = ARRAY(SELECT unnest(holding) EXCEPT SELECT unnest($2::text[]) ORDER BY 1)
WHERE source_id = $1

-- Written before capture is mended, so that a daemon that dies in between still knows what it could not see.
-- name: request_resync
UPDATE cdc.stream SET resync = ARRAY(SELECT DISTINCT unnest(resync || $2::text[]) ORDER BY 1) WHERE source_id = $1

-- Tables that are gone cannot be read any more.
-- name: keep_resync
UPDATE cdc.stream SET resync = ARRAY(SELECT unnest(resync) INTERSECT SELECT unnest($2::text[]) ORDER BY 1)
WHERE source_id = $1 RETURNING resync

-- name: note_finish_after_resync
UPDATE cdc.stream SET unfinished = $2 WHERE source_id = $1

-- A load that goes on, and the way back, need the snapshot that the copy began with.
-- name: snapshots
SELECT snapshot_id FROM cdc.stream WHERE snapshot_id IS NOT NULL
UNION SELECT snapshot_id FROM cdc.loaded

-- What Postgres shows is of no position while tables are to be read as a whole.
-- name: applied_seq
SELECT CASE WHEN resync = '{}' THEN seq END FROM cdc.stream WHERE source_id = $1

-- name: store_schema_version
UPDATE cdc.stream SET schema_version = $2 WHERE source_id = $1

-- name: store_columns
INSERT INTO cdc.mapping (source_id, columns) VALUES ($1, $2::text::jsonb)
ON CONFLICT (source_id) DO UPDATE SET columns = EXCLUDED.columns

-- Sources that went into this schema from this path, whatever their id: a file that was overwritten lost its id. One that
-- ended may have been followed by another.
-- name: find_by_path
SELECT source_id FROM cdc.stream AS s WHERE source_path = $1 AND target_schema = $2
ORDER BY to_jsonb(s) ->> 'ended_at' IS NOT NULL, started_at DESC LIMIT 1

-- name: adopt_stream
UPDATE cdc.stream SET source_id = $2 WHERE source_id = $1

-- name: adopt_quarantine
UPDATE cdc.quarantine SET source_id = $2 WHERE source_id = $1

-- name: adopt_mapping
UPDATE cdc.mapping SET source_id = $2 WHERE source_id = $1

-- name: adopt_loaded
UPDATE cdc.loaded SET source_id = $2 WHERE source_id = $1

-- name: adopt_audit
UPDATE cdc.audit SET source_id = $2 WHERE source_id = $1

-- name: adopt_triggers
UPDATE cdc.disabled_trigger SET source_id = $2 WHERE source_id = $1

-- name: adopt_rights
UPDATE cdc.withheld_right SET source_id = $2 WHERE source_id = $1

-- name: adopt_outbox
UPDATE cdc.outbox SET source_id = $2 WHERE source_id = $1

-- name: adopt_crosswalk
UPDATE cdc.crosswalk SET source_id = $2 WHERE source_id = $1

-- name: adopt_waiting
UPDATE cdc.target_table SET source_id = $2 WHERE source_id = $1

-- name: adopt_owned
UPDATE cdc.owned_table SET source_id = $2 WHERE source_id = $1

-- name: adopt_pending
UPDATE cdc.pending SET source_id = $2 WHERE source_id = $1

-- name: adopt_repaired
UPDATE cdc.repaired_row SET source_id = $2 WHERE source_id = $1

-- name: adopt_tombstones
UPDATE cdc.tombstone SET source_id = $2 WHERE source_id = $1

-- name: adopt_left_out
UPDATE cdc.left_out SET source_id = $2 WHERE source_id = $1

-- name: adopt_views
UPDATE cdc.made_view SET source_id = $2 WHERE source_id = $1

-- name: seq
SELECT seq FROM cdc.stream WHERE source_id = $1

-- A stream that has a position replicates, whatever somebody made of its phase.
-- name: reposition
UPDATE cdc.stream SET phase = 'replicate', seq = $2, entry = $3, stopped_reason = NULL, stopped_remedy = NULL, ended_at = NULL,
    saving = $4::text[], holding = '{}'
WHERE source_id = $1

-- name: hold_returned
UPDATE cdc.stream SET holding = resync WHERE source_id = $1

-- The tables of another file, in which rows with a tombstone wait.
-- name: holding
SELECT holding FROM cdc.stream WHERE source_id = $1

-- name: save_replaced
UPDATE cdc.stream SET saving = ARRAY(SELECT DISTINCT unnest(saving || $2::text[]) ORDER BY 1) WHERE source_id = $1

-- The tables whose rows are saved before they are replaced.
-- name: saving
SELECT saving FROM cdc.stream WHERE source_id = $1

-- name: moved
UPDATE cdc.stream SET source_path = $2 WHERE source_id = $1

-- name: ended
UPDATE cdc.stream SET ended_at = coalesce(ended_at, now()), owner = NULL, stopped_reason = NULL, stopped_remedy = NULL
WHERE source_id = $1

-- name: register
INSERT INTO cdc.stream (source_id, source_path, target_schema) VALUES ($1, $2, $3)
ON CONFLICT (source_id) DO UPDATE SET source_path = EXCLUDED.source_path, ended_at = NULL

-- No row where the phase cannot follow the one that the source is in.
-- name: enter
UPDATE cdc.stream SET phase = $2 WHERE source_id = $1 AND phase = ANY($3::text[]) RETURNING phase

-- name: begin_at
UPDATE cdc.stream SET seq = $2, entry = $3, snapshot_id = $4 WHERE source_id = $1

-- name: heartbeat
-- Whether what the daemon goes by still holds: somebody may have made the schema `cdc` whole meanwhile.
UPDATE cdc.stream SET heartbeat_at = now(), owner = $2 WHERE source_id = $1
RETURNING seq IS NOT NULL AND NOT '*' = ANY(resync) AND EXISTS (SELECT FROM cdc.mapping WHERE source_id = $1) AS holds,
    pg_backend_pid() AS process

-- name: stopped
UPDATE cdc.stream SET stopped_reason = $2, stopped_remedy = $3, owner = NULL WHERE source_id = $1

-- name: loaded
SELECT source_table, rows FROM cdc.loaded WHERE source_id = $1 AND snapshot_id = $2

-- name: was_loaded
SELECT EXISTS (SELECT FROM cdc.loaded WHERE source_id = $1 AND source_table = $2)

-- name: mark_loaded
INSERT INTO cdc.loaded (source_id, source_table, snapshot_id, rows) VALUES ($1, $2, $3, $4)
ON CONFLICT (source_id, source_table) DO UPDATE SET snapshot_id = EXCLUDED.snapshot_id, rows = EXCLUDED.rows,
    loaded_at = now()

-- name: unclaimed
SELECT EXISTS (
    SELECT FROM unnest($3::text[]) AS name WHERE NOT EXISTS (
        SELECT FROM cdc.owned_table WHERE target_schema = $2 AND target_table = name AND source_id = $1
    )
)

-- A table that is gone, and one whose source has ended, is anybody's.
-- name: claim
INSERT INTO cdc.owned_table AS o (target_schema, target_table, source_id)
SELECT DISTINCT $2, name, $1 FROM unnest($3::text[]) AS name
ON CONFLICT (target_schema, target_table) DO UPDATE SET source_id = EXCLUDED.source_id, since = now()
WHERE o.source_id <> EXCLUDED.source_id AND (
    to_regclass(format('%I.%I', o.target_schema, o.target_table)) IS NULL
    OR NOT EXISTS (SELECT FROM cdc.stream AS s WHERE s.source_id = o.source_id AND s.ended_at IS NULL)
)

-- name: owned
SELECT target_table FROM cdc.owned_table WHERE source_id = $1 AND target_schema = $2 ORDER BY 1

-- name: owned_by_others
SELECT o.target_table, o.since, s.source_path FROM cdc.owned_table AS o JOIN cdc.stream AS s USING (source_id)
WHERE o.target_schema = $2 AND o.target_table = ANY($3::text[]) AND o.source_id <> $1
    AND s.ended_at IS NULL AND to_regclass(format('%I.%I', o.target_schema, o.target_table)) IS NOT NULL
ORDER BY o.since, o.target_table

-- User triggers of the target would bend replicated rows: disabled by the owner for the time of replication. A row
-- that goes to a partition fires the partition's own triggers too; copies of its parent's follow the parent's. Ours call
-- functions of the schema `cdc`, and let replication pass.
-- name: enabled_triggers
WITH target AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
)
SELECT n.nspname::text AS schema, c.relname::text AS table_name, g.tgname::text AS name, g.tgenabled::text AS enabled
FROM target t JOIN pg_trigger g ON g.tgrelid = t.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(t.oid))
JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND (g.tgrelid = t.oid OR NOT EXISTS (
    SELECT FROM pg_trigger p WHERE p.oid = g.tgparentid AND p.tgenabled IN ('O', 'A')
)) AND NOT EXISTS (SELECT FROM pg_proc f WHERE f.oid = g.tgfoid AND f.pronamespace = to_regnamespace('cdc'))

-- name: triggers_to_restore
SELECT d.trigger_name AS name, d.enabled
FROM cdc.disabled_trigger AS d JOIN pg_trigger AS g
    ON g.tgrelid = to_regclass(format('%I.%I', d.target_schema, d.target_table)) AND g.tgname = d.trigger_name
WHERE d.source_id = $1 AND d.target_schema = $2 AND d.target_table = $3 AND g.tgenabled = 'D'

-- name: forget_triggers
DELETE FROM cdc.disabled_trigger WHERE source_id = $1 AND target_schema = $2 AND target_table = $3

-- name: recorded_triggers
SELECT target_table, trigger_name FROM cdc.disabled_trigger WHERE source_id = $1 AND target_schema = $2

-- A partition's own is one of the table's that it is part of.
-- name: silent_triggers
SELECT DISTINCT root.relname::text AS of, d.target_table AS table, d.trigger_name AS trigger
FROM cdc.disabled_trigger AS d JOIN pg_trigger AS g
    ON g.tgrelid = to_regclass(format('%I.%I', d.target_schema, d.target_table)) AND g.tgname = d.trigger_name
JOIN pg_class AS root ON root.oid = coalesce(pg_partition_root(g.tgrelid), g.tgrelid)
WHERE d.source_id = $1 AND g.tgenabled = 'D' ORDER BY 1, 2, 3

-- name: trigger_places
SELECT DISTINCT target_schema, target_table FROM cdc.disabled_trigger WHERE source_id = $1 ORDER BY 1, 2

-- name: record_trigger
INSERT INTO cdc.disabled_trigger (source_id, target_schema, target_table, trigger_name, enabled)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- Whether the newest batch lies so many seconds back: in a pause the daemon has done all that waits for one.
-- name: is_quiet
SELECT coalesce(applied_at < now() - make_interval(secs => $2), true) FROM cdc.stream WHERE source_id = $1
