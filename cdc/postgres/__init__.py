"""Everything that touches Postgres; the only place for asyncpg."""
