"""With `--adopt`, what both databases prove is written: the plan is then blocked by nothing that a line could solve."""

import json
import tomllib
from collections.abc import Awaitable, Callable
from typing import Any

from installation import Installation

from cdc.errors import ExitCode
from cdc.postgres.connection.open import Connection


def adopted(site: Installation) -> dict[str, Any]:
    code, out, err = site.run("init", str(site.database), "--target", site.dsn, "--adopt", "--force")
    assert code == ExitCode.OK, out + err
    return tomllib.loads(site.config_file.read_text(encoding="utf-8"))


def risks(site: Installation, *levels: str) -> list[tuple[str, str, str]]:
    found = json.loads(site.run("plan", "--json")[1])["risks"]
    return [(risk["table"], risk["column"], risk["text"]) for risk in found if risk["level"] in levels]


def test_names_columns_and_formats_that_both_prove(site: Installation) -> None:
    site.sql("DROP TABLE t")
    site.sql(
        """
        CREATE TABLE Event(Id INTEGER PRIMARY KEY, At DATETIME, Seen DATETIME, Ms INTEGER, Ok TEXT, Ref CHAR(32),
            Old TEXT, Twice INTEGER GENERATED ALWAYS AS (Id * 2));
        INSERT INTO Event VALUES(1, '2024-01-01 00:00:00', '2024-01-01', 1700000000123, 'yes',
            '550E8400E29B41D4A716446655440000', 'kept here');
        CREATE TABLE alembic_version(version_num TEXT PRIMARY KEY); INSERT INTO alembic_version VALUES('a');
        CREATE TABLE only_here(id INTEGER PRIMARY KEY);
        """
    )
    site.target_sql(
        """
        CREATE TABLE event(id int PRIMARY KEY, at timestamptz, seen timestamptz, ms timestamptz, ok boolean, ref uuid,
            twice int GENERATED ALWAYS AS (id * 2) STORED);
        CREATE TABLE alembic_version(version_num text PRIMARY KEY); INSERT INTO alembic_version VALUES('b');
        CREATE SEQUENCE taken_by_hand;
        """
    )
    said = adopted(site)
    assert said["target"]["adopt"] is True
    assert said["formats"] == {"timestamptz": "iso utc"}
    assert said["replicate"]["exclude"] == ["alembic_version", "only_here"]
    assert said["tables"]["Event"]["skip"] == ["Old", "Twice"]
    columns = said["tables"]["Event"]["columns"]
    assert {name: c["format"] for name, c in columns.items() if "format" in c} == {
        "Ms": "epoch ms",
        "Ok": "words",
        "Ref": "uuid",
    }
    assert risks(site, "blocks", "quarantine") == []
    assert "taken_by_hand" in site.config_file.read_text(encoding="utf-8")
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK


def test_dates_of_birth_around_1970_are_read_in_their_unit(site: Installation) -> None:
    site.sql("DROP TABLE t")
    site.sql("CREATE TABLE person(id INTEGER PRIMARY KEY, born DATE, seen INTEGER)")
    site.sql("INSERT INTO person VALUES(1, -626054400000, 5), (2, -89596800000, 6), (3, 31536000000, 1700000000000)")
    site.target_sql("CREATE TABLE person(id int PRIMARY KEY, born date, seen timestamptz)")
    columns = adopted(site)["tables"]["person"]["columns"]
    assert columns["born"] == {"format": "epoch ms"}
    assert columns.get("seen", {}).get("format") != "epoch ms"  # nothing but its size tells what 5 counts
    site.followed()
    assert site.run("verify", "--table", "person")[0] == ExitCode.OK


