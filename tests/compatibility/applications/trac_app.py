"""Trac: wiki pages, tickets, milestones and sessions, in SQL that its makers wrote by hand for each database."""

import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trac.env import Environment
from trac.ticket.model import Milestone, Ticket, Version
from trac.web.session import DetachedSession
from trac.wiki.model import WikiPage


@contextmanager
def environment(step: str, url: str) -> Iterator[Environment]:
    """The environment that has its database there: beside a SQLite file, else in a folder for this step only."""
    with tempfile.TemporaryDirectory() as passing:
        kind, _, path = url.partition(":")
        folder, database = Path(passing) / "trac", url
        if kind == "sqlite":
            folder, database = Path(path).parent / "trac", f"sqlite:../{Path(path).name}"
        options = [("trac", "database", database), ("logging", "log_type", "none")]
        made = Environment(str(folder), create=step == "migrate", options=options if step == "migrate" else [])
        yield made
        made.shutdown()


def write(env: Environment) -> None:
    """Pages with versions, tickets with changes, and each kind deleted and renamed once."""
    mark = secrets.token_hex(4)
    for number in range(6):
        page = WikiPage(env, f"Page{mark}{number}")
        page.text = f"= Zoë 🎉 {number} =\n" * 20
        page.save("ann", "a new page")
        page.text += "more"
        page.save("bob", "more of it")
        ticket = Ticket(env)
        ticket.populate({"summary": f"It's broken {mark}", "reporter": "ann", "owner": "", "keywords": "ä, ö"})
        ticket.insert()
        ticket["status"] = "closed"
        ticket.save_changes("bob", "done 🎉")
        session = DetachedSession(env, f"{mark}{number}")
        session["name"] = "Zoë"
        session.save()
        milestone = Milestone(env)
        milestone.name = f"milestone {mark}{number}"
        milestone.insert()
        version = Version(env)
        version.name = f"{mark}.{number}"
        version.insert()
    WikiPage(env, f"Page{mark}0").delete()
    WikiPage(env, f"Page{mark}1").rename(f"Renamed{mark}")
    Milestone(env, f"milestone {mark}2").delete()
    Ticket(env, ticket.id).delete()


if __name__ == "__main__":
    step, url = sys.argv[1:]
    with environment(step, url) as opened:
        if step == "write":
            write(opened)
