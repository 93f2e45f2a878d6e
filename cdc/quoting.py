"""The one place where names become SQL. Names of tables, columns and files are data of users, never pasted."""


def quote(name: str) -> str:
    """A name as a quoted identifier; both SQLite and Postgres double the quote inside."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A text as a quoted literal for the few places where no parameter can be bound (DDL, trigger bodies)."""
    return "'" + text.replace("'", "''") + "'"


def qualified(schema: str, name: str) -> str:
    """A name with its schema, both quoted."""
    return f"{quote(schema)}.{quote(name)}"
