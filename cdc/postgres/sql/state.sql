-- The schema `cdc`: all that replication knows, beside the data it describes and in the same transactions.
-- Every statement can be run again.

-- name: create
CREATE SCHEMA IF NOT EXISTS cdc;

-- One row a source. The position is stored by the transaction that applied the changes up to it;
-- `entry` is the fingerprint of the changelog entry found there. `schema_version` is SQLite's counter as it was when
-- capture was last known to be whole. `resync` names source tables that must be read as a whole with the next batch.
-- `audit_n` and `audit_hash` are those of the newest entry in cdc.audit, `audit_copied` is how many of them the audit file
-- has; `audit_file_n` and `audit_file_hash` are those of the newest line of that file that is known here.
-- `unfinished` says that indexes and constraints are to be looked at once no table has to be read as a whole any more.
-- `saving` are those of `resync` whose rows are saved to files before they are replaced, `holding` those of another file,
-- in which rows with a tombstone wait. `ended_at` is when replication was ended on purpose.
CREATE TABLE IF NOT EXISTS cdc.stream (
    source_id      text PRIMARY KEY,
    source_path    text NOT NULL,
    target_schema  text NOT NULL,
    phase          text NOT NULL DEFAULT 'snapshot',
    seq            bigint,
    entry          text,
    snapshot_id    text,
    schema_version bigint,
    resync         text[] NOT NULL DEFAULT '{}',
    started_at     timestamptz NOT NULL DEFAULT now(),
    applied_at     timestamptz,
    changes        bigint NOT NULL DEFAULT 0,
    lag_seconds    double precision,
    heartbeat_at   timestamptz,
    owner          text,
    stopped_reason text,
    stopped_remedy text,
    audit_n         bigint NOT NULL DEFAULT 0,
    audit_hash      text NOT NULL DEFAULT '',
    audit_copied    bigint NOT NULL DEFAULT 0,
    audit_file_n    bigint NOT NULL DEFAULT 0,
    audit_file_hash text NOT NULL DEFAULT '',
    unfinished      boolean NOT NULL DEFAULT false,
    saving          text[] NOT NULL DEFAULT '{}',
    ended_at        timestamptz,
    holding         text[] NOT NULL DEFAULT '{}'
);
-- Asked first: an ALTER TABLE that alters nothing waits for the batch of a daemon all the same.
DO $upgrade$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'cdc.stream'::regclass AND attname = 'holding' AND NOT attisdropped
    ) THEN
        ALTER TABLE cdc.stream ADD COLUMN holding text[] NOT NULL DEFAULT '{}';
    END IF;
END
$upgrade$;

-- Where the stream stood in the last minutes: in which file, and since which start of the machine. `changed_at` is when
-- the main file was changed last, as its file system writes it; `log` and `frames` say which -wal file it had, how long.
CREATE TABLE IF NOT EXISTS cdc.sighting (
    source_id text NOT NULL,
    seq       bigint NOT NULL,
    entry     text NOT NULL,
    seen_at   timestamptz NOT NULL DEFAULT now(),
    boot      text NOT NULL,
    inode     text NOT NULL,
    changed_at text NOT NULL,
    log       text NOT NULL,
    frames    bigint NOT NULL,
    PRIMARY KEY (source_id, seq)
);

-- What was decided about each column when its table was made, where the data had a say. Apart from the stream's row,
-- because that one is written with every batch.
CREATE TABLE IF NOT EXISTS cdc.mapping (
    source_id text PRIMARY KEY,
    columns   jsonb NOT NULL
);

-- Leftovers: columns, and whole tables where `column_name` is NULL, that the application has no longer. They stay as
-- they were, fed no more, until the operator drops them or the application makes them again. `decided` is what was
-- decided about their columns, `dropped` says what had to go at once because it would refuse rows.
CREATE TABLE IF NOT EXISTS cdc.pending (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    target       text NOT NULL,
    column_name  text,
    noticed_at   timestamptz NOT NULL DEFAULT now(),
    decided      jsonb NOT NULL,
    dropped      text[] NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX IF NOT EXISTS pending_place ON cdc.pending (source_id, target, coalesce(column_name, ''));

-- Which tables the first load has finished, so that a load that was killed goes on with the others.
CREATE TABLE IF NOT EXISTS cdc.loaded (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    snapshot_id  text NOT NULL,
    rows         bigint NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, source_table)
);

