"""All flags of a configuration as one: what they say together, and a change of all of them or of none."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from cdc.audit import trail
from cdc.config import Config
from cdc.cutover.flag.memory import Memory, alone, keep, recall
from cdc.cutover.flag.providers import FlipFailed, Provider, ProxyProvider, provider_of
from cdc.cutover.flag.state import AT_FIRST, FlagState, Saying, moved
from cdc.errors import CdcError, ConfigError, FlagNotSet, UsageError
from cdc.facts.side import Side


@dataclass(frozen=True, slots=True)
class FlagSaid:
    """A flag and what it says, or was told last where it cannot be asked."""

    label: str
    saying: Saying

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        said = self.saying
        return {"flag": self.label, "reads": said.reads, "writes": said.writes, "problem": said.problem}


@dataclass(frozen=True, slots=True)
class Standing:
    """What all flags say at one moment. `unfinished` is a change that began and did not end."""

    said: tuple[FlagSaid, ...]
    remembered: FlagState | None = None
    unfinished: FlagState | None = None

    @property
    def reads(self) -> Side | None:
        """Where reads go, None where flags differ; what nobody says is as it was told last, and SQLite at first."""
        return self._common({flag.saying.reads for flag in self.said}, (self.remembered or AT_FIRST).reads)

    @property
    def writes(self) -> Side | None:
        """Where writes go, as `reads`."""
        return self._common({flag.saying.writes for flag in self.said}, (self.remembered or AT_FIRST).writes)

    @property
    def state(self) -> FlagState | None:
        """Both, None where flags differ, or say what may not be."""
        if self.reads is None or self.writes is None:
            return None
        state = FlagState(self.reads, self.writes)
        return state if state.allowed else None

    @property
    def agree(self) -> bool:
        """Whether all say the same, each says what it should, and no change is half done."""
        return self.state is not None and self.unfinished is None and not any(f.saying.problem for f in self.said)

    @staticmethod
    def _common(sides: set[Side | None], otherwise: Side) -> Side | None:
        named = sides - {None}
        if len(named) > 1:
            return None
        return named.pop() if named else otherwise


class Flags:
    """The flags of a configuration, in its order. Everything here blocks: where a loop runs, call it in a thread."""

    def __init__(self, config: Config) -> None:
        self._state_dir = config.state.dir
        self._providers = [provider_of(section, config) for section in config.cutover.flags]

    def now(self) -> Standing:
        """What they say."""
        memory = recall(self._state_dir)
        said = tuple(FlagSaid(provider.label, self._saying(provider, memory)) for provider in self._providers)
        return Standing(said, memory.state, memory.towards)

    def set_all(self, state: FlagState) -> None:
        """Have all of them say so, in their order; what says so already is left alone.

        When one fails, all are set back to what they said before, again in their order: a restart has to come after the
        environment that it is for. Raises `FlagNotSet`, which tells how they stand then; `UsageError` for writes that
        would go to Postgres before reads do; `ConfigError` where there is no flag; `StillWorking` while somebody else
        sets them.
        """
        self._require(state)
        with alone(self._state_dir):
            standing, memory = self.now(), recall(self._state_dir)
            if standing.agree and all(saying == p.would_say(state) for p, saying in self._with_sayings(standing)):
                return
            before = memory.before if memory.towards else standing.state
            keep(self._state_dir, replace(memory, before=before, towards=state))
            self._tell("started", state, before=None if before is None else str(before))
            # After a change that did not end, nobody knows which of those that cannot be asked it reached.
            told = set(() if memory.towards else memory.told)
            self._change(state, before, standing, told)
            self._settle(state, told)
            self._tell("done", state)

    def hold(self) -> None:
        """Have writes wait where a proxy stands before the application; raises `FlagNotSet`."""
        self._of_proxies("hold")

    def release(self) -> None:
        """Let writes that wait go on where they were going; raises `FlagNotSet`."""
        self._of_proxies("release")

    # --- a change -----------------------------------------------------------------------------------------------------

    def _change(self, state: FlagState, before: FlagState | None, standing: Standing, told: set[str]) -> None:
        moving = set(moved(before, state) if before else ())
        touched: list[Provider] = []
        provider: Provider | None = None
        try:
            for provider, saying in self._with_sayings(standing):
                wanted = provider.would_say(state)
                if saying == wanted and (provider.answers or not provider.follows & moving):
                    continue
                moving |= moved(saying, wanted)
                touched.append(provider)
                self._flip(provider, state)
                told.add(provider.label)
        except BaseException as error:
            if isinstance(error, FlipFailed) and error.unchanged:
                touched.pop()
            left = self._go_back(touched, before, told)
            with suppress(CdcError):
                self._tell("failed", state, reason=_reason(error))
            if provider is None or not isinstance(error, FlipFailed | CdcError):
                raise
            raise self._not_set(provider, state, before, _reason(error), left) from None

    def _flip(self, provider: Provider, state: FlagState) -> None:
        details: dict[str, trail.Detail] = {"flag": provider.label, **state.to_json()}
        try:
            provider.set(state)
        except (FlipFailed, CdcError) as error:
            with suppress(CdcError):
                trail.record(self._state_dir, "flip", "failed", {**details, "reason": _reason(error)})
            raise
        trail.record(self._state_dir, "flip", "done", details)

    def _go_back(self, touched: Sequence[Provider], before: FlagState | None, told: set[str]) -> list[str]:
        """Set those back that may have changed; returns what could not be, in words."""
        if before is None:
            return ["it is not known how they were before"]
        left = []
        for provider in touched:
            if provider.answers and provider.says() == provider.would_say(before):
                continue
            try:
                self._flip(provider, before)
                told.add(provider.label)
            except (FlipFailed, CdcError) as error:
                left.append(f"{provider.label} could not be set back: {_reason(error)}")
        if not left:
            with suppress(CdcError):
                self._settle(before, told)
        return left

    def _not_set(
        self, provider: Provider, state: FlagState, before: FlagState | None, reason: str, left: Sequence[str]
    ) -> FlagNotSet:
        if not left:
            return FlagNotSet(
                f"the flag {provider.label} could not be set ({state}): {reason}; all are as before ({before})",
                remedy="correct what stands in the way, then give the command again",
            )
        return FlagNotSet(
            f"the flag {provider.label} could not be set ({state}): {reason}; not all are as before: {'; '.join(left)}",
            remedy="`cdc flag` shows how each stands; correct what stands in the way, then give the command again",
        )

    # --- what is known ------------------------------------------------------------------------------------------------

    def _saying(self, provider: Provider, memory: Memory) -> Saying:
        if provider.answers:
            return provider.says()
        if memory.towards is not None or memory.state is None or provider.label not in memory.told:
            return Saying()
        return provider.would_say(memory.state)

    def _with_sayings(self, standing: Standing) -> list[tuple[Provider, Saying]]:
        return [(p, said.saying) for p, said in zip(self._providers, standing.said, strict=True)]

    def _settle(self, state: FlagState, told: set[str]) -> None:
        keep(self._state_dir, Memory(state, tuple(p.label for p in self._providers if p.label in told)))

    def _tell(self, result: str, state: FlagState, **details: trail.Detail) -> None:
        trail.record(self._state_dir, "set the flags", result, {**state.to_json(), **details})

    def _require(self, state: FlagState) -> None:
        if not self._providers:
            raise ConfigError(
                "no flag is configured, so the application cannot be told where to read and write",
                remedy="write a section [[cutover.flags]] for each way to tell it, see docs/flag.md",
            )
        if not state.allowed:
            raise UsageError(
                "reads cannot go to SQLite while writes go to Postgres: nobody would see what was written",
                remedy="take the writes back first, with the rows that were written meanwhile",
            )

    def _of_proxies(self, command: str) -> None:
        for provider in self._providers:
            if isinstance(provider, ProxyProvider):
                try:
                    provider.hold() if command == "hold" else provider.release()
                except FlipFailed as error:
                    raise FlagNotSet(
                        f"writes cannot be held or let go by the proxy: {error}",
                        remedy="start it with `cdc shadow proxy`, or take its section out of [[cutover.flags]]",
                    ) from None


def _reason(error: BaseException) -> str:
    match error:
        case CdcError():
            return error.message
        case FlipFailed():
            return str(error)
        case _:
            return type(error).__name__
