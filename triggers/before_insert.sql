-- Before the row goes in: log the rows that a REPLACE would remove. Entries for rows that stay do no harm.
CREATE TRIGGER $trigger BEFORE INSERT ON $table
BEGIN
$lookups
END
