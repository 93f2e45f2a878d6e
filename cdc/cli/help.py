"""What a command's help is made of: its words, its options, and calls that work. The reference page shows the same."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import click

NARROWEST_SHORT_HELP: Final = 68  # columns beside the longest command's name, on a terminal of 80


class Example(NamedTuple):
    """A call as it is typed, and what it is for."""

    call: str
    purpose: str


class Command(click.Command):
    """A command whose help ends with examples; each is a call and its purpose."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples: Final = tuple(Example(*example) for example in examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, a call unbroken in a line of its own so that it can be copied."""
        if self.examples:
            with formatter.section("Examples"):
                for line in example_lines(self.examples):
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


def example_lines(examples: Sequence[Example]) -> list[str]:
    """Lines for a shell: the purpose as a comment above each call."""
    return [line for call, purpose in examples for line in (f"# {purpose}", call)]


class Group(Command, click.Group):
    """Commands under headings, in the order in which an operator meets them."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headings: dict[str, list[str]] = {}

    def add_under(self, heading: str, *commands: click.Command) -> None:
        """Add commands, shown after all that were added before."""
        for command in commands:
            self.add_command(command)
            self._headings.setdefault(heading, []).append(command.name or "")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings."""
        for heading, names in (self._headings or {"Commands": list(self.commands)}).items():
            with formatter.section(heading):
                width = max(len(name) for name in self.commands)
                formatter.write_dl(
                    [
                        (f"{name:{width}}", self.commands[name].get_short_help_str(NARROWEST_SHORT_HELP))
                        for name in names
                    ]
                )
