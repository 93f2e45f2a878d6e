"""Numbers of things in words."""


def counted(n: int, noun: str, several: str = "") -> str:
    """So many of something: `1 row`, `2,000 rows`; `several` is a plural that does not end in s alone."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {several or noun + 's'}"