def test_each_database_keeps_its_own_list_of_migrations_whatever_its_name(site: Installation) -> None:
    for name in ("shop_migrations", "steps"):
        site.sql(f"CREATE TABLE {name}(name TEXT PRIMARY KEY); INSERT INTO {name} VALUES('001_init'), ('002_sqlite')")
        site.target_sql(f"CREATE TABLE {name}(name text PRIMARY KEY); INSERT INTO {name} VALUES('001_init')")
    site.sql("CREATE TABLE bird_migrations(id INTEGER PRIMARY KEY, route TEXT)")
    site.target_sql("CREATE TABLE bird_migrations(id int PRIMARY KEY, route text)")
    site.target_sql("CREATE TABLE t(id bigint PRIMARY KEY, v text)")
    assert adopted(site)["replicate"]["exclude"] == ["shop_migrations"]
    text = site.config_file.read_text(encoding="utf-8")
    assert '    # "bird_migrations",  # 0 rows: by its name' in text
    assert '    # "steps",  # 2 rows: it names versions or files, and Postgres has 1 row of its own' in text
    site.config_file.write_text(text.replace('# "steps"', '"steps"'), encoding="utf-8")
    assert risks(site, "blocks") == []


def test_days_before_1970_that_count_in_one_unit_are_read_by_it_whatever_their_number_of_digits(
    site: Installation,
) -> None:
    site.sql("DROP TABLE t; CREATE TABLE a(id INTEGER PRIMARY KEY, born DATE)")
    site.sql("INSERT INTO a VALUES(1, -626054400000), (2, -58060800000), (3, -86400000)")
    site.target_sql("CREATE TABLE a(id int PRIMARY KEY, born date)")
    assert adopted(site)["tables"]["a"]["columns"] == {"born": {"format": "epoch ms"}}
    assert "null" not in site.config_file.read_text(encoding="utf-8")
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK
    site.postgres(the_days_are(["1950-03-01", "1968-02-29", "1969-12-31"]))


def the_days_are(expected: list[str]) -> Callable[[Connection], Awaitable[None]]:
    async def look(connection: Connection) -> None:
        assert [str(row["born"]) for row in await connection.fetch("SELECT born::text FROM a ORDER BY id")] == expected

    return look


def test_what_nothing_feeds_is_said_first(site: Installation) -> None:
    site.target_sql("CREATE TABLE t(id int PRIMARY KEY, v text, html text, kind text NOT NULL)")
    code, out, _ = site.run("init", str(site.database), "--target", site.dsn, "--adopt", "--force")
    assert code == ExitCode.OK
    assert out.startswith("warning: t.html is NULL in every row")
    assert "warning: t.kind is NOT NULL there without a default, and nothing feeds it" in out
    text = site.config_file.read_text(encoding="utf-8")
    assert risks(site, "blocks") != []
    for line in ('[tables.t.columns.html]\n# expression = "NULL"', "[tables.t.columns.kind]\n# expression = \"''\""):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line.replace("\n# ", "\n"))
    site.config_file.write_text(text, encoding="utf-8")
    assert risks(site, "blocks", "warning") == []


def test_a_table_without_a_key_and_a_sequence_without_an_owner_are_choices(site: Installation) -> None:
    site.sql("CREATE TABLE log(t TEXT); INSERT INTO log VALUES('x'); INSERT INTO t VALUES(500, 'y')")
    site.target_sql("CREATE TABLE log(t text); CREATE TABLE t(id bigint PRIMARY KEY, v text); CREATE SEQUENCE t_id_seq")
    assert "tables" not in adopted(site)
    assert [table for table, _, _ in risks(site, "blocks")] == ["log"]
    text = site.config_file.read_text(encoding="utf-8")
    for choice in ("[tables.log]\n# helper_key = true", '[tables.t.columns.id]\n# sequence = "t_id_seq"'):
        assert f"# {choice}" in text
        text = text.replace(f"# {choice}", choice.replace("# ", ""))
    site.config_file.write_text(text, encoding="utf-8")
    assert risks(site, "blocks", "warning") == []
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK


def test_all_tables_without_a_key_are_one_thing_to_decide(site: Installation) -> None:
    site.sql("CREATE TABLE log(t TEXT); INSERT INTO log VALUES('x'), ('x'); CREATE TABLE tags(a INT NOT NULL, b INT)")
    site.sql("CREATE TABLE words(w TEXT); INSERT INTO words VALUES('w')")
    site.target_sql("CREATE TABLE t(id bigint PRIMARY KEY, v text); CREATE TABLE log(t text)")
    site.target_sql("CREATE TABLE tags(a int NOT NULL, b int); CREATE TABLE words(w text)")
    adopted(site)
    _, out, _ = site.run("plan")
    assert "NOT READY: 1 thing to decide" in out
    assert "in log, tags, words\n" in out
    assert "and in 2 more sections: `cdc plan --apply 1` writes them all" in out
    assert site.run("plan", "--apply", "all")[0] == ExitCode.USAGE, "a column there is not added unasked"
    _, out, _ = site.run("plan", "--apply", "1")
    assert "wrote 3 sections" in out
    assert "READY: 4 tables, 3 rows" in out
    assert tomllib.loads(site.config_file.read_text(encoding="utf-8"))["tables"] == {
        name: {"helper_key": True} for name in ("log", "tags", "words")
    }
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK


def test_a_loss_is_a_choice(site: Installation) -> None:
    site.sql("DROP TABLE t")
    site.sql("CREATE TABLE m(id INTEGER PRIMARY KEY, r REAL, s TEXT, at TEXT, n INTEGER)")
    site.sql("INSERT INTO m VALUES(1, 0.1, 'too long', '', 5), (2, 0.5, 'ok', '2024-01-01', 70000)")
    site.target_sql("CREATE TABLE m(id int PRIMARY KEY, r real, s varchar(3), at date, n smallint)")
    said = adopted(site)
    assert "tables" not in said
    text = site.config_file.read_text(encoding="utf-8")
    for column, line in (
        ("r", 'on_invalid = "round"'),
        ("s", 'on_invalid = "cut"'),
        ("at", 'empty = "null"'),
        ("n", 'on_invalid = "null"'),
    ):
        assert f"# [tables.m.columns.{column}]\n# {line}\n" in text


def test_a_loss_that_several_columns_of_a_type_need_is_one_choice(site: Installation) -> None:
    site.sql("DROP TABLE t")
    site.sql("CREATE TABLE m(id INTEGER PRIMARY KEY, a REAL, b REAL, at TEXT, seen TEXT)")
    site.sql("INSERT INTO m VALUES(1, 0.1, 0.2, '2024-01-01 00:00:00.5', '2024-01-01 00:00:00.7')")
    site.target_sql("CREATE TABLE m(id int PRIMARY KEY, a real, b real, at timestamp(0), seen timestamp(0))")
    assert "formats" not in adopted(site)
    text = site.config_file.read_text(encoding="utf-8")
    choice = '[formats]\n# real = "round"\n# timestamp = "round"\n'
    assert f"# {choice}" in text
    site.config_file.write_text(text.replace(f"# {choice}", choice.replace("# ", "")), encoding="utf-8")
    assert risks(site, "blocks", "quarantine") == []


def test_a_format_that_some_columns_of_a_type_would_suffer_from_is_no_rule_for_all(site: Installation) -> None:
    site.sql("DROP TABLE t")
    site.sql("CREATE TABLE m(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c TEXT)")
    site.sql("INSERT INTO m VALUES(1, 1700000000, 1700000001, '2024-01-01T00:00:00Z')")
    site.target_sql("CREATE TABLE m(id int PRIMARY KEY, a timestamptz, b timestamptz, c timestamptz)")
    said = adopted(site)
    assert "formats" not in said
    assert {name: c["format"] for name, c in said["tables"]["m"]["columns"].items()} == {
        "a": "epoch s",
        "b": "epoch s",
    }
    assert risks(site, "blocks", "quarantine") == []


def test_rows_that_are_there_already_are_replaced_by_choice_alone(site: Installation) -> None:
    site.sql("INSERT INTO t VALUES(1, 'a')")
    site.target_sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES(2, 'b')")
    assert "existing_rows" not in adopted(site)["target"]
    text = site.config_file.read_text(encoding="utf-8")
    site.config_file.write_text(text.replace("# existing_rows", "existing_rows"), encoding="utf-8")
    assert risks(site, "blocks") == []


def test_a_postgres_that_cannot_be_reached_leaves_no_configuration(cut_off: Installation) -> None:
    command = ("-c", "new.toml", "init", "app.db", "--target", cut_off.dsn, "--adopt")
    assert cut_off.run(*command)[0] == ExitCode.UNAVAILABLE
    assert not (cut_off.folder / "new.toml").exists()