-- Rows that Postgres cannot hold. `key` is the source key, exact and reversible. An orphan waits for the parent row
-- whose referenced columns read as `waits_for` in `waits_table`, and is released when that row arrives. Both are found
-- by their SHA-256: an index takes no entry over 2,704 bytes, and a key that is too long for one is held here.
CREATE TABLE IF NOT EXISTS cdc.quarantine (
    source_id       text NOT NULL,
    source_table    text NOT NULL,
    key             text NOT NULL,
    key_digest      bytea NOT NULL,
    reason          text NOT NULL,
    column_name     text NOT NULL DEFAULT '',
    detail          text NOT NULL,
    remedy          text NOT NULL,
    waits_table     text,
    waits_for       text,
    waits_digest    bytea,
    first_seen      timestamptz NOT NULL DEFAULT now(),
    last_seen       timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    PRIMARY KEY (source_id, source_table, key_digest)
);
DO $upgrade$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'cdc.quarantine'::regclass AND attname = 'key_digest' AND NOT attisdropped
    ) THEN
        DROP INDEX IF EXISTS cdc.quarantine_waits;
        ALTER TABLE cdc.quarantine ADD COLUMN key_digest bytea, ADD COLUMN waits_digest bytea,
            DROP CONSTRAINT IF EXISTS quarantine_pkey;
        UPDATE cdc.quarantine SET key_digest = sha256(convert_to(key, 'UTF8')),
            waits_digest = sha256(convert_to(waits_for, 'UTF8'));
        ALTER TABLE cdc.quarantine ADD PRIMARY KEY (source_id, source_table, key_digest);
    END IF;
END
$upgrade$;
CREATE INDEX IF NOT EXISTS quarantine_waits ON cdc.quarantine (source_id, waits_table, waits_digest)
    WHERE waits_table IS NOT NULL;

-- What the target of each table was like when the daemon settled last: its columns with their types, and all that is
-- demanded of rows. With a reason, the table waits alone until the target can take its rows.
CREATE TABLE IF NOT EXISTS cdc.target_table (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    target       text NOT NULL,
    types        text NOT NULL,
    shape        text NOT NULL,
    reason       text,
    remedy       text,
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, source_table)
);

-- Which row of a table is which row of SQLite, where the key in Postgres says nothing of the key in SQLite. The columns of
-- the key in Postgres stand in `target_key` as Postgres writes them. Both keys are found by their SHA-256.
CREATE TABLE IF NOT EXISTS cdc.crosswalk (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    source_key   text COLLATE "C" NOT NULL,
    target_key   text[] COLLATE "C" NOT NULL,
    source_digest bytea NOT NULL,
    target_digest bytea NOT NULL,
    PRIMARY KEY (source_id, source_table, source_digest),
    UNIQUE (source_id, source_table, target_digest)
);
DO $upgrade$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'cdc.crosswalk'::regclass AND attname = 'source_digest' AND NOT attisdropped
    ) THEN
        ALTER TABLE cdc.crosswalk ADD COLUMN source_digest bytea, ADD COLUMN target_digest bytea,
            DROP CONSTRAINT IF EXISTS crosswalk_pkey,
            DROP CONSTRAINT IF EXISTS crosswalk_source_id_source_table_target_key_key;
        UPDATE cdc.crosswalk SET source_digest = sha256(convert_to(source_key, 'UTF8')),
            target_digest = sha256(convert_to(target_key::text, 'UTF8'));
        ALTER TABLE cdc.crosswalk ALTER target_digest SET NOT NULL,
            ADD PRIMARY KEY (source_id, source_table, source_digest),
            ADD UNIQUE (source_id, source_table, target_digest);
    END IF;
END
$upgrade$;

