"""The seal of a report: the SHA-256 of all that stands before it in its file, and of the document inside. Pure.

Two files say the same: a page that has the document in it, and the document alone. Both end with their seal.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

_HASH: Final = rb"([0-9a-f]{64})"
_PAGE_END: Final = re.compile(rb"<!-- seal: sha256 " + _HASH + rb" -->\n\Z")
_JSON_END: Final = re.compile(rb',\n"seal": "' + _HASH + rb'"\n\}\n\Z')
_EMBEDDED: Final = re.compile(rb'<script type="application/json" id="document">(.*?)</script>', re.DOTALL)
_JSON_START: Final = b'{\n"document": '


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file that was read back. `sha256` is that of all before its seal, `sealed` what the seal says, if there is one.

    `document` is what could be read of it, None where nothing could.
    """

    page: bool
    sha256: str
    sealed: str | None
    document: dict[str, Any] | None

    @property
    def intact(self) -> bool:
        """Whether not one byte is another one than when it was sealed."""
        return self.sealed == self.sha256 and self.document is not None


def canonical(document: dict[str, Any]) -> str:
    """The one text of a document: members in the order of their names, no blanks, ASCII, nothing that HTML reads."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def document_sha256(document: dict[str, Any]) -> str:
    """The name of exactly this document."""
    return _sha256(canonical(document).encode())


def seal_page(page: str) -> bytes:
    """The page as a file, closed by its seal."""
    data = page.encode()
    return data + f"<!-- seal: sha256 {_sha256(data)} -->\n".encode()


def seal_document(document: dict[str, Any]) -> bytes:
    """The document as a file of JSON, closed by its seal."""
    data = _JSON_START + canonical(document).encode()
    return data + f',\n"seal": "{_sha256(data)}"\n}}\n'.encode()


def read_sealed(data: bytes) -> ReportFile:
    """What a file is; never raises."""
    page = not data.lstrip().startswith(b"{")
    end = (_PAGE_END if page else _JSON_END).search(data)
    body = data[: end.start()] if end else data
    return ReportFile(page, _sha256(body), end[1].decode() if end else None, _document(body, page=page))


def _document(body: bytes, *, page: bool) -> dict[str, Any] | None:
    if page:
        embedded = _EMBEDDED.findall(body)
        text = embedded[0] if len(embedded) == 1 else b""
    else:
        text = body.removeprefix(_JSON_START)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
