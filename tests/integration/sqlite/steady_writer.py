"""An application in a process of its own that never pauses, with Python's SQLite and its busy timeout of 5 seconds.

Usage: steady_writer.py DATABASE MOST

It writes to the table `t` in the ways Python's module has, until its input is closed or MOST transactions were made. A
write that fails ends it with a trace.
"""

import select
import sqlite3
import sys


def main(database: str, most: str) -> None:
    connection = sqlite3.connect(database)
    for number in range(int(most)):
        if select.select([sys.stdin], [], [], 0)[0]:
            break
        with connection:
            connection.execute("INSERT INTO t(v) VALUES (?)", (f"value {number}",))
            if number % 3 == 0:
                connection.execute("UPDATE t SET v = v || '.' WHERE id = (SELECT max(id) - 5 FROM t)")
            if number % 4 == 0:
                connection.execute("DELETE FROM t WHERE id = (SELECT max(id) - 50 FROM t)")
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
