-- Whoever writes to the chain of a source holds its row until the end of the transaction, so writers take turns.
-- name: end_for_update
SELECT audit_n AS n, audit_hash AS hash FROM cdc.stream WHERE source_id = $1 FOR UPDATE

-- name: append
WITH moved AS (UPDATE cdc.stream SET audit_n = $2, audit_hash = $3 WHERE source_id = $1)
INSERT INTO cdc.audit (source_id, n, entry, hash)
SELECT $1, t.n, t.entry::json, t.hash FROM unnest($4::bigint[], $5::text[], $6::text[]) AS t (n, entry, hash)

-- name: ends
SELECT audit_n, audit_hash, audit_copied, audit_file_n, audit_file_hash FROM cdc.stream WHERE source_id = $1

-- Entries of a version that knew no hashes come first; some of them may not know their source.
-- name: stored
SELECT entry::text AS text, hash FROM cdc.audit WHERE source_id = $1 OR source_id IS NULL
ORDER BY n NULLS FIRST, CASE WHEN n IS NULL THEN entry ->> 'at' END

-- The entry where the file ends as far as it has copies, to see that it still is the same, and what came after it.
-- name: read_from
SELECT n, entry::text AS text, hash FROM cdc.audit
WHERE source_id = $1 AND n >= $2 AND n <= greatest($2, $3) ORDER BY n LIMIT $4

-- name: note_copied
UPDATE cdc.stream SET audit_copied = $2, audit_file_n = $3, audit_file_hash = $4 WHERE source_id = $1

-- A commit that waits for the disk, and so for all commits before it.
-- name: touch
UPDATE cdc.stream SET audit_copied = audit_copied WHERE source_id = $1 RETURNING audit_n

-- name: bounds
SELECT s.audit_n AS newest, (SELECT min(n) FROM cdc.audit AS a WHERE a.source_id = s.source_id) AS oldest
FROM cdc.stream AS s WHERE source_id = $1

-- name: oldest_entries
SELECT n, entry::text AS text, hash FROM cdc.audit WHERE source_id = $1 AND n <= $2 ORDER BY n

-- name: drop_through
DELETE FROM cdc.audit WHERE source_id = $1 AND n <= $2