-- Who did what, when, with what result. Entry `n` of a source is sealed: `hash` is the SHA-256, in hexadecimal, of the
-- hash before it followed by the text of `entry`, and the newest one stands in cdc.stream too. An earlier version kept
-- the parts of an entry in columns, unsealed.
CREATE TABLE IF NOT EXISTS cdc.audit (
    source_id text,
    n         bigint,
    entry     json NOT NULL,
    hash      text
);
DO $upgrade$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'cdc.audit'::regclass AND attname = 'details' AND NOT attisdropped
    ) THEN
        ALTER TABLE cdc.audit ADD COLUMN n bigint, ADD COLUMN entry json, ADD COLUMN hash text;
        UPDATE cdc.audit SET entry = json_build_object('at', to_char(at AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"'), 'actor', actor, 'action', action, 'result', result, 'details', details);
        ALTER TABLE cdc.audit ALTER COLUMN entry SET NOT NULL, DROP COLUMN id, DROP COLUMN at, DROP COLUMN actor,
            DROP COLUMN action, DROP COLUMN result, DROP COLUMN details;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'cdc.stream'::regclass AND attname = 'audit_n' AND NOT attisdropped
    ) THEN
        ALTER TABLE cdc.stream ADD COLUMN audit_n bigint NOT NULL DEFAULT 0,
            ADD COLUMN audit_hash text NOT NULL DEFAULT '', ADD COLUMN audit_copied bigint NOT NULL DEFAULT 0,
            ADD COLUMN audit_file_n bigint NOT NULL DEFAULT 0, ADD COLUMN audit_file_hash text NOT NULL DEFAULT '';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'cdc.stream'::regclass AND attname = 'unfinished' AND NOT attisdropped
    ) THEN
        ALTER TABLE cdc.stream ADD COLUMN unfinished boolean NOT NULL DEFAULT false;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'cdc.stream'::regclass AND attname = 'ended_at' AND NOT attisdropped
    ) THEN
        ALTER TABLE cdc.stream ADD COLUMN saving text[] NOT NULL DEFAULT '{}', ADD COLUMN ended_at timestamptz;
    END IF;
END
$upgrade$;
CREATE UNIQUE INDEX IF NOT EXISTS audit_order ON cdc.audit (source_id, n);

-- Triggers of the target that were enabled before replication began, to be enabled again at cutover.
-- `enabled` is pg_trigger.tgenabled as it was.
CREATE TABLE IF NOT EXISTS cdc.disabled_trigger (
    source_id     text NOT NULL,
    target_schema text NOT NULL,
    target_table  text NOT NULL,
    trigger_name  text NOT NULL,
    enabled       text NOT NULL,
    disabled_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, target_schema, target_table, trigger_name)
);

-- Comparisons of both databases: when, at which position, with what result.
CREATE TABLE IF NOT EXISTS cdc.verification (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    seq         bigint NOT NULL,
    tables      integer NOT NULL,
    complete    boolean NOT NULL,
    matched     bigint NOT NULL,
    different   bigint NOT NULL,
    missing     bigint NOT NULL,
    extra       bigint NOT NULL,
    pending     bigint NOT NULL,
    quarantined bigint NOT NULL,
    repaired    bigint NOT NULL DEFAULT 0,
    result      text NOT NULL,
    names       text[] NOT NULL DEFAULT '{}'
);
ALTER TABLE cdc.verification ADD COLUMN IF NOT EXISTS names text[] NOT NULL DEFAULT '{}';

-- How far the comparison is that never ends: every row of a table was compared after `since`, when its last whole pass
-- began. The pass under way began at `began_at`, and has compared the keys up to `after_key`, NULL at its beginning.
-- `rows` and `differences` are of the last whole pass, those of the pass under way follow.
CREATE TABLE IF NOT EXISTS cdc.verified_table (
    source_id        text NOT NULL,
    source_table     text NOT NULL,
    since            timestamptz,
    rows             bigint NOT NULL DEFAULT 0,
    differences      bigint NOT NULL DEFAULT 0,
    began_at         timestamptz,
    after_key        bigint,
    rows_so_far        bigint NOT NULL DEFAULT 0,
    differences_so_far bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, source_table)
);

-- What a table of SQLite came to at its last whole comparison, in ranges of its key: the last key of each, NULL for no end,
-- its rows and their hash. `signature` is of how the table was read then, `audit_n` the newest entry of the trail.
CREATE TABLE IF NOT EXISTS cdc.source_sums (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    signature    bytea NOT NULL,
    audit_n      bigint NOT NULL,
    summed_at    timestamptz NOT NULL,
    lasts        bigint[] NOT NULL,
    rows         bigint[] NOT NULL,
    hashes       bytea[] NOT NULL,
    PRIMARY KEY (source_id, source_table)
);

