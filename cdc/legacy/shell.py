"""Words of shell commands, as a shell would split them: quotes, comments, continued lines, here-documents."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<join>\\\n) | (?P<escape>\\.)
      | \$?'(?P<single>[^']*)' | "(?P<double>(?:\\.|[^"\\])*)"
      | <<-?[ \t]*(?P<quote>['"\\]?)(?P<here>[A-Za-z_]\w*)(?P=quote)?
      | (?P<redirect>\d?(?:<<<|[<>]+)(?:&[\d-])?)
      | (?P<end>\n|&>|;;?|&&?|\|\|?|\$?\(|\)|`)
      | (?P<space>[^\S\n]+) | (?P<plain>[^\s\\'"&|;()`<>$]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"#[^\n]*")


class Word(NamedTuple):
    """A word without its quotes, and the line where it begins."""

    text: str
    line: int


@dataclass(slots=True)
class ShellCommand:
    """The words of one command, what ended it, and the here-document that it reads."""

    words: list[Word] = field(default_factory=list)
    end: str = ""
    body: str = ""
    body_line: int = 0

    @property
    def writes(self) -> str:
        """The file that its output goes to, empty when there is none."""
        for number, word in enumerate(self.words[:-1]):
            if word.text in (">", ">>", "1>", "1>>"):
                return self.words[number + 1].text
        return ""


class _Lexer:
    def __init__(self, text: str, first_line: int) -> None:
        self._text, self._at, self._line = text, 0, first_line
        self._command = ShellCommand()
        self._word: list[str] | None = None
        self._word_line = first_line
        self._tags: list[tuple[str, ShellCommand]] = []

    def commands(self) -> Iterator[ShellCommand]:
        while self._at < len(self._text):
            if self._word is None and (comment := _COMMENT.match(self._text, self._at)):
                self._at = comment.end()
                continue
            token = _TOKEN.match(self._text, self._at)
            assert token is not None, "the last alternative takes any character"
            self._at = token.end()
            if self._take(token):
                yield from self._ended(token[0].strip() or "\n")
            else:
                self._line += token[0].count("\n")
        yield from self._ended("")

    def _take(self, token: re.Match[str]) -> bool:
        """Take a token in; whether it ends a command."""
        match token.lastgroup:
            case "end":
                return token["end"] != "&>"
            case "escape":
                self._add(token[0][1:])
            case "single" | "double" | "plain":
                self._add(token[token.lastgroup])
            case "here":
                self._tags.append((token["here"], self._command))
            case "redirect":
                self._end_word()
                self._add(token[0])
                self._end_word()
            case "space":
                self._end_word()
        return False

    def _add(self, text: str) -> None:
        if self._word is None:
            self._word, self._word_line = [], self._line
        self._word.append(text)

    def _end_word(self) -> None:
        if self._word is not None:
            self._command.words.append(Word("".join(self._word), self._word_line))
        self._word = None

    def _ended(self, end: str) -> Iterator[ShellCommand]:
        self._end_word()
        done, self._command = self._command, ShellCommand()
        done.end = end
        if end == "\n":
            self._line += 1
            for tag, command in self._tags:
                self._read_body(tag, command)
            self._tags.clear()
        if done.words:
            yield done

    def _read_body(self, tag: str, command: ShellCommand) -> None:
        closing = re.compile(rf"^[ \t]*{re.escape(tag)}[ \t\r]*$\n?", re.MULTILINE).search(self._text, self._at)
        until = closing.start() if closing else len(self._text)
        command.body, command.body_line = self._text[self._at : until], self._line
        self._line += self._text.count("\n", self._at, closing.end() if closing else until)
        self._at = closing.end() if closing else until


def commands(text: str, first_line: int = 1) -> list[ShellCommand]:
    """The simple commands of a text, those within `$(...)` and other brackets by themselves.

    A quote that is never closed counts as a character, so that one mistake does not hide the rest.
    """
    return list(_Lexer(text, first_line).commands())
