"""Flags of every kind are set in their order, all or none; what a crash leaves half done is seen, and can be mended."""

import asyncio
import json
import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from installation import Installation
from msgspec.structs import replace
from told import env, in_json, serving, shell, told

from cdc.audit import trail
from cdc.cutover.flag import providers
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.memory import keep, recall
from cdc.cutover.flag.state import AT_FIRST, FlagState
from cdc.errors import ConfigError, FlagNotSet, StillWorking, UsageError
from cdc.facts.side import Side
from cdc.flag import Flag
from cdc.shadow.proxy.control import controlled
from cdc.shadow.proxy.switch import ActiveSide, Switch

READS = FlagState(Side.POSTGRES, Side.SQLITE)
BOTH = FlagState(Side.POSTGRES, Side.POSTGRES)
FORBIDDEN = FlagState(Side.SQLITE, Side.POSTGRES)


@pytest.fixture
def variables(tmp_path: Path) -> Path:
    file = tmp_path / "app.env"
    file.write_text("# the application\nREAD_FROM='sqlite' # for now\nPORT=8080\n")
    file.chmod(0o640)
    return file


def restart(variables: Path) -> str:
    """A script that begins the application anew: it notes what the environment said then."""
    return f'grep READ_FROM {variables} | cut -d"\'" -f2 >> {variables}.restarts'


def restarts(variables: Path) -> list[str]:
    file = Path(f"{variables}.restarts")
    return file.read_text().split() if file.exists() else []


# --- setting ----------------------------------------------------------------------------------------------------------


def test_reads_go_first_then_writes_and_both_come_back(tmp_path: Path, variables: Path) -> None:
    path = tmp_path / "flag.json"
    config = told(tmp_path, [{"kind": "file", "path": str(path)}, env(variables), shell(restart(variables))])
    flags, seen = Flags(config), Flag(path)
    assert (seen.reads_from_postgres, seen.writes_to_postgres) == (False, False)
    assert flags.now().state == AT_FIRST
    for state in (READS, BOTH, READS, AT_FIRST):
        flags.set_all(state)
        assert (flags.now().state, flags.now().agree) == (state, True)
        assert (seen.reads_from_postgres, seen.writes_to_postgres) == (
            state.reads is Side.POSTGRES,
            state.writes is Side.POSTGRES,
        )
    # The application was begun anew after each change, and its environment was the new one already.
    assert restarts(variables) == ["postgres", "postgres", "postgres", "sqlite"]
    assert variables.read_text() == "# the application\nREAD_FROM='sqlite' # for now\nPORT=8080\n"
    flags.set_all(AT_FIRST)
    assert len(restarts(variables)) == 4, "nothing is done where all say so already"


def test_a_command_that_follows_writes_is_left_alone_when_reads_move(tmp_path: Path, variables: Path) -> None:
    ran = tmp_path / "ran"
    script = f"echo $1 $CDC_READS $CDC_WRITES >> {ran}"
    flags = Flags(told(tmp_path, [env(variables), shell(script, "writes")]))
    flags.set_all(AT_FIRST)
    flags.set_all(READS)
    flags.set_all(BOTH)
    assert ran.read_text().splitlines() == ["sqlite sqlite sqlite", "postgres postgres postgres"]


def test_a_file_keeps_its_mode_its_owner_and_the_link_that_leads_to_it(tmp_path: Path, variables: Path) -> None:
    os.chown(variables, 1234 if os.geteuid() == 0 else -1, -1)
    link = tmp_path / "link.env"
    link.symlink_to(variables)
    owner = variables.stat().st_uid
    Flags(told(tmp_path, [env(link)])).set_all(READS)
    assert link.is_symlink()
    assert (stat.S_IMODE(variables.stat().st_mode), variables.stat().st_uid) == (0o640, owner)
    assert "READ_FROM='postgres' # for now" in variables.read_text()
    assert {file.name for file in tmp_path.iterdir()} == {"app.env", "link.env", "state"}, "nothing is left lying about"


def test_reads_that_move_leave_writes_where_they_are(tmp_path: Path) -> None:
    flags = Flags(told(tmp_path, [{"kind": "file", "path": str(tmp_path / "flag.json")}]))
    flags.set_all(BOTH)
    with pytest.raises(UsageError):
        flags.move_reads(Side.SQLITE)
    flags.set_all(AT_FIRST)
    flags.move_reads(Side.POSTGRES)
    assert flags.now().state == READS


@pytest.mark.parametrize("switch", ["writes", "both"])
def test_what_no_flag_tells_the_application_does_not_move(tmp_path: Path, variables: Path, switch: str) -> None:
    """A restart alone tells nothing, and an application with one switch cannot read elsewhere than it writes."""
    flags = Flags(told(tmp_path, [env(variables, switch), shell(restart(variables))]))
    with pytest.raises(ConfigError, match="where its reads go"):
        flags.set_all(READS)
    assert (restarts(variables), flags.now().state) == ([], AT_FIRST)
    if switch == "both":
        flags.set_all(BOTH)
        assert restarts(variables) == ["postgres"]


