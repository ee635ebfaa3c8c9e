"""Rules for e-mail addresses, URLs with secrets, and IP addresses. They read a text as `reading.read` returns it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp_pii.checks import is_public_ip

if TYPE_CHECKING:
    from collections.abc import Iterator

Found = tuple[int, int, str]
"""Start, end and category."""

_EMAIL = deferred(
    r"(?<![A-Za-z0-9._%+@/-])([A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?)"
    r"(?:@| ?[\[(](?:at|アット|あっと)(?:マーク)?[\])] ?)"
    r"((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9@]|-[A-Za-z0-9])"
)
_EXAMPLES = deferred(
    r"(?:^|\.)(?:example(?:\.(?:com|net|org|jp|co\.jp|ne\.jp|edu))?|test|invalid|localhost|local"
    r"|(?:contoso|fabrikam|adventure-works|northwindtraders)\.\w{2,3}|foo\.\w{2,3}|bar\.\w{2,3}|domain\.(?:com|tld)"
    r"|your-?domain\.\w{2,3})$",
    re.IGNORECASE,
)
"""Domains that exist for examples: those of RFC 2606, and those that manuals use."""

_FILES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "py", "rb", "html", "json", "txt"})
_URL = deferred(r"(?<![A-Za-z0-9])(?:https?|ftp|wss?)://[!-;=?-~]{1,2048}", re.IGNORECASE)
_CREDENTIALS = deferred(r"://[^/\s:@?#]{1,64}:[^/\s@?#]{1,128}@")
_SECRET = deferred(
    r"[?&;#](?:[a-z0-9]{1,12}[-_])?(?:access_?token|id_?token|refresh_?token|token|api_?key|key|auth|authorization|"
    r"session(?:_?id)?|sid|jsessionid|phpsessid|sig|signature|secret|password|passwd|pwd|code|otp)=([^&#\s]{6,})",
    re.IGNORECASE,
)
_IPV4 = deferred(r"(?<![0-9A-Za-z.\-_/])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z\-_]|\.[0-9])")
_IPV6 = deferred(r"(?<![0-9A-Za-z.])(?<![0-9A-Za-z:]:)(?=[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]{6,39}(?![0-9A-Za-z:.])")
_VERSION = deferred(
    r"(?:バージョン|版|version|ver\.?|v|release|build|rev\.?|節|章|項|§|OID|ASN|SQL Server)[ :(=]{0,3}$", re.I
)


_IP_WORDS = deferred("IP|アドレス|接続|アクセス|ping|host|ホスト", re.IGNORECASE)
_SMALL = 20
"""Numbers below are those of sections and versions rather than of addresses."""


def emails(text: str, /) -> Iterator[Found]:
    """Yield e-mail addresses; those of domains for examples are none."""
    for hit in _EMAIL.finditer(text):
        if not _EXAMPLES.search(hit[2]) and hit[2].rpartition(".")[2].lower() not in _FILES and ".." not in hit[1]:
            yield *hit.span(), "email"


def urls(text: str, /) -> Iterator[Found]:
    """Yield URLs with a password, a token or a session in them."""
    for hit in _URL.finditer(text):
        end = hit.start() + len(hit[0].rstrip(".,;:!?)]}'\""))
        url = text[hit.start() : end]
        secret = _SECRET.search(url)
        if _CREDENTIALS.search(url) or (secret and any(c.isdigit() or c.isupper() for c in secret[1])):
            yield hit.start(), end, "url"


def addresses(text: str, /) -> Iterator[Found]:
    """Yield IP addresses that a person can have; a version or a section (バージョン 10.0.1.2, 4.9.4.1) is none."""
    for pattern in (_IPV4, _IPV6):
        for hit in pattern.finditer(text):
            before = text[max(0, hit.start() - 14) : hit.start()]
            if not is_public_ip(hit[0]) or _VERSION.search(before):
                continue
            small = pattern is _IPV4 and all(int(part) < _SMALL for part in hit[0].split("."))
            if not small or _IP_WORDS.search(before):
                yield *hit.span(), "ip"
