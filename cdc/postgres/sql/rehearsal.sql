-- Every column as it is: which there are is known by whoever records rehearsals.
-- name: told
SELECT to_jsonb(r)::text FROM cdc.rehearsal AS r WHERE source_id = $1