def test_a_flag_that_is_gone_or_stands_elsewhere_than_it_was_told_is_no_agreement(tmp_path: Path) -> None:
    path = tmp_path / "flag.json"
    flags = Flags(told(tmp_path, [{"kind": "file", "path": str(path)}]))
    flags.set_all(READS)
    path.unlink()
    assert (flags.now().drifted, flags.now().agree) == (True, False)
    flags.set_all(READS)
    assert (flags.now().drifted, flags.now().agree, Flag(path).reads_from_postgres) == (False, True, True)


def test_writes_never_go_to_postgres_before_reads_do(tmp_path: Path, variables: Path) -> None:
    flags = Flags(told(tmp_path, [env(variables)]))
    with pytest.raises(UsageError):
        flags.set_all(FORBIDDEN)
    assert flags.now().state == AT_FIRST
    assert not recall(tmp_path / "state").towards


def test_a_service_is_told_by_a_request_with_headers_of_a_file(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer hidden\n\n")
    with serving() as service:
        section = {"kind": "http", "url": f"{service.url}/flag?key=k", "switch": "reads", "method": "PUT"}
        bodies = {"sqlite": '{"on": false}', "postgres": '{"on": true}', "headers_file": str(headers)}
        flags = Flags(told(tmp_path, [{**section, **bodies}]))
        flags.set_all(READS)
        assert [(method, path, body) for method, path, body, _ in service.asked] == [
            ("PUT", "/flag?key=k", b'{"on": true}')
        ]
        assert service.asked[0][3]["Authorization"] == "Bearer hidden"
        for status in (500, 302):
            service.answer = lambda *_, status=status: (status, {"Location": f"{service.url}/fine"}, b"")
            with pytest.raises(FlagNotSet, match=f"it answered {status}"):
                flags.set_all(AT_FIRST)
        assert "/fine" not in {path for _, path, _, _ in service.asked}, "a redirect is no success"
    kept = "".join(file.read_text() for file in (tmp_path / "state").glob("*.json*"))
    assert "hidden" not in kept
    assert "key=k" not in kept


async def test_the_proxy_moves_with_the_writes_and_holds_them_meanwhile(tmp_path: Path) -> None:
    config = told(tmp_path, [{"kind": "proxy"}])
    flags, switch = Flags(config), Switch(10)
    assert (flags.now().agree, flags.now().said[0].saying.problem) == (False, "no proxy runs")
    async with controlled(config.state.dir, switch, switch.to_json):
        assert (await asyncio.to_thread(flags.now)).state == AT_FIRST
        await asyncio.to_thread(flags.hold)
        assert switch.holds
        await asyncio.to_thread(flags.set_all, BOTH)
        assert (switch.active, switch.holds) == (ActiveSide.CANDIDATE, False)
        await asyncio.to_thread(flags.hold)
        await asyncio.to_thread(flags.release)
        assert (switch.active, switch.holds) == (ActiveSide.CANDIDATE, False)
        switch.release(ActiveSide.BASELINE)  # as a proxy that was begun anew
        now = await asyncio.to_thread(flags.now)
        assert (now.said[0].saying.writes, now.drifted, now.agree) == (Side.SQLITE, True, False)


async def test_a_hold_lets_writes_end_that_the_proxy_let_through_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "_UNDER_WAY_SECONDS", 60.0)
    config = told(tmp_path, [{"kind": "proxy"}])
    switch, asked, twice = Switch(10), [], asyncio.Event()

    def status() -> dict[str, Any]:
        asked.append(switch.writing)
        if len(asked) > 2:
            twice.set()
        return switch.to_json()

    async with controlled(config.state.dir, switch, status):
        async with switch.write():
            holding = asyncio.create_task(asyncio.to_thread(Flags(config).hold))
            await asyncio.wait_for(twice.wait(), 10)
            assert switch.holds
            assert not holding.done()
        await holding
    assert asked[-1] == 0


# --- failures ---------------------------------------------------------------------------------------------------------


