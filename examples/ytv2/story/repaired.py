"""What a person makes of the legacy files by hand, as the list of remains says, before the scripts themselves go."""

from typing import Final

CRONTAB: Final = """\
30 3 * * * /srv/ytv2/backup_thumbnails.sh
"""

COMPOSE: Final = """\
services:
  dashboard:
    image: ytv2-dashboard
    environment:
      - DATABASE_URL=postgresql://ytv2@database/ytv2
"""

HANDLER: Final = '''\
"""The bot stores and deletes videos in Postgres, and copies nothing."""

import os

import psycopg


class TelegramHandler:
    """Takes messages with the address of a video."""

    def store(self, video: str, summary: str) -> None:
        """Store a summary."""
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            connection.execute("INSERT INTO content(id, title) VALUES (%s, %s)", (video, summary))

    def delete(self, video: str) -> None:
        """Delete a video, for good."""
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            connection.execute("DELETE FROM content WHERE id = %s", (video,))
'''

REPAIRED: Final = {"crontab": CRONTAB, "docker-compose.yml": COMPOSE, "telegram_handler.py": HANDLER}
