"""The systemd units, packaged and printed: systemd takes them, rates them as tight, and they fit the installation.

Whether a daemon works inside of them is not seen here. The rating needs `systemd-analyze`, on which .ci/run insists.
"""

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import apsw
import pytest

from cdc.cli import main
from cdc.config import load_config
from cdc.daemon.unit import installation, obstacles, render
from cdc.postgres.connection.open import CONNECT_TIMEOUT_SECONDS
from cdc.postgres.server.embedded import READY_SECONDS
from cdc.resources import folder
from cdc.retry import LONGEST_WAIT_SECONDS
from cdc.stream.loop import LONGEST_REST_SECONDS

UNITS: Final = ("cdc.service", "cdc@.service")
PROXY: Final = "cdc-proxy.service"
LOOSEST: Final = 1.5  # of 10, by `systemd-analyze security`
TARGETS: Final = {"a server": "postgresql://cdc@db.lan/app", "the embedded server": "embedded"}

# What keeps a daemon that went wrong away from everything else, checked here where systemd cannot be asked.
KEPT_APART: Final = {
    "AmbientCapabilities": "",
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "KeyringMode": "private",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "NotifyAccess": "main",
    "PrivateDevices": "yes",
    "PrivateMounts": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProcSubset": "pid",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "read-only",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service ~@privileged @resources",
    "UMask": "0077",
}
# The proxy has to lower the priority of the process that compares.
LOWERS_ITS_PRIORITY: Final = {"SystemCallFilter": "@system-service ~@privileged @resources setpriority"}


def text_of(name: str) -> str:
    return (folder("systemd") / name).read_text(encoding="utf-8")


def values(unit: str) -> dict[str, str]:
    """The settings of a unit; those that stand there several times joined by blanks."""
    found: dict[str, str] = {}
    for line in unit.splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found[key] = f"{found[key]} {value}" if key in found else value
    return found


def words(value: str) -> list[str]:
    """A list of a unit as systemd takes it apart: quotes, backslashes, and doubled percent and dollar signs."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value)
    plain = [re.sub(r"\\(.)", r"\1", quoted) if quoted else bare for quoted, bare in found]
    return [word.replace("%%", "%").replace("$$", "$") for word in plain]


def systemd_analyze(*arguments: str) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed, so nobody has looked what systemd thinks of the units")
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def is_taken_and_tight(unit: Path) -> None:
    """Systemd has nothing to say about the unit, and rates what it could do as little enough."""
    assert systemd_analyze("verify", str(unit)).strip() == ""
    rated = re.search(
        r"Overall exposure level for \S+: ([0-9.]+)", systemd_analyze("security", "--offline=true", str(unit))
    )
    assert rated is not None
    assert float(rated[1]) <= LOOSEST


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with blanks and more in its name, with an application's file and a configuration."""
    place = tmp_path / 'my %h "app" $HOME'
    place.mkdir()
    monkeypatch.chdir(place)
    connection = apsw.Connection("app.db")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    connection.close()
    return place


def configured(target: str, *sections: str) -> None:
    assert main(["init", "app.db", "--target", target, "--force"]) == 0
    with Path("cdc.toml").open("a") as file:
        file.writelines(sections)


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["unit", *options]) == 0
    return capsys.readouterr().out


# --- the packaged units -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*UNITS, PROXY])
def test_systemd_takes_a_packaged_unit_and_rates_it_as_tight(name: str, tmp_path: Path) -> None:
    # Where the program is to be installed there is none here.
    unit = tmp_path / name
    unit.write_text(re.sub(r"/opt/cdc/.venv/bin/(python|cdc)", sys.executable, text_of(name)))
    is_taken_and_tight(unit)


@pytest.mark.parametrize("name", [*UNITS, PROXY])
def test_a_packaged_unit_keeps_the_daemon_apart(name: str) -> None:
    found = values(text_of(name))
    assert {key: found.get(key) for key in KEPT_APART} == KEPT_APART | (LOWERS_ITS_PRIORITY if name == PROXY else {})
    assert found["User"] not in ("", "root")


def test_the_unit_of_several_differs_from_the_other_only_in_its_instance() -> None:
    def body(name: str) -> list[str]:
        return text_of(name).partition("[Unit]")[2].splitlines()

    one = body("cdc.service")
    several = [line for line in body("cdc@.service") if line != "EnvironmentFile=-/etc/cdc/%i.env"]
    what = "Description=Replicate"
    instance = {
        f"{what} the SQLite application %i to Postgres": f"{what} a SQLite application to Postgres",
        "Environment=CDC_CONFIG=/etc/cdc/%i.toml": "Environment=CDC_CONFIG=/etc/cdc/cdc.toml",
        "#LoadCredential=cdc-password:/etc/cdc/%i.password": "#LoadCredential=cdc-password:/etc/cdc/password",
        "StateDirectory=cdc/%i": "StateDirectory=cdc",
    }
    assert [instance.get(line, line) for line in several] == one
    assert instance.keys() <= set(several)


