"""A first configuration is ready: what it decides holds every row, and each choice works once its marks are gone."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import apsw
import pytest
from installation import Installation

from cdc.cli import main
from cdc.errors import ExitCode
from cdc.resources import folder

# Comments of every configuration, which show keys and choose nothing.
EXAMPLES = ("# dsn = ", "# password_file = ")

FILE = """
CREATE TABLE items(
    id INTEGER PRIMARY KEY, size INTEGER, doc TEXT, at DATETIME, seen DATETIME, flag INTEGER, ref TEXT, note TEXT);
INSERT INTO items VALUES
    (1, 12.5, '{"a": 1}', '2024-01-01 00:00:00', '', 0, '550e8400-e29b-41d4-a716-446655440000', 'n'),
    (2, 3, '[1, 2]', '2024-01-01T00:00:00Z', '2024-01-01 10:00:00', 1, '550e8400-e29b-41d4-a716-446655440001', '{');
CREATE TABLE "od]d\n# name"(id INTEGER PRIMARY KEY, "a ""b" TEXT);
INSERT INTO "od]d\n# name" VALUES(1, '{}');
CREATE TABLE mixed(id INTEGER PRIMARY KEY, n INTEGER);
INSERT INTO mixed VALUES(1, ''), (2, 5), (3, x'00');
CREATE TABLE django_migrations(id INTEGER PRIMARY KEY, app TEXT);
CREATE TABLE django_session(id INTEGER PRIMARY KEY, data TEXT);
CREATE TABLE keyless(t TEXT);
"""


def chosen_one_by_one(text: str) -> Iterator[tuple[str, str]]:
    """The text with one choice without its marks, for each choice; and what was chosen."""
    lines = text.splitlines(keepends=True)
    place = 0
    while place < len(lines):
        end = place + 1
        if lines[place].startswith("# ["):
            while end < len(lines) and re.match(r"# [\w\"-]+ = ", lines[end]):
                end += 1
        is_choice = end > place + 1 or re.match(r" {4}# \"|# [\w-]+ = ", lines[place])
        if is_choice and not lines[place].startswith(EXAMPLES):
            bare = [line.replace("# ", "", 1) for line in lines[place:end]]
            yield "".join([*lines[:place], *bare, *lines[end:]]), "".join(bare)
        place = end


def initialised(site: Installation, *options: str) -> str:
    code, out, err = site.run("init", str(site.database), "--target", site.dsn, "--force", *options)
    assert code == ExitCode.OK, err
    assert 3 <= len(out.splitlines()) <= 10, out
    return site.config_file.read_text(encoding="utf-8")


def test_each_choice_is_whole_and_accepted_by_the_plan(cut_off: Installation) -> None:
    cut_off.sql(FILE)
    text = initialised(cut_off)
    assert cut_off.run("plan")[0] == ExitCode.DIFFERENCE  # of `mixed`, for which only literals would do
    choices = list(chosen_one_by_one(text))
    assert len(choices) >= 8
    for with_one, chosen in choices:
        assert tomllib.loads(with_one) != tomllib.loads(text), chosen
        cut_off.config_file.write_text(with_one, encoding="utf-8")
        code, _, err = cut_off.run("plan")
        assert code in (ExitCode.OK, ExitCode.DIFFERENCE), f"{chosen}{err}"


@pytest.mark.parametrize("name", ["ytv2_content.db", "ytv2_migration_day.db"])
def test_of_the_samples_every_row_arrives_by_what_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    copy(folder("ytv2") / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == ExitCode.OK
    assert main(["plan"]) == ExitCode.OK
    text = (tmp_path / "cdc.toml").read_text(encoding="utf-8")
    for with_one, chosen in chosen_one_by_one(text):
        (tmp_path / "cdc.toml").write_text(with_one, encoding="utf-8")
        assert main(["plan"]) == ExitCode.OK, chosen
    capsys.readouterr()


def test_a_column_whose_numbers_do_not_fit_gets_a_type_that_holds_them_all(site: Installation) -> None:
    site.sql(FILE)
    assert tomllib.loads(initialised(site))["tables"] == {"items": {"columns": {"size": {"type": "numeric"}}}}
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_file_in_use_is_looked_at_and_neither_changed_nor_held(cut_off: Installation, mode: str) -> None:
    cut_off.sql(f"PRAGMA journal_mode = {mode}")
    cut_off.sql(FILE)
    before = cut_off.picture()
    writer = apsw.Connection(str(cut_off.database))
    writer.execute("BEGIN IMMEDIATE; INSERT INTO keyless VALUES('not yet')")
    text = initialised(cut_off)
    assert "7 tables, 6 rows" in text
    writer.execute("ROLLBACK")
    writer.close()
    after = cut_off.picture()
    assert {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)} == {
        "cdc.toml: bytes"
    }


def test_a_bare_one_looks_at_nothing(cut_off: Installation) -> None:
    cut_off.sql(FILE)
    code, out, _ = cut_off.run("-c", "bare.toml", "init", "app.db", "--bare")
    assert code == ExitCode.OK
    assert "looked at" not in out
    text = (cut_off.folder / "bare.toml").read_text(encoding="utf-8")
    assert "tables" not in tomllib.loads(text)
    assert "[tables.videos]" in text


def test_a_file_that_cannot_be_looked_at_gets_a_bare_one_and_a_word_about_it(cut_off: Installation) -> None:
    cut_off.sql("CREATE TABLE big(id INTEGER PRIMARY KEY, t TEXT)")
    for _ in range(200):
        cut_off.sql("INSERT INTO big(t) VALUES(hex(randomblob(400)))")
    data = bytearray(cut_off.database.read_bytes())
    data[-4096 * 20 : -4096 * 2] = bytes(4096 * 18)
    cut_off.database.write_bytes(data)
    code, out, _ = cut_off.run("-c", "new.toml", "init", "app.db")
    assert code == ExitCode.OK
    assert "warning: the file could not be looked at: " in out
    assert "tables" not in tomllib.loads((cut_off.folder / "new.toml").read_text(encoding="utf-8"))


# Mappers declare a reference INTEGER although it refers to a text, and a content BLOB although they write texts.
DECLARED_OTHERWISE = """
DROP TABLE t;
CREATE TABLE tag(id VARCHAR(9) PRIMARY KEY, page BLOB);
INSERT INTO tag VALUES('ab', 'a text'), ('cd', NULL);
CREATE TABLE tagged(item VARCHAR(9), tagId INTEGER NOT NULL REFERENCES tag(id), PRIMARY KEY(item, tagId));
INSERT INTO tagged VALUES('x', 'ab'), ('x', 'cd');
"""


@pytest.mark.parametrize("written_by", ["init", "plan"])
def test_columns_of_texts_that_are_declared_otherwise_become_text_also_in_a_key_and_keep_their_reference(
    site: Installation, written_by: str
) -> None:
    site.sql(DECLARED_OTHERWISE)
    text = initialised(site) if written_by == "init" else ""
    if written_by == "plan":
        assert site.run("plan")[0] == ExitCode.DIFFERENCE
        site.run("plan", "--apply", "all")
        text = site.config_file.read_text(encoding="utf-8")
    assert tomllib.loads(text)["tables"] == {
        "tag": {"columns": {"page": {"type": "text"}}},
        "tagged": {"columns": {"tagId": {"type": "text"}}},
    }
    code, out, _ = site.run("plan")
    assert code == ExitCode.OK
    assert "left out" not in out, "both ends of the foreign key are texts"
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK
