"""The steps of a switch that are about the application: it is told where to go, and asked whether it went."""

from cdc.cutover.flag.state import FlagState
from cdc.cutover.scene import Scene
from cdc.facts.side import Side


class Telling:
    """What the application is told in a switch to `side`, and how that is taken back."""

    def __init__(self, scene: Scene, side: Side) -> None:
        self._scene = scene
        self._side = side
        self._before = scene.flags.now().state or FlagState(side.other, side.other)

    async def flip(self) -> str:
        """The side is open by now: the writes that a proxy held find one that takes them."""
        await self._scene.set_flags(FlagState(self._side, self._side))
        self._scene.window.end()
        return f"refused for {self._scene.window.seconds:.2f} s"

    async def flip_back(self) -> None:
        """Not where nobody can be asked which side counts: the flag goes on to tell of the one that does."""
        await self._scene.phase()
        await self._scene.set_flags(self._before)

    async def ask_for_reads(self) -> str:
        """Raises `SwitchError` when it reads elsewhere; returns what there is to tell."""
        return await self._scene.ask(self._side, "reads")

    async def ask_for_write(self) -> str:
        """Raises `SwitchError` when it writes elsewhere; returns what there is to tell."""
        return await self._scene.ask(self._side, "writes")
