-- Each comparison is a row of its own, so that the first one that was not equal can be found again.
-- name: record
INSERT INTO cdc.verification (source_id, started_at, finished_at, seq, tables, complete, matched, different, missing,
    extra, pending, quarantined, repaired, result, names)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- Only a comparison of all tables says anything about the whole.
-- name: latest
SELECT started_at, finished_at, seq, tables, complete, matched, different, missing, extra, pending, quarantined,
    repaired, result, names
FROM cdc.verification WHERE source_id = $1 AND complete ORDER BY finished_at DESC LIMIT 1

-- A comparison of some tables that was not equal holds until all of them were compared again.
-- name: differing
SELECT started_at, finished_at, seq, tables, complete, matched, different, missing, extra, pending, quarantined,
    repaired, result, names
FROM cdc.verification AS v WHERE source_id = $1 AND NOT complete AND result <> 'equal' AND NOT EXISTS (
    SELECT FROM cdc.verification AS later
    WHERE later.source_id = v.source_id AND later.finished_at > v.finished_at
        AND (later.complete OR (later.result = 'equal' AND later.names @> v.names))
)
ORDER BY finished_at DESC LIMIT 1

-- The tables that such comparisons name, until they are compared again and equal.
-- name: outstanding
SELECT DISTINCT name FROM cdc.verification AS v CROSS JOIN unnest(v.names) AS name
WHERE source_id = $1 AND NOT complete AND result <> 'equal' AND NOT EXISTS (
    SELECT FROM cdc.verification AS later
    WHERE later.source_id = v.source_id AND later.finished_at > v.finished_at
        AND (later.complete OR (later.result = 'equal' AND name = ANY(later.names)))
)

-- name: newest
SELECT started_at, finished_at, seq, tables, complete, matched, different, missing, extra, pending, quarantined,
    repaired, result, names
FROM cdc.verification WHERE source_id = $1 ORDER BY finished_at DESC, id DESC LIMIT $2
