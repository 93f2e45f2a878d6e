"""Whoever shall know is told what is wrong, again while it lasts, and once more when it is over.

An alarm is told once for each channel: by a webhook, a topic of ntfy, a command. A channel that fails is tried again,
later each time, and holds nothing else up. What was told is kept in the state folder, so that a daemon that begins
again does not tell it anew. A ping is the other way round: it is sent while all is well, so that its absence tells of
what cannot tell of itself.
"""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from loguru import logger

from cdc.config import AlertsSection, Config
from cdc.host import private_files
from cdc.log import redact
from cdc.observe.daemon_state import Activity, Alarm, DaemonState, Listener

FILE: Final = "alerts.json"
ENDED: Final = "the daemon ended"  # the alarm of a daemon that cannot go on
SEND_SECONDS: Final = 10.0  # for one attempt of one channel
FLUSH_SECONDS: Final = 5.0  # for what is not sent yet when the daemon ends
LOOK_SECONDS: Final = 0.2
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 300.0
WELL_SECONDS: Final = 60.0  # a loop that got nothing done for so long is not well


@dataclass(frozen=True, slots=True)
class Alert:
    """What is sent. `state` is `alarm`, `reminder` while it lasts, or `recovered`; `at` is ISO 8601 in UTC."""

    state: str
    name: str
    text: str
    remedy: str
    source: str
    host: str
    at: str

    @property
    def title(self) -> str:
        """One line for people."""
        return f"cdc: {self.text}" if self.state != "recovered" else f"cdc: over: {self.text}"


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm that lasts, as it is kept: in words, and when it was told last, in seconds since 1970."""

    text: str
    remedy: str
    at: float


@dataclass(slots=True)
class _Delivery:
    alert: Alert
    channel: str
    tries: int = 0
    due: float = 0.0  # on the monotonic clock


class Alerts(Listener):
    """The alerts of one daemon. `run` sends; what is to be sent is noted wherever something turns."""

    def __init__(self, config: Config, daemon_state: DaemonState) -> None:
        self._section = config.alerts
        self._file = config.state.dir / FILE
        self._source = str(config.source.path)
        self._daemon_state = daemon_state
        self._channels = {name: send for name, send in _CHANNELS.items() if getattr(config.alerts, name)}
        self._told: dict[str, Told] = _kept(self._file)
        self._waiting: list[_Delivery] = []
        self._pinged_at = -1e9

    # --- noticing -----------------------------------------------------------------------------------------------------

    def alarmed(self, alarm: Alarm) -> None:
        """Tell it, unless it was told already, by a daemon before perhaps."""
        if not self._channels:
            return
        known = self._told.get(alarm.name)
        if known is None:
            self._note("alarm", alarm)
        self._keep({**self._told, alarm.name: Told(alarm.words, alarm.remedy, known.at if known else time.time())})

    def opened(self) -> None:
        """A daemon that got going is the end of one that ended."""
        if told := self._told.get(ENDED):
            self.calmed(Alarm(ENDED, told.text, told.remedy))

    def calmed(self, alarm: Alarm) -> None:
        """Tell that it is over."""
        if alarm.name in self._told:
            # An alarm that was not sent yet need not be any more, nor its end: nobody knows of it.
            unsent = [d for d in self._waiting if d.alert.name == alarm.name and d.alert.state == "alarm"]
            self._waiting = [d for d in self._waiting if d.alert.name != alarm.name]
            never = {delivery.channel for delivery in unsent}
            self._note("recovered", alarm, without=never)
            self._keep({name: told for name, told in self._told.items() if name != alarm.name})

    def _remind(self) -> None:
        for name, told in self._told.items():
            if time.time() - told.at >= self._section.repeat_hours * 3600:
                self._note("reminder", Alarm(name, told.text, told.remedy))
                self._keep({**self._told, name: replace(told, at=time.time())})

    def _note(self, state: str, alarm: Alarm, without: "set[str] | frozenset[str]" = frozenset()) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        alert = Alert(
            state, alarm.name, redact(alarm.words), redact(alarm.remedy), self._source, socket.gethostname(), at
        )
        self._waiting += [_Delivery(alert, channel) for channel in self._channels if channel not in without]

    def _keep(self, told: dict[str, Told]) -> None:
        self._told = told
        with suppress(OSError):  # it is told again then, which is better than not at all
            private_files.make_folder(self._file.parent)
            partial = self._file.with_suffix(".partial")
            with private_files.create(partial) as file:
                file.write(msgspec.json.encode({name: asdict(one) for name, one in told.items()}))
            partial.replace(self._file)

    # --- sending ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what there is, for as long as the daemon runs; over at once where nobody is to be told."""
        while self._channels or self._section.ping:
            self._remind()
            await self._send_due()
            await self._ping_if_well()
            await asyncio.sleep(LOOK_SECONDS)

    async def flush(self) -> None:
        """Send what there is before the daemon ends, each once more, for some seconds at most."""
        for delivery in self._waiting:
            delivery.due = 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._send_due()

    async def _send_due(self) -> None:
        due = [delivery for delivery in self._waiting if delivery.due <= time.monotonic()]
        # In the order of each channel, and all channels at a time: one that hangs keeps no other waiting.
        await asyncio.gather(*(self._send(channel, due) for channel in self._channels))

    async def _send(self, channel: str, due: Sequence[_Delivery]) -> None:
        for delivery in due:
            if delivery.channel == channel and await self._sent(delivery):
                with suppress(ValueError):  # it was taken out meanwhile, because the alarm is over
                    self._waiting.remove(delivery)

    async def _sent(self, delivery: _Delivery) -> bool:
        """Whether a delivery is done; else when it is due again is noted."""
        send = self._channels[delivery.channel]
        try:
            await asyncio.to_thread(send, self._section, delivery.alert)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            delivery.tries += 1
            wait = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (delivery.tries - 1))
            delivery.due = time.monotonic() + wait
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            logger.bind(channel=delivery.channel, reason=str(reason), attempt=delivery.tries).warning(
                "an alert could not be sent"
            )
            return False
        logger.bind(channel=delivery.channel, alert=delivery.alert.name).info("an alert was sent")
        return True

    async def _ping_if_well(self) -> None:
        if not self._section.ping or time.monotonic() - self._pinged_at < self._section.ping_seconds:
            return
        state = self._daemon_state
        well = (
            state.doing in {Activity.STREAMING, Activity.RETURNING, Activity.PAUSED}
            and state.silent_seconds < WELL_SECONDS
        )
        if not well or self._daemon_state.alarms:
            return
        self._pinged_at = time.monotonic()
        try:
            await asyncio.to_thread(_get, self._section.ping)
        except (OSError, ValueError) as error:
            logger.bind(channel="ping", reason=type(error).__name__).warning("an alert could not be sent")