def test_when_one_fails_all_go_back_in_their_order_and_the_error_names_it(tmp_path: Path, variables: Path) -> None:
    """A restart that fails is made again, after the environment was put back: else the application stays away."""
    path = tmp_path / "flag.json"
    begin = f'{restart(variables)}; test "$1" = sqlite || {{ echo no such database; exit 3; }}'
    flags = Flags(told(tmp_path, [{"kind": "file", "path": str(path)}, env(variables, "both"), shell(begin)]))
    flags.set_all(READS)
    with pytest.raises(FlagNotSet) as caught:
        flags.set_all(BOTH)
    assert "it ended with code 3: no such database; all are as before (reads postgres, writes sqlite)" in str(
        caught.value
    )
    assert (flags.now().state, flags.now().agree) == (READS, True)
    assert restarts(variables) == ["sqlite", "postgres", "sqlite"]
    steps = [(e.action, e.result, e.details.get("flag")) for e in trail.read(tmp_path / "state")][4:]
    command = next(f.label for f in flags.now().said if f.label.startswith("command"))
    assert [s[:2] for s in steps] == [
        ("set the flags", "started"),
        *[("flip", "done")] * 2,
        ("flip", "failed"),
        *[("flip", "done")] * 3,
        ("set the flags", "failed"),
    ]
    assert steps[3][2] == steps[6][2] == command


def test_what_cannot_be_put_back_is_named_and_stays_half_done(tmp_path: Path, variables: Path) -> None:
    flags = Flags(told(tmp_path, [env(variables), shell("exit 4")]))
    with pytest.raises(
        FlagNotSet, match=r"not all are as before: command .* could not be set back: it ended with code 4"
    ):
        flags.set_all(READS)
    assert variables.read_text().count("sqlite") == 1, "the others are as before"
    assert (flags.now().agree, flags.now().unfinished) == (False, READS)


