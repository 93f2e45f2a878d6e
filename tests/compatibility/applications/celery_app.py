"""Celery: results of tasks as pickled blobs, groups of them."""

import secrets
import sys

from celery import Celery, states
from celery.backends.database import DatabaseBackend
from celery.result import GroupResult


def write(app: Celery) -> None:
    """Results that come, change, are forgotten and grow old."""
    backend: DatabaseBackend = app.backend
    tasks = [secrets.token_hex(8) for _ in range(12)]
    for number, task in enumerate(tasks):
        backend.store_result(task, {"n": number, "half": number / 2, "words": "Zoë 🎉\0"}, states.SUCCESS)
    backend.store_result(tasks[0], ValueError("on purpose"), states.FAILURE, traceback="Traceback: …")
    backend.mark_as_revoked(tasks[1])
    backend.forget(tasks[2])
    group = GroupResult(secrets.token_hex(8), [app.AsyncResult(task) for task in tasks[3:6]])
    backend.save_group(group.id, group)
    backend.delete_group(group.id)
    kept = GroupResult(secrets.token_hex(8), [app.AsyncResult(task) for task in tasks[6:9]])
    backend.save_group(kept.id, kept)


if __name__ == "__main__":
    step, url = sys.argv[1:]
    app = Celery(backend=f"db+{url}")
    app.conf.update(result_extended=True, database_create_tables_at_setup=True)
    if step == "write":
        write(app)
    else:
        app.backend.ResultSession()
