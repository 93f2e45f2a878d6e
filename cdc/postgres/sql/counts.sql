-- Tables that are gone have no size.
-- name: sizes
SELECT pg_relation_size(to_regclass(name)) AS bytes FROM unnest($1::text[]) WITH ORDINALITY AS t (name, place)
ORDER BY place

-- name: held
SELECT coalesce(json_object_agg(source_table, rows), '{}') FROM (
    SELECT source_table, count(*) AS rows FROM cdc.quarantine
    WHERE source_id = $1 AND source_table = ANY($2::text[]) GROUP BY source_table
) AS q
