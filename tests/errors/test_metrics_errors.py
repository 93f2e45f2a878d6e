"""An address for metrics that cannot or should not be listened on is refused before anything else is done."""

import socket

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


@pytest.mark.parametrize("address", ["", "9464", "localhost", ":9464", "127.0.0.1:", "127.0.0.1:http", "[::1]:70000"])
def test_what_is_no_address(cut_off: Installation, address: str) -> None:
    cut_off.configure(f"[metrics]\nlisten = '{address}'")
    refused(cut_off, ["run"], "{file}: `{key}` in [{section}] is no address: {listen}", ExitCode.CONFIG)


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "[::]:9464", "192.168.1.5:9464", "nas.local:9464"])
def test_an_address_that_other_machines_reach(cut_off: Installation, address: str) -> None:
    cut_off.configure(f"[metrics]\nlisten = '{address}'")
    refused(cut_off, ["run"], "{file}: other machines could reach `{key}` in [{section}]: {listen}", ExitCode.CONFIG)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.9.9:1", "localhost:0", "[::1]:0"])
def test_an_address_of_this_machine_is_allowed(cut_off: Installation, address: str) -> None:
    cut_off.configure(f"[metrics]\nlisten = '{address}'")
    assert cut_off.run("status")[0] == ExitCode.UNAVAILABLE


def test_an_address_that_other_machines_reach_is_allowed_when_it_is_meant(cut_off: Installation) -> None:
    cut_off.configure("[metrics]\nlisten = '0.0.0.0:9464'\nallow_remote = true")
    assert cut_off.run("status")[0] == ExitCode.UNAVAILABLE


def test_a_port_that_is_in_use(cut_off: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        cut_off.configure(f"[metrics]\nlisten = '127.0.0.1:{other.getsockname()[1]}'")
        refused(cut_off, ["run"], "metrics cannot be served at {listen}: {error}", ExitCode.CONFIG)


@pytest.mark.parametrize("key", ["webhook", "ntfy", "ping"])
def test_an_alert_to_no_address_of_the_web(cut_off: Installation, key: str) -> None:
    configured = cut_off.config_file.read_text()
    cut_off.config_file.write_text(f'{configured}\n[alerts]\n{key} = "file:///etc/passwd"\n')
    refused(cut_off, ["run"], "{file}: `{key}` in [{section}] is no address of the web", ExitCode.CONFIG)
    cut_off.config_file.write_text(f'{configured}\n[alerts]\n{key} = "http://127.0.0.1:9/x"\n')
    assert cut_off.run("status")[0] != ExitCode.CONFIG
