-- A scratch schema for rehearsals: tables like others, and all of it gone at the end.

-- name: left_behind
-- Schemas by the comment that marks them as scratch of a source.
SELECT nspname::text AS name FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = $1

-- name: sources
-- The sources that feed, or fed, tables of a schema.
SELECT source_id FROM cdc.stream WHERE target_schema = $1
UNION SELECT source_id FROM cdc.owned_table WHERE target_schema = $1

-- name: tables
SELECT c.relname::text AS name FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p') ORDER BY 1

-- name: remembering
-- The tables of the schema `cdc` in which rows belong to a source.
SELECT c.relname::text AS name FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('cdc') AND c.relkind = 'r' AND a.attname = 'source_id' ORDER BY 1

-- name: serials
-- Columns of some tables whose default takes the next number of a sequence: a table made like them would take it from
-- the same one.
SELECT t.relname::text AS table_name, a.attname::text AS column_name
FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND NOT a.attisdropped AND a.attidentity = ''
JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum
WHERE t.relnamespace = to_regnamespace(quote_ident($1)) AND t.relname = ANY($2::text[]) AND EXISTS (
    SELECT FROM pg_depend AS p JOIN pg_class AS s ON s.oid = p.refobjid AND s.relkind = 'S'
    WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid)
ORDER BY 1, 2
