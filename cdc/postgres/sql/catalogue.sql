-- name: tables
-- One row per column. A domain's values obey its base type, so `base` is the type under all domains; modifiers
-- (length, precision, scale) come from the column or else from the domain. Scale is 11 bits with a sign since
-- version 15; the formula gives the right number for older versions too. A partition may have triggers of its own
-- beside the copies of its parent's, which follow the parent's. Triggers of ours, which call functions of the schema `cdc`,
-- are no business of others.
WITH RECURSIVE wanted AS (
    SELECT c.oid, c.relname, c.relkind, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
        pg_catalog.row_security_active(c.oid) AS row_security
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND ($2::text[] IS NULL OR c.relname = ANY ($2::text[]))
), typed AS (
    SELECT a.attrelid, a.attnum, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_catalog.pg_attribute a
    JOIN wanted w ON w.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT d.attrelid, d.attnum, t.typbasetype, CASE WHEN d.modifier = -1 THEN t.typtypmod ELSE d.modifier END
    FROM typed d
    JOIN pg_catalog.pg_type t ON t.oid = d.type AND t.typtype = 'd'
), based AS (
    SELECT d.attrelid, d.attnum, t.oid, t.typname, d.modifier
    FROM typed d
    JOIN pg_catalog.pg_type t ON t.oid = d.type AND t.typtype <> 'd'
)
SELECT
    w.relname::text AS table_name,
    a.attname::text AS name,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
    CASE
        -- Such an interval drops parts of what it is given, so it is another type to whoever feeds it.
        WHEN b.typname = 'interval' AND b.modifier >= 0 AND (b.modifier >> 16) & 32767 <> 32767
            THEN pg_catalog.format_type(b.oid, b.modifier)
        ELSE b.typname::text
    END AS base,
    CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(b.oid, -1) ELSE '' END AS domain_of,
    a.atttypid AS oid,
    a.attnotnull OR coalesce(t.typnotnull, false) AS not_null,
    a.attgenerated = '' AND (a.atthasdef OR coalesce(t.typdefault, '') <> '') AS has_default,
    CASE WHEN a.attgenerated = '' THEN coalesce(
        (
            SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid)
            FROM pg_catalog.pg_attrdef d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
        ),
        t.typdefault,
        ''
    ) ELSE '' END AS default_expression,
    a.attgenerated <> '' AS generated,
    a.attidentity::text AS identity,
    CASE WHEN b.typname IN ('varchar', 'bpchar', '_varchar') AND b.modifier > 4 THEN b.modifier - 4 END AS length,
    CASE
        WHEN b.typname IN ('numeric', '_numeric') AND b.modifier > 4 THEN ((b.modifier - 4) >> 16) & 65535
        WHEN b.typname IN ('timestamp', 'timestamptz', 'time', '_timestamp', '_timestamptz', '_time') AND b.modifier >= 0 THEN b.modifier
        WHEN b.typname = 'interval' AND b.modifier >= 0 AND b.modifier & 65535 <> 65535 THEN b.modifier & 65535
    END AS precision,
    CASE WHEN b.typname IN ('numeric', '_numeric') AND b.modifier > 4 THEN (((b.modifier - 4) & 2047) # 1024) - 1024 END AS scale,
    coalesce(k.collname::text, '') AS collation,
    coalesce(k.collisdeterministic, true) AS deterministic,
    ARRAY(
        SELECT e.enumlabel::text
        FROM pg_catalog.pg_enum e
        WHERE e.enumtypid = b.oid
        ORDER BY e.enumsortorder
    ) AS labels,
    ARRAY(
        SELECT g.tgname::text
        FROM pg_catalog.pg_trigger g
        WHERE (g.tgrelid = w.oid OR g.tgrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(w.oid)))
            AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
            AND (g.tgrelid = w.oid OR NOT EXISTS (
                SELECT FROM pg_catalog.pg_trigger p WHERE p.oid = g.tgparentid AND p.tgenabled IN ('O', 'A')
            ))
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_proc f WHERE f.oid = g.tgfoid AND f.pronamespace = to_regnamespace('cdc')
            )
        ORDER BY g.tgname
    ) AS triggers,
    ARRAY(
        SELECT r.rulename::text FROM pg_catalog.pg_rewrite r WHERE r.ev_class = w.oid ORDER BY r.rulename
    ) AS rules,
    w.relkind = 'p' AS partitioned,
    w.row_security,
    w.owned
