"""What stops `cdc shadow proxy` before it serves anybody."""

import socket
import sys

import pytest
from error_assertions import logged, refused
from installation import Installation
from small_tables import config

from cdc.errors import ConfigError, ExitCode
from cdc.shadow.proxy.service import live_keys

SIDES = '[shadow]\nbaseline = "http://127.0.0.1:1"\ncandidate = "http://127.0.0.1:2"'
PROXY = ["shadow", "proxy"]


def test_a_proxy_without_both_sides(cut_off: Installation) -> None:
    command = [*PROXY, "--baseline", "http://127.0.0.1:1"]
    refused(cut_off, command, "the proxy does not know both instances of the application", ExitCode.CONFIG)


def test_a_proxy_that_shall_listen_on_what_is_no_address(cut_off: Installation) -> None:
    cut_off.configure(SIDES, '[shadow.proxy]\nlisten = "8090"')
    refused(cut_off, PROXY, "the proxy cannot listen on what is no address: {listen}", ExitCode.CONFIG)


def test_a_change_that_a_running_proxy_cannot_take_up_and_changes_that_it_can_or_need_not() -> None:
    before = config(shadow={"baseline": "http://a", "candidate": "http://b"})
    moved = config(shadow={"baseline": "http://c", "candidate": "http://b", "deny": ["/admin"]})
    with pytest.raises(ConfigError) as refusal:
        live_keys(before, moved)
    assert "shadow.baseline" in refusal.value.message
    assert "deny" not in refusal.value.message
    told = {"error": refusal.value.message, "remedy": refusal.value.remedy}
    logged(told, "this cannot change while the proxy runs: {fixed}")
    other = config(
        shadow={"baseline": "http://a", "candidate": "http://b", "deny": ["/admin"]}, verify={"rolling_hours": 2}
    )
    assert live_keys(before, other) == ["shadow.deny"]


def test_a_share_that_is_none(cut_off: Installation) -> None:
    cut_off.configure(SIDES, "[shadow.proxy]\nserve_candidate = 5.0")
    refused(cut_off, PROXY, "`serve_candidate` in [shadow.proxy] is no share: {serve_candidate}", ExitCode.CONFIG)
    for given in ("many", "101%", "-1"):
        command = [*PROXY, "--serve-candidate", given]
        refused(cut_off, command, "--serve-candidate is no share of the clients: {given}", ExitCode.USAGE)


def test_a_port_that_another_program_has(site: Installation) -> None:
    site.followed()
    site.configure(SIDES)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [*PROXY, "--listen", listen]
        refused(site, command, "the proxy cannot listen on {listen}: {error}", ExitCode.CONFIG)


def test_a_control_socket_that_another_proxy_has(site: Installation) -> None:
    site.followed()
    site.configure(SIDES)
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(site.folder / ".cdc" / "proxy.sock"))
        taken.listen()
        refused(site, PROXY, "another proxy listens on the control socket {path}", ExitCode.CONFIG)


def test_a_control_socket_that_cannot_be_made(site: Installation) -> None:
    site.followed()
    site.configure(SIDES)
    (site.folder / ".cdc" / "proxy.sock").mkdir()
    refused(site, PROXY, "the proxy's control socket {path} cannot be made: {error}", ExitCode.CONFIG)


def test_a_proxy_without_its_libraries(cut_off: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cdc.shadow.proxy.service", raising=False)
    monkeypatch.delitem(sys.modules, "cdc.shadow.proxy.run", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    refused(cut_off, PROXY, "the proxy needs what is not installed: {error}", ExitCode.CONFIG)
