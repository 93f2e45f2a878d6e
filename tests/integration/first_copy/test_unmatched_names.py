"""A name in the configuration that means nothing in the file is told by whoever goes by that configuration."""

import json

import pytest
from installation import Installation

from cdc.errors import ExitCode
from cdc.postgres.connection.open import Connection
from cdc.postgres.tables.catalogue import read_tables


@pytest.mark.parametrize("command", [["up", "--until-idle"], ["run", "--until-idle"], ["snapshot"]])
def test_a_command_warns_of_each_name_that_means_nothing(site: Installation, command: list[str]) -> None:
    if command[0] == "run":
        assert site.run("up", "--until-idle")[0] == ExitCode.OK
    site.configure("[replicate]\nexclude = ['sessions']", "[tables.'log_*']\nskip = ['body']")
    warned = {}
    for line in site.run("--log-json", *command)[2].splitlines():
        entry = json.loads(line)
        if entry["message"] == "a name in the configuration means nothing in the file":
            warned[entry["object"]] = entry["reason"]
    assert warned == {
        "sessions": "`exclude` in [replicate] names it, and nothing in the SQLite file is called so",
        "log_*": "a section under [tables] is for it, and nothing in the SQLite file is like it",
    }


def test_the_plan_tells_them_first(site: Installation) -> None:
    site.configure("[replicate]\nexclude = ['sessions', 'tmp_*']")
    code, out, _ = site.run("plan", "--json")
    assert code == ExitCode.OK
    found = [(risk["level"], risk["table"]) for risk in json.loads(out)["risks"][:2]]
    assert found == [("warning", "sessions"), ("warning", "tmp_*")]


def test_a_pattern_shapes_every_table_that_it_means(site: Installation) -> None:
    for name in ("log_a", "log_b", "other"):
        site.sql(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, at DATETIME, body TEXT)")
        site.sql(f"INSERT INTO {name}(at, body) VALUES('2024-01-01T00:00:00Z', 'b')")
    site.configure("[tables.'LOG_*']\nskip = ['body']\n[tables.'LOG_*'.columns.at]\ntype = 'text'")
    assert site.run("up", "--until-idle")[0] == ExitCode.OK
    shapes = {}

    async def look(connection: Connection) -> None:
        for name in ("log_b", "other"):
            (found,) = (await read_tables(connection, "public", [name])).values()
            shapes[name] = {column.name: column.type for column in found.columns}

    site.postgres(look)
    assert shapes == {
        "log_b": {"id": "bigint", "at": "text"},
        "other": {"id": "bigint", "at": "timestamp with time zone", "body": "text"},
    }
    assert site.run("verify")[0] == ExitCode.OK
