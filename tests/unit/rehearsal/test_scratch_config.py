"""What the commands of a rehearsal go by names nothing of production but the server and what was decided of tables."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_tables import config

from cdc.config import Config, load_config
from cdc.config.written import as_toml
from cdc.rehearsal.scratch import scratch_config

PRODUCTION: dict[str, dict[str, Any]] = {
    "state": {"dir": "/var/lib/cdc"},
    "metrics": {"listen": "127.0.0.1:9464"},
    "alerts": {"webhook": "https://alerts.example/hook", "command": ["notify", "me"], "ping": "https://up.example/1"},
    "shadow": {"baseline": "http://127.0.0.1:1", "candidate": "http://127.0.0.1:2"},
    "cutover": {
        "max_refused_seconds": 2.5,
        "rehearsed_within_hours": 24.0,
        "shadow_clean_hours": 72.0,
        "flags": [{"kind": "command", "switch": "both", "sqlite": ["restart"], "postgres": ["restart"]}],
        "checks": [{"name": "page", "url": "http://127.0.0.1/health", "sqlite": {"a b": True}}],
    },
}


@pytest.fixture
def scratch() -> Config:
    production = config({"t": {"columns": {'odd "name"': {"type": "jsonb"}}}}, **PRODUCTION)
    return scratch_config(production, "postgresql://x/app", Path("/scratch/1"), "cdc_rehearsal_1")


def test_nobody_is_told_and_nothing_is_asked(scratch: Config) -> None:
    assert (scratch.metrics.listen, scratch.alerts.webhook, scratch.alerts.ping) == (None, None, None)
    assert scratch.shadow.baseline is None
    assert not any((scratch.alerts.command, scratch.cutover.checks, scratch.verify.expect))
    assert scratch.cutover.shadow_clean_hours == scratch.cutover.rehearsed_within_hours == 0.0
    ((flag,),) = (scratch.cutover.flags,)
    assert msgspec.to_builtins(flag, enc_hook=str) == {"kind": "file", "path": "/scratch/1/flag.json"}


def test_file_schema_and_state_are_those_of_the_copy_and_limits_are_the_same(scratch: Config) -> None:
    assert (str(scratch.source.path), str(scratch.state.dir)) == ("/scratch/1/a.db", "/scratch/1/state")
    assert scratch.target.schema == "cdc_rehearsal_1"
    assert scratch.cutover.max_refused_seconds == 2.5
    assert scratch.options("t").columns['odd "name"'].type == "jsonb"


def test_a_configuration_is_read_from_its_text_as_it_was(scratch: Config, tmp_path: Path) -> None:
    file = tmp_path / "cdc.toml"
    file.write_text(as_toml(scratch), encoding="utf-8")
    assert load_config(file) == scratch
