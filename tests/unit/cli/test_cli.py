"""The command line without databases: init, usage errors, exit codes, progress, tables, logs, the audit file."""

import asyncio
import gc
import io
import json
import os
import signal
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from loguru import logger

from cdc import log
from cdc.audit import trail
from cdc.cli import main
from cdc.cli.failure import failure_of
from cdc.cli.options import Options, Terminated, audited, run_async, terminable
from cdc.cli.output import bytes_text, print_facts, print_table, seconds_text
from cdc.cli.progress import LineProgress
from cdc.config import Config, SourceSection, StateSection, TargetSection, load_config
from cdc.errors import ConfigError, ExitCode, SourceBusy, TargetUnavailable


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def app_db(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    connection.close()
    return path


# --- init ------------------------------------------------------------------------------------------------------------


def test_init_writes_a_configuration_that_can_be_loaded(app_db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = app_db.read_bytes()
    assert main(["init", "app.db"]) == ExitCode.OK
    config = load_config(Path("cdc.toml"))
    assert (config.source.path, config.target.dsn, config.target.schema) == (app_db, "embedded", "public")
    assert app_db.read_bytes() == before
    assert not config.state.dir.exists()
    assert "cdc plan" in capsys.readouterr().out


def test_init_takes_target_and_schema(app_db: Path) -> None:
    assert main(["init", str(app_db), "--target", "postgresql://u@h/d", "--schema", 'we"ird']) == ExitCode.OK
    config = load_config(Path("cdc.toml"))
    assert (config.target.dsn, config.target.schema) == ("postgresql://u@h/d", 'we"ird')


def test_init_names_a_file_elsewhere_by_its_full_path(app_db: Path, tmp_path: Path) -> None:
    assert main(["-c", "etc/own.toml", "init", "app.db"]) == ExitCode.OK
    assert load_config(tmp_path / "etc" / "own.toml").source.path == app_db


@pytest.mark.usefixtures("app_db")
def test_init_replaces_a_configuration_only_when_forced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cdc.toml").write_text("mine")
    assert main(["init", "app.db"]) == ExitCode.USAGE
    assert Path("cdc.toml").read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main(["init", "app.db", "--force"]) == ExitCode.OK
    assert Path("cdc.toml").read_text() != "mine"


@pytest.mark.parametrize("content", [None, b"", b"SQLite format 2\0", b"text"])
def test_init_refuses_what_is_no_sqlite_database(content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        Path("x.db").write_bytes(content)
    assert main(["init", "x.db"]) == ExitCode.UNAVAILABLE
    assert not Path("cdc.toml").exists()
    assert "remedy: " in capsys.readouterr().err


@pytest.mark.usefixtures("app_db")
@pytest.mark.parametrize("target", ["localhost", "mysql://h/d", "postgresql://[/d"])
def test_init_refuses_a_target_that_is_no_dsn(target: str) -> None:
    assert main(["init", "app.db", "--target", target]) == ExitCode.USAGE
    assert not Path("cdc.toml").exists()


@pytest.mark.usefixtures("app_db")
@pytest.mark.parametrize("dsn", ["postgresql://u:tops3cret@h/d", "postgresql://u@h/d?password=tops3cret"])
def test_init_warns_of_a_password_and_keeps_it_from_others(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "app.db", "--target", dsn]) == ExitCode.OK
    assert stat.S_IMODE(Path("cdc.toml").stat().st_mode) == 0o600
    shown = capsys.readouterr()
    assert "PGPASSFILE" in shown.out
    assert "tops3cret" not in shown.out + shown.err


@pytest.mark.usefixtures("app_db")
def test_init_refuses_a_schema_that_could_not_be_used_later() -> None:
    assert main(["init", "app.db", "--schema", "cdc"]) == ExitCode.CONFIG
    assert not Path("cdc.toml").exists()


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nope"], "`cdc --help`"),
        (["status", "--nope"], "`cdc status --help`"),
        (["init"], "`cdc init --help`"),
        (["status", "-c", "x.toml"], "stands before the command"),
        (["audit", "--limit", "0"], "`cdc audit --help`"),
        (["-v", "-q", "status"], "one of them"),
        (["cleanup", "--capture-only", "--yes"], "one of them"),
        (["status", "--watch", "--json"], "again and again"),
    ],
)
def test_wrong_usage_exits_64_and_names_the_remedy(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert hint in shown.out + shown.err


@pytest.mark.parametrize("arguments", [[], ["quarantine"]])
def test_a_group_alone_shows_its_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == ExitCode.USAGE
    shown = capsys.readouterr().err
    assert "Usage:" in shown
    assert "error:" not in shown


def test_an_error_is_two_short_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == ExitCode.CONFIG
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.partition(":")[0] for line in shown.err.splitlines()] == ["error", "remedy"]


