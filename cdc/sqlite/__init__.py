"""Everything that touches the application's SQLite file; the only place for apsw and watchdog."""
