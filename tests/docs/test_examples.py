"""The calls that help texts show: every command has some, the command line takes them, and they do what they say."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import click
import pytest
from pages import Parse, calls, commands, only_parsing

from cdc.cli import main
from cdc.cli.help import Command, Example
from cdc.cli.main import cli
from cdc.resources import folder

# What stands for something of the reader's own.
SNAPSHOT = "20261123T074617.781783Z-b313a9"
VIDEO = "yt:video-c"
# Calls that follow for ever, need a terminal, play for a minute, or belong to a shell: other tests run those.
RUN_ELSEWHERE = {
    "cdc finalize --dry-run",
    "cdc finalize",
    "cdc finalize --yes --json",
    "cdc cleanup --dry-run",
    "cdc cleanup",
    "cdc cleanup --release /srv/old/app.db",
    "cdc cleanup --legacy /srv/app /etc/cron.d",
    "cdc cleanup --legacy /srv/app --apply",
    "cdc init app.db && cdc up",
    "cdc init app.db --target postgresql://cdc@db.lan/app --adopt",
    "cdc plan --apply 1,3b",
    """cdc tombstones accept --table content --key "'yt:video-c'\"""",
    "cdc psql",
    'cdc psql -- -c "SELECT count(*) FROM content"',
    "cdc up",
    "cdc run",
    "cdc -c /etc/cdc/bot.toml --log-json run",
    "cdc restore .cdc/snapshots/20261123T074617.781783Z-b313a9 --to newest.db --with-changes",
    "cdc status --watch",
    "cdc unit | sudo tee /etc/systemd/system/cdc.service",
    "cdc unit --proxy | sudo tee /etc/systemd/system/cdc-proxy.service",
    "cdc -c /etc/cdc/bot.toml unit --name bot --user bot",
    "cdc shadow http --requests paths.txt",
    "cdc shadow http --openapi openapi.json --repeat 20",
    'cdc shadow http --from-data "/api/reports/{id}=SELECT id FROM content" --sample 500',
    "cdc shadow http --access-log access.log --minutes 10",
    "cdc shadow proxy",
    "cdc shadow proxy --listen 127.0.0.1:8000 --minutes 60",
    "cdc shadow proxy --serve-candidate 5%",
    "cdc shadow sql queries.toml",
    "cdc shadow sql queries.sql --repeat 100",
    "cdc shadow sql --explore 200",
    "cdc rehearse",
    "cdc rehearse --times 10",
    "cdc rehearse --kill",
    "cdc flag reads postgres",
    "cdc flag reads sqlite",
    "cdc demo",
    "cdc demo --keep /tmp/story",
    'eval "$(cdc completion bash)"',
    "cdc completion zsh > ~/.zfunc/_cdc",
    "cdc completion fish > ~/.config/fish/completions/cdc.fish",
}


def examples() -> Iterator[Example]:
    for _, command in commands():
        assert isinstance(command, Command)
        yield from command.examples


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Parse:
    return only_parsing(monkeypatch)


@pytest.mark.parametrize(("path", "command"), list(commands()))
def test_the_help_of_every_command_ends_with_examples_of_itself(path: str, command: click.Command) -> None:
    if path in {"cdc quarantine", "cdc shadow"}:
        return  # their commands have them
    assert isinstance(command, Command)
    assert command.examples
    told = command.get_help(click.Context(command, info_name=path))
    for example in command.examples:
        assert f"\n  {example.call}\n" in f"{told}\n"
        assert any(words[: path.count(" ")] == path.split()[1:] for words in without_options_before(example.call))


def without_options_before(call: str) -> list[list[str]]:
    """The calls in an example, without what stands before the command."""
    found = re.sub(r"\bcdc( -c \S+| --quiet| --log-json)+", "cdc", call)
    return list(calls(found))


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.call)
def test_every_example_is_understood(example: Example, parse: Parse) -> None:
    found = list(calls(example.call))
    assert found
    for words in found:
        assert parse(words) == 0, example.call


def test_an_example_with_an_unknown_option_would_be_noticed(parse: Parse) -> None:
    assert [parse(words) for words in calls("cdc status --sideways && cdc")] == [64, 64]


def test_the_help_names_the_commands_in_the_order_of_an_operators_way() -> None:
    told = cli.get_help(click.Context(cli, info_name="cdc"))
    way = ["init", "plan", "snapshot", "schema", "load", "up", "run", "status", "verify", "quarantine", "cleanup"]
    places = [told.index(f"\n  {name} ") for name in way]
    assert places == sorted(places)


def test_every_command_stands_under_a_heading_in_a_line_of_80_columns() -> None:
    told = cli.get_help(click.Context(cli, info_name="cdc", terminal_width=80))
    for name, command in cli.commands.items():
        assert re.search(rf"^  {name} +{re.escape(command.get_short_help_str(200))}$", told, re.MULTILINE), name


def test_the_examples_do_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sample(tmp_path / "app.db")
    shutil.copyfile(tmp_path / "app.db", tmp_path / "bot.db")
    all_calls = [example.call for example in examples()]
    assert set(all_calls) >= RUN_ELSEWHERE
    for call in all_calls:
        for words in [] if call in RUN_ELSEWHERE else calls(call):
            given = [in_the_test(word, tmp_path, database) for word in words]
            again = ["--force"] if "init" in given else []
            code = main([*given, *again])
            shown = capsys.readouterr()
            # 1 says that something was found, 2 that no daemon runs, of a report that nothing was asked, and of a
            # rollback that there was no cutover.
            found = {0, 1, 2} if {"status", "report", "rollback"} & set(given) else {0, 1}
            assert code in found, f"{call}: {shown.out}{shown.err}"
            if "init" in given:
                assert main([*given, "--target", database, "--schema", "public", *again]) == 0
    assert (tmp_path / "restored.db").exists()


def sample(path: Path) -> None:
    """An application's file with a row that Postgres will not hold."""
    shutil.copyfile(folder("ytv2") / "ytv2_migration_day.db", path)
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO content(id, view_count) VALUES (?, 'many')", (VIDEO,))
    connection.close()


def in_the_test(word: str, place: Path, database: str) -> str:
    """A word of an example, with the test's own folders in it."""
    taken = next(place.glob(".cdc/snapshots/2*"), place / SNAPSHOT).name
    moved = word.replace("/etc/cdc/", f"{place}/").replace("/srv/bot/", f"{place}/").replace(SNAPSHOT, taken)
    return database if moved.startswith("postgresql:") else moved
