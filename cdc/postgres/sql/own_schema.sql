-- name: present
-- Columns, valid indexes, and keys (by their columns in order) of all tables in the schema `cdc`.
SELECT 'column' AS kind, c.relname::text AS table_name, a.attname::text AS name
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('cdc') AND c.relkind = 'r'
UNION ALL SELECT 'index', t.relname::text, i.relname::text
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relnamespace = to_regnamespace('cdc') AND x.indisvalid
UNION ALL SELECT 'key', t.relname::text, (
    SELECT string_agg(a.attname, ', ' ORDER BY k.place)
    FROM unnest(o.conkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.number)
FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid
WHERE t.relnamespace = to_regnamespace('cdc') AND o.contype IN ('p', 'u')

-- Two commands may find the same missing at once. The number means nothing and only has to be the same.
-- name: alone
SELECT pg_advisory_xact_lock(7091283446150923)

-- What was read of a stream's row is void: its position is unknown until everything was compared. Who said that Postgres
-- is written to is believed all the same: to doubt it could overwrite what was.
-- name: forget_positions
UPDATE cdc.stream SET seq = NULL, entry = NULL, phase = CASE WHEN phase IN ('cutover', 'finalized') THEN phase ELSE 'replicate' END
WHERE seq IS NOT NULL

-- name: go_on_with_audit
-- The chain of the audit trail goes on after the newest entry that is there: its numbers are unique.
UPDATE cdc.stream AS s SET audit_n = a.n, audit_hash = a.hash
FROM (SELECT DISTINCT ON (source_id) source_id, n, hash FROM cdc.audit WHERE n IS NOT NULL ORDER BY source_id, n DESC) AS a
WHERE a.source_id = s.source_id AND (s.audit_n < a.n OR s.audit_hash = '')

-- `*` stands for every table of a source: which these are, only the daemon of that source knows.
-- name: compare_everything
UPDATE cdc.stream SET resync = ARRAY(SELECT DISTINCT unnest(resync || '{*}'::text[]) ORDER BY 1)

-- name: reread_captured
-- What applications wrote to tables whose outbox is on was noted in a table that is gone: all of these are read.
INSERT INTO cdc.outbox (source_id, target)
SELECT o.source_id, o.target_table FROM cdc.owned_table AS o
WHERE EXISTS (
    SELECT FROM pg_trigger AS g JOIN pg_proc AS f ON f.oid = g.tgfoid AND f.pronamespace = to_regnamespace('cdc')
    WHERE g.tgrelid = to_regclass(format('%I.%I', o.target_schema, o.target_table))
        AND g.tgname LIKE 'cdc\_outbox\_%' AND g.tgenabled <> 'D'
)

-- name: disabled
-- Triggers on these tables that do not fire now, whoever disabled them, but for ours.
SELECT c.relname::text AS table_name, g.tgname::text AS name
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND NOT g.tgisinternal AND g.tgenabled = 'D'
    AND NOT EXISTS (SELECT FROM pg_proc f WHERE f.oid = g.tgfoid AND f.pronamespace = to_regnamespace('cdc')) ORDER BY 1, 2

-- name: comments
SELECT c.relname::text AS name, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p')