def test_with_json_an_error_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == ExitCode.CONFIG
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert set(told) == {"error", "remedy", "exit_code"}
    assert told["exit_code"] == ExitCode.CONFIG
    assert shown.err == ""


def test_a_trace_is_shown_only_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    main(["status"])
    assert "Traceback" not in capsys.readouterr().err
    main(["--debug", "status"])
    assert "Traceback" in capsys.readouterr().err


def test_every_kind_of_error_has_its_exit_code() -> None:
    assert failure_of(SourceBusy("x")).exit_code == ExitCode.UNAVAILABLE
    assert failure_of(KeyboardInterrupt()).exit_code == 130
    assert failure_of(Terminated()).exit_code == 143
    assert failure_of(click.UsageError("x")).exit_code == ExitCode.USAGE


def test_an_unexpected_error_tells_its_kind_and_place_but_not_its_words() -> None:
    def fail() -> None:
        raise KeyError("a row's value")

    with pytest.raises(KeyError) as caught:
        fail()
    failure = failure_of(caught.value)
    assert "KeyError in test_cli.py line" in failure.error
    assert "row's value" not in failure.error
    assert "--debug" in failure.remedy
    assert failure.exit_code == ExitCode.CRITICAL


def test_of_errors_together_the_one_raised_on_purpose_is_told() -> None:
    inner = ExceptionGroup("tasks", [ValueError("x"), TargetUnavailable("Postgres is away", remedy="start it")])
    assert failure_of(BaseExceptionGroup("all", [inner])).error == "Postgres is away"


def test_a_password_in_an_error_is_not_shown() -> None:
    failure = failure_of(ConfigError("postgresql://u:tops3cret@h/d is wrong"))
    assert failure.error == "postgresql://u:***@h/d is wrong"


# --- signals ---------------------------------------------------------------------------------------------------------


def test_sigterm_ends_work_in_the_event_loop_and_closes_what_it_opened() -> None:
    closed = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await _forever()
        finally:
            closed.append(True)

    with pytest.raises(Terminated):
        run_async(work())
    assert closed


def test_ctrl_c_ends_work_in_the_event_loop_as_an_interrupt() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await _forever()

    with pytest.raises(KeyboardInterrupt):
        run_async(work())


def test_sigterm_outside_the_event_loop_ends_it_too_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


async def _forever() -> None:
    await asyncio.Event().wait()


# --- output ----------------------------------------------------------------------------------------------------------


def test_a_table_in_a_pipe_has_no_colour_no_blanks_at_line_ends_and_is_never_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "rows"), [("t" * 300, 12_345), ("[red]x", 1)], numbers=("rows",))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "t" * 300 in shown
    assert "[red]x" in shown
    assert "12,345" in shown
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("table", "a\x1b[2Jb"), ("unknown", None)])
    assert capsys.readouterr().out == "table  a\\x1b[2Jb\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (0.44, "0.4 s"), (59, "59 s"), (180, "3 min"), (7_200, "2 h"), (400_000, "5 days")],
)
def test_spans_of_time_are_told_in_words(seconds: float | None, words: str) -> None:
    assert seconds_text(seconds) == words


def test_sizes_are_told_in_words() -> None:
    assert [bytes_text(n) for n in (5, 2048, 5 * 1024**3)] == ["5 bytes", "2.0 KiB", "5.0 GiB"]


def clock(*times: float) -> Callable[[], float]:
    left = list(times)
    return lambda: left.pop(0)


