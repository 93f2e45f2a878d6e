"""Files that travel with the package: trigger templates, systemd units, sample data.

In a checkout they stand at the top level, where people look for them; the wheel carries them inside the package.
"""

from pathlib import Path
from typing import Final

_PACKAGED: Final = Path(__file__).parent
_CHECKOUT: Final = _PACKAGED.parent.parent
_TOP_LEVEL: Final = {"triggers": "triggers", "systemd": "systemd", "ytv2": "examples/ytv2"}


def folder(name: str) -> Path:
    """Where the folder `triggers`, `systemd` or `ytv2` is, in an installed wheel or in a checkout."""
    packaged = _PACKAGED / name
    return packaged if packaged.is_dir() else _CHECKOUT / _TOP_LEVEL[name]
