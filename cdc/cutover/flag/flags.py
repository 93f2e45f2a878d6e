"""All flags of a configuration as one: what they say together, and a change of all of them or of none."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
class FlagStanding:
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
    def drifted(self) -> bool:
        """Whether they say something else than they were told last, though no change is half done."""
        return self.unfinished is None and self.remembered not in (None, self.state)

    @property
    def agree(self) -> bool:
        """Whether all say the same, as they were told, each says what it should, and no change is half done."""
        as_told = self.unfinished is None and not self.drifted
        return self.state is not None and as_told and not any(flag.saying.problem for flag in self.said)

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

    def now(self) -> FlagStanding:
        """What they say."""
        memory = recall(self._state_dir)
        said = tuple(FlagSaid(provider.label, self._saying(provider, memory)) for provider in self._providers)
        return FlagStanding(said, memory.state, memory.towards)

    def set_all(self, state: FlagState) -> None:
        """Have all of them say so, in their order; what says so already is left alone.

        When one fails, all are set back to what they said before, again in their order: a restart has to come after the
        environment that it is for. Raises `FlagNotSet`, which tells how they stand then; `UsageError` for writes that
        would go to Postgres before reads do; `ConfigError` where no flag tells of what moves; `StillWorking` while
        somebody else sets them.
        """
        self._set(lambda _: state)

    def move_reads(self, side: Side) -> None:
        """The same for reads alone, with writes wherever they are; raises `FlagNotSet` where flags differ in that."""
        self._set(lambda standing: FlagState(side, _agreed_writes(standing)))

    def hold(self) -> None:
        """Have writes wait where a proxy stands before the application; raises `FlagNotSet`."""
        self._of_proxies("hold")

    def release(self) -> None:
        """Let writes that wait go on where they were going; raises `FlagNotSet`."""
        self._of_proxies("release")

    # --- a change -----------------------------------------------------------------------------------------------------

    def _set(self, wanted: Callable[[FlagStanding], FlagState]) -> None:
        with alone(self._state_dir):
            standing, memory = self.now(), recall(self._state_dir)
            before = memory.before if memory.towards else standing.state
            # After a change that did not end, nobody knows which of those that cannot be asked it reached.
            told = set(() if memory.towards else memory.told)
            change = _Change(wanted(standing), before, standing, told)
            self._require(change)
            if standing.agree and all(s == p.would_say(change.state) for p, s in self._with_sayings(standing)):
                return
            self._tell("started", change.state, before=None if before is None else str(before))
            self._make(change, replace(memory, before=before, towards=change.state))

    def _make(self, change: "_Change", begun: Memory) -> None:
        provider: Provider | None = None
        moving = set(change.moves)
        try:
            keep(self._state_dir, begun)
            for provider, saying in self._with_sayings(change.standing):
                wanted = provider.would_say(change.state)
                if saying == wanted and (provider.answers or not provider.follows & moving):
                    continue
                moving |= moved(saying, wanted)
                change.reached.add(provider.label)
                self._flip(provider, change.state)
                self._tell_flip(provider, change.state, "done")
                change.told.add(provider.label)
            self._tell("done", change.state)
            self._settle(change.state, change.told)
        except BaseException as error:
            if provider is not None and isinstance(error, FlipFailed) and error.unchanged:
                change.reached.discard(provider.label)
            left = self._go_back(change) if provider is not None else []
            with suppress(CdcError):
                self._tell("failed", change.state, reason=_reason(error))
            if provider is None or not isinstance(error, FlipFailed | CdcError):
                raise
            raise _not_set(provider, change, _reason(error), left) from None

    def _flip(self, provider: Provider, state: FlagState) -> None:
        try:
            provider.set(state)
        except (FlipFailed, CdcError) as error:
            with suppress(CdcError):
                self._tell_flip(provider, state, "failed", reason=_reason(error))
            raise

    def _go_back(self, change: "_Change") -> list[str]:
        """Set back what may have changed; returns what could not be, in words."""
        before, left = change.before, []
        if before is None:
            return ["it is not known how they were before"]
        for provider, saying in self._with_sayings(change.standing):
            if _is_back(provider, saying, change, before):
                continue
            try:
                self._flip(provider, before)
            except (FlipFailed, CdcError) as error:
                left.append(f"{provider.label} could not be set back: {_reason(error)}")
                continue
            change.told.add(provider.label)
            with suppress(CdcError):
                self._tell_flip(provider, before, "done")
        if not left:
            with suppress(CdcError):
                self._settle(before, change.told)
        return left

    # --- what is known ------------------------------------------------------------------------------------------------

    def _saying(self, provider: Provider, memory: Memory) -> Saying:
        if provider.answers:
            return provider.says()
        if memory.towards is not None or memory.state is None or provider.label not in memory.told:
            return Saying()
        return provider.would_say(memory.state)

    def _with_sayings(self, standing: FlagStanding) -> list[tuple[Provider, Saying]]:
        return [(p, said.saying) for p, said in zip(self._providers, standing.said, strict=True)]

    def _settle(self, state: FlagState, told: set[str]) -> None:
        keep(self._state_dir, Memory(state, tuple(p.label for p in self._providers if p.label in told)))

    def _tell(self, result: str, state: FlagState, **details: trail.Detail) -> None:
        trail.record(self._state_dir, "set the flags", result, {**state.to_json(), **details})

    def _tell_flip(self, provider: Provider, state: FlagState, result: str, **details: trail.Detail) -> None:
        trail.record(self._state_dir, "flip", result, {"flag": provider.label, **state.to_json(), **details})

    def _require(self, change: "_Change") -> None:
        if not self._providers:
            raise ConfigError(
                "no flag is configured, so the application cannot be told where to read and write",
                remedy="write a section [[cutover.flags]] for each way to tell it, see docs/flag.md",
            )
        if not change.state.allowed:
            raise UsageError(
                "reads cannot go to SQLite while writes go to Postgres: nobody would see what was written",
                remedy="`cdc rollback` takes writes back, with rows that were written meanwhile, and reads with them",
            )
        if untold := change.moves - self._told_of(change):
            raise ConfigError(
                f"no flag tells the application where its {' and '.join(sorted(untold))} go",
                remedy="add one that follows them to [[cutover.flags]]; what follows `both` moves with the writes",
            )

    def _told_of(self, change: "_Change") -> frozenset[str]:
        """What the flags can tell, of `reads` and `writes`. A restart tells nothing where other flags do."""
        before = change.before or change.state
        told = (moved(p.would_say(before), p.would_say(change.state)) for p in self._providers)
        programs = () if any(p.answers for p in self._providers) else (p.follows for p in self._providers)
        return frozenset().union(*told, *programs)

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


@dataclass(frozen=True, slots=True)
class _Change:
    """A change while it is made: what was told of it to those that cannot be asked, and which flags it reached."""

    state: FlagState
    before: FlagState | None
    standing: FlagStanding
    told: set[str]
    reached: set[str] = field(default_factory=set)

    @property
    def moves(self) -> frozenset[str]:
        """What it moves, of `reads` and `writes`, as far as it is known how they were."""
        return moved(self.before, self.state) if self.before else frozenset()


def _agreed_writes(standing: FlagStanding) -> Side:
    if standing.writes is None:
        raise FlagNotSet(
            "the flags do not agree where writes go, so reads cannot be moved beside them",
            remedy="see `cdc flag`: the daemon sets the flags to the side that is written to, once it runs",
        )
    return standing.writes


def _is_back(provider: Provider, saying: Saying, change: _Change, before: FlagState) -> bool:
    """Whether a flag is as it was. After a change that did not end, only what was before that one is."""
    anew = change.standing.unfinished is None
    if not provider.answers:
        return anew and provider.label not in change.reached
    now = provider.says()
    return now == provider.would_say(before) or (anew and now == saying)


def _not_set(provider: Provider, change: _Change, reason: str, left: Sequence[str]) -> FlagNotSet:
    if not left:
        return FlagNotSet(
            f"the flag {provider.label} could not be set ({change.state}): {reason}; "
            f"all are as before ({change.before})",
            remedy="correct what stands in the way, then give the command again",
        )
    return FlagNotSet(
        f"the flag {provider.label} could not be set ({change.state}): {reason}; "
        f"not all are as before: {'; '.join(left)}",
        remedy="`cdc flag` shows how each stands; correct what stands in the way, then give the command again",
    )


def _reason(error: BaseException) -> str:
    match error:
        case CdcError():
            return error.message
        case FlipFailed():
            return str(error)
        case _:
            return type(error).__name__
