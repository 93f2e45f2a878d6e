"""A plan of a file that was copied, while Postgres does not answer: it is of the snapshot, and says so."""

import json

from installation import CLOSED_PORT, Installation

from cdc.errors import ExitCode


def test_what_the_plan_is_of_is_said_where_it_is_not_the_file_of_now(site: Installation) -> None:
    said = "not of the file of now: Postgres does not answer"
    assert said not in site.run("plan")[1]
    site.followed()
    site.sql("CREATE TABLE later(id INTEGER PRIMARY KEY)")
    assert said not in site.run("plan")[1]
    site.configure(f'[target]\ndsn = "{CLOSED_PORT}"')
    code, out, _ = site.run("plan")
    assert code == ExitCode.OK
    assert said in " ".join(out.split())
    assert "1 table, 0 rows" in out  # as it was then
    told = json.loads(site.run("plan", "--json")[1])
    assert f"of the snapshot taken at {told['snapshot_instead'][:19].replace('T', ' ')} UTC" in " ".join(out.split())
