-- Shadow reads: counts are added to what is there, by whoever asks.

-- name: endpoint
INSERT INTO cdc.shadow_endpoint AS e (source_id, kind, endpoint, clean_since, verdicts, baseline, candidate, tables)
VALUES ($1, $2, $3, CASE WHEN $5 THEN now() END, $6::text::jsonb, $7::text::jsonb, $8::text::jsonb, $9)
ON CONFLICT (source_id, kind, endpoint) DO UPDATE SET last_at = now(),
    -- $4 says that something differed, $5 that a later answer, or another one, was alike.
    clean_since = CASE WHEN NOT $4 THEN coalesce(e.clean_since, EXCLUDED.clean_since) ELSE EXCLUDED.clean_since END,
    verdicts = (SELECT jsonb_object_agg(key, n) FROM (SELECT key, sum(value::bigint) AS n FROM (
        SELECT * FROM jsonb_each_text(e.verdicts) UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.verdicts)
    ) AS counts GROUP BY key) AS sums),
    baseline = coalesce((SELECT jsonb_object_agg(key, n) FROM (SELECT key, sum(value::bigint) AS n FROM (
        SELECT * FROM jsonb_each_text(e.baseline) UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.baseline)
    ) AS counts GROUP BY key) AS sums), '{}'),
    candidate = coalesce((SELECT jsonb_object_agg(key, n) FROM (SELECT key, sum(value::bigint) AS n FROM (
        SELECT * FROM jsonb_each_text(e.candidate) UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.candidate)
    ) AS counts GROUP BY key) AS sums), '{}'),
    tables = ARRAY(SELECT DISTINCT unnest(e.tables || EXCLUDED.tables) ORDER BY 1)

-- The newest examples stay.
-- name: difference
INSERT INTO cdc.shadow_difference AS d (source_id, kind, endpoint, cause, path, times, examples)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
ON CONFLICT (source_id, kind, endpoint, cause, path) DO UPDATE SET last_at = now(), times = d.times + EXCLUDED.times,
    examples = (SELECT jsonb_agg(example ORDER BY place) FROM (
        SELECT * FROM jsonb_array_elements(EXCLUDED.examples || d.examples) WITH ORDINALITY AS x (example, place)
        ORDER BY place LIMIT $8
    ) AS newest)

-- name: endpoints
SELECT kind, endpoint, first_at, last_at, clean_since, verdicts::text AS verdicts, baseline::text AS baseline,
    candidate::text AS candidate, tables
FROM cdc.shadow_endpoint WHERE source_id = $1 ORDER BY kind, endpoint

-- name: differences
SELECT kind, endpoint, cause, path, first_at, last_at, times, examples::text AS examples
FROM cdc.shadow_difference WHERE source_id = $1 ORDER BY kind, endpoint, times DESC, cause, path

-- name: forget
WITH gone AS (DELETE FROM cdc.shadow_difference WHERE source_id = $1)
DELETE FROM cdc.shadow_endpoint WHERE source_id = $1

-- A recording without a candidate is no shadow read. What only moved was never shown.
-- name: summary
SELECT count(*) AS endpoints, count(*) FILTER (WHERE clean_since IS NULL) AS differing, max(clean_since) AS clean_since,
    count(*) FILTER (WHERE clean_since IS NULL AND verdicts ?| '{different,unstable}') AS unlike, max(last_at) AS last_at
FROM cdc.shadow_endpoint WHERE source_id = $1 AND kind <> 'baseline'