def _kept(file: Path) -> dict[str, Told]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Told])
    except (OSError, msgspec.DecodeError):
        return {}


# --- channels ---------------------------------------------------------------------------------------------------------


def _webhook(section: AlertsSection, alert: Alert) -> None:
    body = msgspec.json.encode(asdict(alert))
    _request(section.webhook or "", body, {"Content-Type": "application/json"})


def _ntfy(section: AlertsSection, alert: Alert) -> None:
    urgent = alert.state != "recovered"
    headers = {
        "Title": alert.title.encode("ascii", "replace").decode()[:200],  # a header takes no other characters
        "Priority": "high" if urgent else "default",
        "Tags": "warning" if urgent else "white_check_mark",
    }
    _request(section.ntfy or "", f"{alert.text}\n{alert.remedy}\n{alert.source}".encode(), headers)


def _command(section: AlertsSection, alert: Alert) -> None:
    fields = {f"CDC_ALERT_{name.upper()}": text for name, text in asdict(alert).items()}
    subprocess.run(
        section.command,
        input=msgspec.json.encode(asdict(alert)),
        env={**os.environ, **fields},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SEND_SECONDS,
        check=True,
    )


def _get(url: str) -> None:
    _request(url, None, {})


def _request(url: str, body: bytes | None, headers: dict[str, str]) -> None:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(url)  # `urllib` would also open files
    import urllib.request  # noqa: PLC0415 (memory and a start that only who wants alerts shall pay)

    request = urllib.request.Request(url, data=body, headers={"User-Agent": "cdc", **headers})
    with urllib.request.urlopen(request, timeout=SEND_SECONDS) as answer:
        answer.read(1_000)


_CHANNELS: Final[dict[str, Callable[[AlertsSection, Alert], None]]] = {
    "webhook": _webhook,
    "ntfy": _ntfy,
    "command": _command,
}
