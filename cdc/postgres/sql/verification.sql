-- Each comparison is a row of its own, so that the first one that was not equal can be found again.
-- name: record
INSERT INTO cdc.verification (source_id, started_at, finished_at, seq, tables, complete, matched, different, missing,
    extra, pending, quarantined, repaired, result)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)

-- Only a comparison of all tables says anything about the whole.
-- name: latest
SELECT started_at, finished_at, seq, tables, complete, matched, different, missing, extra, pending, quarantined,
    repaired, result
FROM cdc.verification WHERE source_id = $1 AND complete ORDER BY finished_at DESC LIMIT 1
