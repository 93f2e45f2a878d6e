"""APScheduler: jobs as pickled blobs with the next time they run as a real number."""

import secrets
import sys

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler


def write(scheduler: BackgroundScheduler) -> None:
    """Jobs that come, move and go."""
    jobs = [
        scheduler.add_job("math:sqrt", "interval", minutes=5 + n, args=[n], id=secrets.token_hex(8)) for n in range(8)
    ]
    scheduler.reschedule_job(jobs[0].id, trigger="interval", hours=1)
    scheduler.pause_job(jobs[1].id)
    scheduler.remove_job(jobs[2].id)


if __name__ == "__main__":
    step, url = sys.argv[1:]
    scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url=url)})
    scheduler.start(paused=True)
    if step == "write":
        write(scheduler)
    scheduler.shutdown()