def test_after_a_change_that_was_killed_all_go_back_to_what_was_before_that(tmp_path: Path, variables: Path) -> None:
    """Also those that the killed one had set, and that this one need not touch."""
    begin = f'{restart(variables)}; test "$1" = sqlite || exit 3'
    flags = Flags(told(tmp_path, [env(variables), shell(begin, "reads")]))
    flags.set_all(AT_FIRST)
    keep(tmp_path / "state", replace(recall(tmp_path / "state"), before=AT_FIRST, towards=READS))
    variables.write_text(variables.read_text().replace("sqlite", "postgres"))
    assert flags.now().unfinished == READS
    with pytest.raises(FlagNotSet, match="all are as before"):
        flags.set_all(READS)
    assert restarts(variables) == ["sqlite", "postgres", "sqlite"]
    assert (flags.now().state, flags.now().agree) == (AT_FIRST, True)


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, variables: Path) -> None:
    pid = tmp_path / "pid"
    script = f"test $1 = sqlite && exit 0; sleep 600 & echo $! > {pid}; wait"
    flags = Flags(told(tmp_path, [env(variables), shell(script, "reads", timeout_seconds=0.3)]))
    with pytest.raises(FlagNotSet, match=r"longer than 0\.3 seconds and was ended; all are as before"):
        flags.set_all(READS)
    assert not _lives(int(pid.read_text()))


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    Flags(told(tmp_path, [shell(f"sleep 600 & echo $! > {pid}")])).set_all(READS)
    assert _lives(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_what_cannot_be_recorded_is_taken_back(tmp_path: Path, variables: Path) -> None:
    """The last flag takes the trail away: nobody could see afterwards who had moved the reads."""
    trail_file = tmp_path / "state" / "audit.jsonl"
    script = f"rm {trail_file} && mkdir {trail_file} || true"
    flags = Flags(told(tmp_path, [env(variables), shell(script, "reads")]))
    with pytest.raises(FlagNotSet, match=r"the audit file .* cannot be written: Is a directory; all are as before"):
        flags.set_all(READS)
    assert "'sqlite'" in variables.read_text()
    assert (flags.now().state, flags.now().agree) == (AT_FIRST, True)


def test_a_program_that_is_not_there_changes_nothing(tmp_path: Path, variables: Path) -> None:
    missing = {"kind": "command", "switch": "reads", "sqlite": ["/no/such"], "postgres": ["/no/such"]}
    flags = Flags(told(tmp_path, [env(variables), missing]))
    with pytest.raises(FlagNotSet, match="it cannot be run: No such file or directory; all are as before"):
        flags.set_all(READS)


def test_two_do_not_change_them_at_a_time(tmp_path: Path, variables: Path) -> None:
    inside, go = tmp_path / "inside", tmp_path / "go"
    os.mkfifo(inside)
    os.mkfifo(go)
    config = told(tmp_path, [env(variables), shell(f"echo in > {inside}; read line < {go}")])
    with ThreadPoolExecutor(1) as first:
        change = first.submit(Flags(config).set_all, READS)
        assert inside.read_text() == "in\n"
        with pytest.raises(StillWorking):
            Flags(config).set_all(AT_FIRST)
        assert Flags(config).now().unfinished == READS
        go.write_text("go\n")
        change.result(60)
    assert Flags(config).now().state == READS


# --- the command ------------------------------------------------------------------------------------------------------


def configured(site: Installation, variables: Path, script: str) -> None:
    """A flag file, the environment, and a script that gets the side as its first argument."""
    command = {side.value: json.dumps(["sh", "-c", script, "sh", side.value]) for side in Side}
    site.configure(
        f"""
[[cutover.flags]]
kind = "file"
path = "flag.json"
[[cutover.flags]]
kind = "env"
path = "{variables.name}"
switch = "reads"
sqlite = {{ READ_FROM = "sqlite" }}
postgres = {{ READ_FROM = "postgres" }}
[[cutover.flags]]
kind = "command"
switch = "both"
sqlite = {command["sqlite"]}
postgres = {command["postgres"]}"""
    )


def shown(site: Installation) -> tuple[int, dict[str, Any]]:
    code, out, _ = site.run("flag", "--json")
    return code, json.loads(out)


def test_a_change_that_is_killed_between_two_flags_is_seen_and_is_made_whole_when_it_is_made_again(
    cut_off: Installation, variables: Path
) -> None:
    """The command kills its parent the first time, after the environment was changed and before it began anew."""
    once = cut_off.folder / "once"
    configured(cut_off, variables, f"test -e {once} || {{ touch {once}; kill -9 $PPID; }}; {restart(variables)}")
    assert shown(cut_off)[0] == 0
    assert cut_off.process("flag", "reads", "postgres")[0] == -signal.SIGKILL
    code, said = shown(cut_off)
    assert (code, said["agree"], said["unfinished"]) == (1, False, {"reads": "postgres", "writes": "sqlite"})
    assert [(flag["reads"], flag["writes"]) for flag in said["flags"]] == [
        ("postgres", "sqlite"),
        ("postgres", None),
        (None, None),
    ]
    assert "! a change began and has not ended: reads postgres, writes sqlite" in cut_off.run("flag")[1]
    assert cut_off.run("flag", "reads", "postgres")[0] == 0
    assert restarts(variables)[-1] == "postgres"
    assert shown(cut_off)[1]["agree"]


def test_flags_that_somebody_changed_by_hand_disagree_until_they_are_set_again(
    cut_off: Installation, variables: Path
) -> None:
    configured(cut_off, variables, restart(variables))
    assert cut_off.run("flag", "reads", "postgres")[0] == 0
    variables.write_text(variables.read_text().replace("'postgres'", "'sqlite'"))
    code, out, _ = cut_off.run("flag")
    assert code == 1
    assert "reads: the flags do not agree; writes: sqlite" in out
    variables.write_text("READ_FROM='other'")
    code, said = shown(cut_off)
    assert (code, said["flags"][1]["problem"]) == (1, "READ_FROM: neither the value of SQLite nor that of Postgres")
    assert cut_off.run("flag", "reads", "sqlite")[0] == 0
    assert variables.read_text() == "READ_FROM='sqlite'"
    assert restarts(variables) == ["postgres", "sqlite"], "it was begun anew, for its environment had changed"


def test_an_interrupt_takes_back_what_was_changed(cut_off: Installation, variables: Path) -> None:
    configured(cut_off, variables, 'test "$1$CDC_READS" = sqlitesqlite || { kill -INT $PPID; sleep 600; }')
    code, _, err = cut_off.process("flag", "reads", "postgres")
    assert (code, err.splitlines()[-2]) == (130, "error: interrupted")
    assert (shown(cut_off)[0], shown(cut_off)[1]["reads"]) == (0, "sqlite")
    assert "'sqlite'" in variables.read_text()


def test_reads_that_the_application_does_not_move_are_told_once_the_flags_are_set(
    cut_off: Installation, variables: Path
) -> None:
    configured(cut_off, variables, restart(variables))
    with serving() as app:
        app.answer = lambda *_: in_json(backend="sqlite")
        cut_off.configure(
            f"""
[[cutover.checks]]
name = "backend"
url = "{app.url}/health"
sqlite = {{ backend = "sqlite" }}
postgres = {{ backend = "postgres" }}
within_seconds = 0.1"""
        )
        code, out, _ = cut_off.run("flag", "reads", "postgres")
        assert (code, 'backend is "sqlite", not "postgres"' in out) == (1, True)
        assert shown(cut_off)[1]["reads"] == "postgres"
        code, out, _ = cut_off.run("flag", "reads", "sqlite", "--json")
        met = {"name": "backend", "met": True, "words": "as it should be on sqlite"}
        assert (code, json.loads(out)["checks"]) == (0, [met])


def test_without_flags_the_command_says_so(cut_off: Installation) -> None:
    code, out, _ = cut_off.run("flag")
    assert (code, "no flag is configured" in out) == (0, True)


def _lives(pid: int) -> bool:
    """Whether a process works: one that ended and that nobody has asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
