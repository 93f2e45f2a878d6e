"""What is called like a secret: a header, a parameter of a query, a column or a table. Pure."""

import re
from typing import Final

MASKED: Final = "***"
# Nobody who has written something is a secret, though `author` begins like `authorization`.
SECRET_WORDS: Final = r"api[-_ ]?key|auth(?!or)|authori[sz]|cookie|passw|secret|session|signature|token"
_SECRET: Final = re.compile(SECRET_WORDS, re.IGNORECASE)


def is_called_secret(name: str) -> bool:
    """Whether the values under a name are likely to be secrets, such as `session_token` or `apiKey`."""
    return _SECRET.search(name) is not None
