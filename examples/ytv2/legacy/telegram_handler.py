"""An example of calls that have to go: the bot copies the database after every video. Nobody runs it."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

DATABASE = Path(os.environ.get("SQLITE_DB_PATH", "ytv2_content.db"))
READ_FROM_POSTGRES = os.environ.get("READ_FROM_POSTGRES", "false") == "true"


class TelegramHandler:
    """Takes messages with the address of a video."""

    def store(self, video: str, summary: str) -> None:
        """Store a summary, then have the dashboard get it."""
        with sqlite3.connect(DATABASE) as connection:
            connection.execute("INSERT INTO content(id, title) VALUES (?, ?)", (video, summary))
        self.auto_sync()

    def delete(self, video: str) -> None:
        """Delete a video, which the next copy from the NAS brings back."""
        with sqlite3.connect(DATABASE) as connection:
            connection.execute("DELETE FROM content WHERE id = ?", (video,))
        self.auto_sync()

    def auto_sync(self) -> None:
        """Copy the whole file to the dashboard."""
        subprocess.run(
            [sys.executable, "sync_sqlite_db.py", str(DATABASE), "/srv/dashboard/ytv2_content.db"], check=True
        )

    def nightly(self) -> None:
        """Copy the whole file from the NAS."""
        from nas_sync import push  # noqa: PLC0415

        push("nas", "/volume1/ytv2/ytv2_content.db")