def test_the_watchdog_waits_longer_than_any_silence_of_a_daemon_that_is_well() -> None:
    longest = READY_SECONDS + CONNECT_TIMEOUT_SECONDS + LONGEST_WAIT_SECONDS
    for name in UNITS:
        assert float(values(text_of(name))["WatchdogSec"]) > max(longest, LONGEST_REST_SECONDS)


# --- the printed unit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("user", [None, "1234"])
def test_systemd_takes_a_printed_unit_and_rates_it_as_tight(
    site: Path, target: str, user: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(TARGETS[target])
    unit = tmp_path / "cdc.service"
    unit.write_text(printed(capsys, *(["--user", user] if user else [])))
    is_taken_and_tight(unit)


def test_a_printed_unit_names_this_program_and_configuration_and_the_user_of_the_file(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(TARGETS["a server"])
    found = values(printed(capsys))
    program, *arguments = words(found["ExecStart"])
    assert subprocess.run([program, "--version"], capture_output=True, check=True).stdout.startswith(b"cdc ")
    assert arguments == ["-c", str(site / "cdc.toml"), "up"]
    assert found["User"] == pwd.getpwuid(os.getuid()).pw_name
    assert "Group" not in found
    assert {key: found.get(key) for key in KEPT_APART} == KEPT_APART


def test_the_unit_of_the_proxy_starts_it_after_the_daemon_under_a_name_of_its_own(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(TARGETS["a server"])
    unit = tmp_path / "shop-proxy.service"
    unit.write_text(printed(capsys, "--proxy", "--name", "shop", "--user", "1234"))
    is_taken_and_tight(unit)
    found = values(unit.read_text())
    assert words(found["ExecStart"])[1:] == ["-c", str(site / "cdc.toml"), "shadow", "proxy"]
    assert found["After"].endswith(" shop.service")
    assert "enable --now shop-proxy\n" in unit.read_text()
    configured(TARGETS["the embedded server"])
    assert "PrivateNetwork" not in values(printed(capsys, "--proxy"))


def test_a_printed_unit_may_write_the_folder_of_the_file_itself_and_the_state_folder(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdc.daemon.unit._PRIVATE", ())
    Path("link.db").symlink_to(tmp_path / "elsewhere.db")
    Path("app.db").rename(tmp_path / "elsewhere.db")
    Path("cdc.toml").write_text('source.path = "link.db"\ntarget.dsn = "embedded"\nstate.dir = "state of it"\n')
    made = installation(load_config(Path("cdc.toml")), Path("cdc.toml"), None, None)
    assert words(values(render(made))["ReadWritePaths"]) == sorted([str(tmp_path), str(site / "state of it")])


def test_what_lies_in_a_folder_that_services_have_for_themselves_is_brought_in(site: Path) -> None:
    assert site.is_relative_to("/tmp"), "this test needs its files there"
    configured(TARGETS["a server"])
    found = values(render(installation(load_config(Path("cdc.toml")), Path("cdc.toml"), None, None)))
    assert "ReadWritePaths" not in found
    assert words(found["BindPaths"]) == [str(site), str(site / ".cdc")]


def test_another_user_writes_with_the_group_of_the_file(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured(TARGETS["a server"])
    found = values(printed(capsys, "--user", "65534"))
    assert (found["User"], found["Group"]) == (pwd.getpwuid(65534).pw_name, str(Path("app.db").stat().st_gid))


def test_a_unit_is_named_after_its_configuration(site: Path) -> None:
    configured(TARGETS["a server"])
    config = load_config(Path("cdc.toml"))
    names = [installation(config, Path(file), None, None).name for file in ("cdc.toml", "/etc/cdc/bot.toml")]
    assert names == ["cdc", "cdc-bot"]
    assert installation(config, Path("cdc.toml"), None, "shop").name == "shop"


@pytest.mark.parametrize(("metrics", "offline"), [("", True), ('[metrics]\nlisten = "127.0.0.1:9464"\n', False)])
def test_an_embedded_server_needs_no_network_unless_metrics_are_read(
    site: Path, metrics: str, offline: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(TARGETS["the embedded server"], metrics)
    found = values(printed(capsys))
    assert (found.get("PrivateNetwork") == "yes") is offline
    assert (found["RestrictAddressFamilies"] == "AF_UNIX") is offline


def test_what_keeps_a_unit_from_working_is_told(site: Path) -> None:
    configured(TARGETS["a server"])
    config = load_config(Path("cdc.toml"))
    Path("cdc.toml").chmod(0o600)
    Path("app.db").chmod(0o640)
    made = installation(config, Path("cdc.toml"), "65534", None)
    told = "\n".join(obstacles(made))
    assert f"{config.state.dir} does not exist yet: sudo install -d -m 0700 -o nobody" in told
    assert f"nobody may not read {site / 'cdc.toml'}" in told
    assert f"nobody may not write {site / 'app.db'}" in told
    config.state.dir.mkdir()
    assert f"{config.state.dir} belongs to another user: sudo chown -R nobody" in "\n".join(obstacles(made))


def test_nothing_keeps_a_unit_of_the_owner_from_working(site: Path) -> None:
    configured(TARGETS["a server"])
    config = load_config(Path("cdc.toml"))
    config.state.dir.mkdir()
    assert obstacles(installation(config, Path("cdc.toml"), None, None)) == []