-- What shadow reads came to, by endpoint: how many ended with which verdict, how long both sides took (counts by steps of
-- `cdc.facts.timings`), which tables were read. `clean_since` is when the first answer was alike after the last difference,
-- NULL before there was one.
CREATE TABLE IF NOT EXISTS cdc.shadow_endpoint (
    source_id   text NOT NULL,
    kind        text NOT NULL,
    endpoint    text NOT NULL,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    clean_since timestamptz,
    verdicts    jsonb NOT NULL DEFAULT '{}',
    baseline    jsonb NOT NULL DEFAULT '{}',
    candidate   jsonb NOT NULL DEFAULT '{}',
    tables      text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (source_id, kind, endpoint)
);

-- Where answers differed, with a few examples of each place and cause: they hold what users see.
CREATE TABLE IF NOT EXISTS cdc.shadow_difference (
    source_id text NOT NULL,
    kind      text NOT NULL,
    endpoint  text NOT NULL,
    cause     text NOT NULL,
    path      text NOT NULL,
    first_at  timestamptz NOT NULL DEFAULT now(),
    last_at   timestamptz NOT NULL DEFAULT now(),
    times     bigint NOT NULL,
    examples  jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (source_id, kind, endpoint, cause, path)
);

-- Which rows were deleted lately, by their source keys: a row of such a key comes back from the dead. `deleted_at` is the
-- time that the changelog has, `applied_at` when Postgres had it. `returned_at` is when a row of that key was taken in
-- again: then it is a tombstone no more, but the trace of one. `waits` says that one came with another file and waits in
-- quarantine for somebody to decide. A key has one at most, seen to by whoever writes it: a unique key over digests would
-- make deletions several times as slow. A hash index takes keys of any length.
CREATE TABLE IF NOT EXISTS cdc.tombstone (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    key          text COLLATE "C" NOT NULL,
    deleted_at   timestamptz NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT now(),
    cause        text NOT NULL,
    returned_at  timestamptz,
    waits        boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS tombstone_key ON cdc.tombstone USING hash (key);

-- Which rows were repaired lately, by the SHA-256 of their source keys: one that differs again was written again.
CREATE TABLE IF NOT EXISTS cdc.repaired_row (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    key_digest   bytea NOT NULL,
    repaired_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, source_table, key_digest)
);

-- Which source feeds a target table: one only. It counts while the table is there and its source has not ended.
-- An earlier version kept no such list: what one source alone can have made or filled is its own. What two may have
-- belongs to the one that comes first.
DO $upgrade$
BEGIN
    IF to_regclass('cdc.owned_table') IS NULL THEN
        CREATE TABLE cdc.owned_table (
            target_schema text NOT NULL,
            target_table  text NOT NULL,
            source_id     text NOT NULL,
            since         timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (target_schema, target_table)
        );
        INSERT INTO cdc.owned_table (target_schema, target_table, source_id, since)
        SELECT s.target_schema, c.relname, min(s.source_id), min(s.started_at)
        FROM cdc.stream AS s JOIN cdc.mapping AS m USING (source_id)
        CROSS JOIN LATERAL jsonb_object_keys(m.columns) AS source_table
        JOIN pg_namespace AS n ON n.nspname = s.target_schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND CASE
            WHEN obj_description(c.oid, 'pg_class') LIKE 'cdc: replica of %'
                THEN obj_description(c.oid, 'pg_class') = 'cdc: replica of ' || source_table
            ELSE c.relname = source_table
        END
        WHERE s.seq IS NOT NULL
        GROUP BY s.target_schema, c.relname HAVING count(DISTINCT s.source_id) = 1;
    END IF;
END
$upgrade$;

-- Indexes, constraints and NOT NULL that a target does without, because rows stood in the way: that they are missing is
-- known. `kind` is what the statement would have made. An earlier version told of indexes in the audit trail alone.
DO $upgrade$
BEGIN
    IF to_regclass('cdc.left_out') IS NULL THEN
        CREATE TABLE cdc.left_out (
            source_id    text NOT NULL,
            target_table text NOT NULL,
            kind         text NOT NULL,
            name         text NOT NULL,
            why          text NOT NULL,
            since        timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (source_id, target_table, kind, name)
        );
        INSERT INTO cdc.left_out (source_id, target_table, kind, name, why)
        SELECT source_id, entry #>> '{details,table}', 'index', entry #>> '{details,index}', entry #>> '{details,why}'
        FROM cdc.audit WHERE entry ->> 'action' = 'leave out index' AND source_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