def test_progress_in_a_pipe_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, clock(0, 1, 6, 7, 10))
    progress.start("loading t", 100)
    for _ in range(3):
        progress.advance(20)
    progress.finish()
    assert stream.getvalue().splitlines() == [
        "loading t: started, 100 to do",
        "loading t: 40 of 100, 7/s, about 9 s left",
        "loading t: done, 60 in 10.0 s 6/s",
    ]


# --- the audit file --------------------------------------------------------------------------------------------------


def test_an_audit_entry_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    state = tmp_path / "state"
    made = trail.record(state, "load", "done", {"rows": 5})
    assert trail.read(state) == [replace(made, n=1)]
    assert "@" in made.actor
    assert stat.S_IMODE((state / trail.FILE).stat().st_mode) == 0o600


def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path: Path) -> None:
    trail.record(tmp_path, "one", "done")
    with (tmp_path / trail.FILE).open("a") as file:
        file.write('{"at": "20')
    trail.record(tmp_path, "two", "done")
    assert [e.action for e in trail.read(tmp_path)] == ["one", "mend", "two"]
    assert trail.check(tmp_path).whole


def test_an_audit_file_that_cannot_be_written_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        trail.record(tmp_path / "file", "load", "done")


def test_a_step_that_fails_is_in_the_audit_trail_without_secrets(tmp_path: Path) -> None:
    config = Config(SourceSection(Path("x")), TargetSection("embedded"), StateSection(tmp_path))
    with pytest.raises(TargetUnavailable), audited(config, "load", table="t"):
        raise TargetUnavailable("postgresql://u:tops3cret@h/d is away")
    with pytest.raises(ValueError, match="row"), audited(config, "schema"):
        raise ValueError("a row's value")
    text = (tmp_path / trail.FILE).read_text()
    assert [e.result for e in trail.read(tmp_path)] == ["failed", "failed"]
    assert "tops3cret" not in text
    assert "row's value" not in text


# --- logs ------------------------------------------------------------------------------------------------------------


def logged(say: Callable[[], None], *, as_json: bool = False) -> str:
    stream = io.StringIO()
    log.setup(level="INFO", as_json=as_json, stream=stream)
    say()
    logger.remove()
    return stream.getvalue()


def test_a_log_line_for_people_is_a_sentence_and_its_fields() -> None:
    line = logged(lambda: logger.bind(rows=5, table="a b").info("batch applied {not a field}"))
    assert line.rstrip().endswith('INFO    batch applied {not a field}  rows=5 table="a b"')


def test_a_log_line_for_machines_is_one_json_object() -> None:
    line = logged(lambda: logger.bind(rows=5, path=Path("x")).warning("one\ntwo"), as_json=True)
    told = json.loads(line)
    assert line.count("\n") == 1
    assert (told["level"], told["message"], told["rows"], told["path"]) == ("warning", "one\ntwo", 5, "x")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("text", ["postgresql://u:tops3cret@h/d", "host=h password=tops3cret user=u"])
def test_a_password_is_cut_out_of_a_log_line(text: str, as_json: bool) -> None:
    line = logged(lambda: logger.bind(error=text).error(f"cannot connect to {text}"), as_json=as_json)
    assert "tops3cret" not in line
    assert line.count("***") == 2


def test_a_trace_in_the_log_shows_no_values() -> None:
    def fail() -> None:
        value = "a row's value"
        try:
            int(value)
        except ValueError:
            logger.exception("unexpected")

    assert "a row's value'" not in logged(fail)


def test_json_is_chosen_only_when_the_journal_really_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for journal, is_json in ((True, True), (False, False)):
        with (tmp_path / "err").open("w+") as stream:
            found = os.fstat(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}" if journal else "1:1")
            log.setup(stream=stream)
            logger.info("started")
            logger.remove()
        assert (tmp_path / "err").read_text().startswith("{") is is_json


def test_an_error_that_nobody_waited_for_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """As is left by an answer that was given up; asyncio by itself prints the trace of it."""

    async def leave_one() -> None:
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(ValueError("the value of a row"))
        del answer
        gc.collect()

    Options(log_json=True).start_log()
    run_async(leave_one())
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["message"], told["kind"]) == ("an error was left behind", "ValueError")
    assert "row" not in line