FROM wanted w
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN based b ON b.attrelid = w.oid AND b.attnum = a.attnum
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation
ORDER BY w.relname, a.attnum;

-- name: uniques
-- Primary keys, unique constraints, unique indexes, and exclusion constraints made of nothing but equality, which
-- are unique constraints in effect. INCLUDE columns do not count; an expression leaves `columns` empty.
SELECT
    t.relname::text AS table_name,
    i.relname::text AS name,
    x.indisprimary AS is_primary,
    coalesce(c.condeferrable, false) AS deferrable,
    x.indpred IS NOT NULL AS partial,
    CASE
        WHEN x.indexprs IS NULL THEN ARRAY(
            SELECT a.attname::text
            FROM unnest(x.indkey::int2[]) WITH ORDINALITY k (attnum, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
            WHERE k.place <= x.indnkeyatts
            ORDER BY k.place
        )
        ELSE ARRAY[]::text[]
    END AS columns
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x')
WHERE n.nspname = $1 AND ($2::text[] IS NULL OR t.relname = ANY ($2::text[])) AND x.indisvalid
    AND (
        x.indisunique
        OR (
            x.indisexclusion
            AND NOT EXISTS (
                SELECT FROM unnest(c.conexclop) e (operator)
                JOIN pg_catalog.pg_operator o ON o.oid = e.operator
                WHERE o.oprname <> '='
            )
        )
    )
ORDER BY t.relname, NOT x.indisprimary, i.relname;

-- name: foreign_keys
-- `conparentid` is set on the copies that partitions carry; only the key that was declared counts.
SELECT
    t.relname::text AS table_name,
    c.conname::text AS name,
    ARRAY(
        SELECT a.attname::text
        FROM unnest(c.conkey) WITH ORDINALITY k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
        ORDER BY k.place
    ) AS columns,
    pn.nspname::text AS parent_schema,
    p.relname::text AS parent,
    ARRAY(
        SELECT a.attname::text
        FROM unnest(c.confkey) WITH ORDINALITY k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum
        ORDER BY k.place
    ) AS parent_columns,
    c.confdeltype::text AS on_delete,
    c.confupdtype::text AS on_update,
    c.condeferrable AS deferrable
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = c.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND n.nspname = $1 AND ($2::text[] IS NULL OR t.relname = ANY ($2::text[]))
ORDER BY t.relname, c.conname;

-- name: referred_tables
-- Every table that a foreign key of this database refers to, replicated or not.
SELECT DISTINCT n.nspname::text AS schema, t.relname::text AS name
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class t ON t.oid = c.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype = 'f'

-- name: objects
-- What makes up the tables of a schema, each part as Postgres itself writes it: so two schemas can be compared that were
-- made by the same statements. Names of schemas stay out of it, but for those of other schemas that are referred to.
-- `usable` is false for a constraint that is not validated and an index that is not valid. An index whose comment begins
-- with $3 goes for the constraint that follows there; one whose name begins with $4 is left out.
WITH wanted AS (
    SELECT c.oid, c.relname::text AS table_name, c.relnamespace, n.nspname
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname = ANY ($2::text[])
), columns AS (
    SELECT w.table_name, a.attname::text AS name, a.attnotnull, a.attidentity::text AS identity, a.attgenerated,
        pg_catalog.format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attcollation <> t.typcollation THEN format(' COLLATE %I', k.collname) ELSE '' END AS type,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
    FROM wanted w
    JOIN pg_catalog.pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
), constraints AS (
    SELECT w.table_name, c.conname::text AS name, c.contype::text AS type, c.convalidated AS usable,
        CASE WHEN c.contype = 'u' AND starts_with(pg_catalog.obj_description(c.conindid, 'pg_class'), $3)
            THEN substr(pg_catalog.obj_description(c.conindid, 'pg_class'), length($3) + 1)
        WHEN c.contype <> 'f' THEN regexp_replace(pg_catalog.pg_get_constraintdef(c.oid), ' NOT VALID$', '')
        ELSE format('FOREIGN KEY (%s) REFERENCES %s%I (%s) ON DELETE %s ON UPDATE %s%s',
            (
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)
                FROM unnest(c.conkey) WITH ORDINALITY k (attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
            ),
            CASE WHEN p.relnamespace <> w.relnamespace THEN format('%I.', pn.nspname) ELSE '' END,
            p.relname,
            (
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)
                FROM unnest(c.confkey) WITH ORDINALITY k (attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum
            ),
            '{"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}'::json
                ->> c.confdeltype::text,
            '{"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}'::json
                ->> c.confupdtype::text,
            CASE WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END) END AS definition
    FROM wanted w
    JOIN pg_catalog.pg_constraint c ON c.conrelid = w.oid AND c.contype IN ('p', 'u', 'x', 'c', 'f')
    LEFT JOIN pg_catalog.pg_class p ON p.oid = c.confrelid
    LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    WHERE c.conparentid = 0
), indexes AS (
    -- What stands behind the table's name; a temporary schema is written there in one of two ways.
    SELECT w.table_name, i.relname::text AS name, x.indisunique AS is_unique, x.indisvalid AS usable,
        pg_catalog.pg_get_indexdef(x.indexrelid) AS whole,
        format('CREATE %sINDEX %I ON ', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname) AS head,
        format('%I.%I', w.nspname, w.table_name) AS place, format('pg_temp.%I', w.table_name) AS temporary,
        CASE WHEN x.indisunique AND starts_with(d.note, $3) THEN substr(d.note, length($3) + 1) END AS stands_for
    FROM wanted w
    JOIN pg_catalog.pg_index x ON x.indrelid = w.oid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    CROSS JOIN LATERAL (SELECT pg_catalog.obj_description(i.oid, 'pg_class') AS note) d
    WHERE NOT starts_with(i.relname::text, $4) AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x')
    )
)
SELECT table_name, 'table' AS kind, '' AS name, '' AS definition, true AS usable FROM wanted
UNION ALL SELECT table_name, 'column', name, type, true FROM columns
UNION ALL SELECT table_name, 'not null', name, 'NOT NULL', true FROM columns WHERE attnotnull
UNION ALL SELECT table_name, 'default', name, expression, true FROM columns
WHERE attgenerated = '' AND expression IS NOT NULL
UNION ALL SELECT table_name, 'generated', name, expression, true FROM columns WHERE attgenerated <> ''
UNION ALL SELECT table_name, 'identity', name, CASE identity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, true
FROM columns WHERE identity <> ''
UNION ALL SELECT table_name,
    CASE type WHEN 'p' THEN 'primary key' WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' ELSE 'unique' END,
    name, definition, usable
FROM constraints WHERE definition IS NOT NULL
UNION ALL SELECT table_name, 'unique', name, stands_for, usable FROM indexes WHERE stands_for IS NOT NULL
UNION ALL SELECT table_name, 'index', name, CASE WHEN is_unique THEN 'UNIQUE ' ELSE '' END
    || substr(whole, 2 + length(head || CASE WHEN starts_with(whole, head || place) THEN place ELSE temporary END)),
    usable
FROM indexes WHERE whole IS NOT NULL AND stands_for IS NULL

-- Under "C" the letters A to Z have another case, as in SQLite.
-- name: alike
SELECT c.relname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND lower(c.relname::text COLLATE "C") = ANY ($2::text[])
ORDER BY c.relname;
