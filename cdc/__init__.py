"""A live SQLite application moves to PostgreSQL and loses nothing."""

__version__ = "0.1.0"