END
$upgrade$;

-- Views that were made, by their names: one of them that is gone was dropped by somebody else.
CREATE TABLE IF NOT EXISTS cdc.made_view (
    source_id text NOT NULL,
    name      text NOT NULL,
    PRIMARY KEY (source_id, name)
);

-- What the targets were last found to have otherwise than they were made, as `cdc verify` tells it.
CREATE TABLE IF NOT EXISTS cdc.schema_finding (
    source_id    text NOT NULL,
    source_table text NOT NULL,
    kind         text NOT NULL,
    name         text NOT NULL,
    expected     text NOT NULL,
    actual       text NOT NULL,
    remedy       text NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, source_table, kind, name)
);

-- What a switch between the two databases goes by, one row a source that prepared one. Which of them applications write
-- to is told by the phase of the stream, since `switched_at`. Every change up to entry `verified_seq` was found equal in
-- both at `prepared_at`, and the changelog is kept from there on. `forms` are how the application writes its values, by
-- table and column, as they were learned then: rows that come back are written like that.
CREATE TABLE IF NOT EXISTS cdc.switch (
    source_id    text PRIMARY KEY,
    switched_at  timestamptz,
    prepared_at  timestamptz,
    verified_seq bigint,
    forms        jsonb NOT NULL DEFAULT '{}'
);

-- The steps of every cutover and rollback, each noted before it begins and when it has ended. `run` names one attempt.
CREATE TABLE IF NOT EXISTS cdc.switch_step (
    source_id text NOT NULL,
    run       text NOT NULL,
    n         integer NOT NULL,
    step      text NOT NULL,
    began_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at  timestamptz,
    outcome   text,
    detail    text NOT NULL DEFAULT '',
    PRIMARY KEY (source_id, run, n)
);

-- Which rows applications wrote in Postgres, since they may, and replication has yet to take to SQLite: their keys as
-- Postgres writes them, NULL for a whole table. `xid` is the transaction that wrote an entry: which entries a snapshot
-- shows is known by it, and cannot be known by numbers, which are given before transactions end.
CREATE TABLE IF NOT EXISTS cdc.outbox (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id text NOT NULL,
    target    text NOT NULL,
    key       text[],
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id()
);

-- Rows that applications wrote in Postgres and that SQLite cannot hold, with the reason. A key that is written again is
-- tried again.
CREATE TABLE IF NOT EXISTS cdc.uncarried (
    source_id    text NOT NULL,
    target       text NOT NULL,
    key          text[] NOT NULL,
    source_table text NOT NULL,
    column_name  text NOT NULL,
    detail       text NOT NULL,
    remedy       text NOT NULL,
    since        timestamptz NOT NULL DEFAULT now()
);

-- Rehearsals of a cutover and a rollback, on a copy: `schema_name` is the application's schema in SQLite as it was then.
-- `steps` has by side and step how many milliseconds each took, `refused` by side for how many seconds writes were
-- refused. The newest ones are kept.
CREATE TABLE IF NOT EXISTS cdc.rehearsal (
    id          text PRIMARY KEY,
    source_id   text NOT NULL,
    began_at    timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    times       integer NOT NULL,
    kills       integer NOT NULL,
    schema_name text NOT NULL,
    result      text NOT NULL,
    refused     jsonb NOT NULL,
    steps       jsonb NOT NULL
);

-- Rights to write that other roles had on target tables, withheld while these are fenced; the role 0 is everybody.
CREATE TABLE IF NOT EXISTS cdc.withheld_right (
    source_id     text NOT NULL,
    target_schema text NOT NULL,
    target_table  text NOT NULL,
    role          oid NOT NULL,
    privilege     text NOT NULL,
    column_name   text NOT NULL DEFAULT '',
    grantable     boolean NOT NULL,
    PRIMARY KEY (source_id, target_schema, target_table, role, privilege, column_name)
);
