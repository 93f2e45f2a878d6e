"""Variables in a file of an environment: a shell reads the new values, and every other byte stays as it was."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.cutover.flag.env_file import UnreadableLine, values, with_values

LINES = (
    b"# READ_FROM=a comment",
    b"OTHER=plain",
    b"OTHER='READ_FROM=x'",
    b'OTHER="two\nREAD_FROM=within\nlines"',
    b'OTHER="a \\"\nREAD_FROM=within too"',
    b"OTHER=goes\\\nREAD_FROM=on",
    b"OTHER=\xff\xfe",
    b"",
    b"   ",
    b"READ_FROM_OTHER=1",
)
ASSIGNED = (
    b"READ_FROM=old",
    b"READ_FROM=",
    b"export READ_FROM=old  # why",
    b"READ_FROM='in quotes' # why",
    b'  READ_FROM="in quotes"',
    b"READ_FROM=with#in",
)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\"'\\$`\x7f"), max_size=12)


def in_a_shell(content: bytes) -> str:
    command = 'set -a; . /dev/stdin; printf %s "$READ_FROM"'
    return subprocess.run(["sh", "-c", command], input=content, capture_output=True, check=True).stdout.decode()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(LINES), max_size=4),
    st.sampled_from((None, *ASSIGNED)),
    st.lists(st.sampled_from(LINES), max_size=3),
    st.booleans(),
    VALUE,
)
def test_the_value_is_another_and_all_other_bytes_are_as_they_were(
    before: list[bytes], assigned: bytes | None, after: list[bytes], ends: bool, value: str
) -> None:
    content = b"\n".join([*before, *([] if assigned is None else [assigned]), *after]) + (b"\n" if ends else b"")
    changed = with_values(content, {"READ_FROM": value})
    assert values(changed, {"READ_FROM": ""}) == {"READ_FROM": value}
    assert in_a_shell(changed) == value
    head, tail = b"\n".join([*before, b""] if before else []), b"\n".join([b"", *after]) if after else b""
    if assigned is None:
        assert changed.startswith(content)
        assert b"READ_FROM=" in changed[len(content) :]
    else:
        assert changed.startswith(head)
        assert changed.endswith(tail + (b"\n" if ends else b""))
        assert b"# why" not in assigned or b"# why" in changed[len(head) :]
    assert with_values(changed, {"READ_FROM": value}) == changed


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (b"A=1\r\nB=2\r\n", b"A=9\r\nB=2\r\n"),
        (b"B=2\r\n", b"B=2\r\nA=9\r\n"),
        (b"A=1\nA='2' # c\n", b"A=1\nA='9' # c\n"),  # the last one counts
        (b"A= # c", b"A=9 # c"),
        (b"", b"A=9\n"),
    ],
)
def test_line_ends_quotes_and_comments_stay(content: bytes, changed: bytes) -> None:
    assert with_values(content, {"A": "9"}) == changed


@pytest.mark.parametrize("line", [b"A=a'b'", b"A=a\\", b'A="a', b"A='a'b", b'A="$B"x', b"A=#b"])
def test_a_value_that_programs_read_differently_is_not_touched(line: bytes) -> None:
    with pytest.raises(UnreadableLine, match="line 2, which sets A"):
        with_values(b"B=1\n" + line, {"A": "9"})
