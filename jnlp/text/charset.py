"""The encoding that an HTML page declares, and whether it is correct.

Some declarations are wrong: tools write `charset=iso-8859-1` above Shift_JIS. A declaration is used if all bytes decode
with it and they are not more likely Japanese in another encoding.
"""

from __future__ import annotations

import re

from jnlp.errors import RecordError, UsageError
from jnlp.patterns import deferred

from .encodings import Decoded, Decoder, Detected, canonical, decode, detect
from .prior import japanese_cost

_HEAD = 4096  # bytes in which a declaration is looked for
_META = deferred(
    rb"<meta(?=[\s/])[^<>]{0,400}?[\s;\"']charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:.-]{1,40})", re.IGNORECASE
)
_XML = deferred(rb"\s{0,99}<\?xml\s[^<>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([\w:.-]{1,40})", re.IGNORECASE)
# What browsers read by these names, from the WHATWG's table: mostly a superset of what the name says.
_LABELS = {
    "gb18030": "gb18030 gb2312 gb_2312 gb_2312-80 gbk x-gbk chinese csgb2312 iso-ir-58 csiso58gb231280",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "cp949": "euc-kr ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 korean windows-949 iso-ir-149 cseuckr uhc",
    "cp1252": "iso-8859-1 iso8859-1 iso_8859-1 iso88591 latin1 l1 ascii us-ascii windows-1252 cp1252 x-cp1252",
    "cp1254": "iso-8859-9 iso8859-9 latin5 windows-1254",
    "cp874": "tis-620 iso-8859-11 windows-874",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese",
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 utf-16 utf-16le utf-16be",
    "cp866": "ibm866 cp866",
    "mac_roman": "macintosh mac x-mac-roman",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_OTHERS = deferred(
    r"iso-?8859-\d{1,2}|windows-125\d|cp125\d|koi8-[ru]|johab|(?:windows-31j|x-sjis|shift[_-]?jis|sjis|ms932|iso-2022-jp)"
)
_JAPANESE = frozenset({"cp932", "euc_jp", "iso2022_jp"})
_KANA = deferred("[\u3041-\u3096\u30a1-\u30fc]")
_HIGH = deferred("[\x80-\U0010ffff]")
_ACCENTED = deferred("[\u00c0-\u024f]")
_IN_WORD = deferred(
    "(?<=[A-Za-z])[\u00c0-\u024f]{1,2}(?![\u00c0-\u024f])|(?<![\u00c0-\u024f])[\u00c0-\u024f]{1,2}(?=[A-Za-z])"
)
_WEIGHED = 8192  # bytes
_SURE = 0.999
_KANA_SHARE = 0.1  # of what is not ASCII in Japanese text, at least


def decode_page(data: bytes, encoding: str | None = None, /, *, name: str = "data", replace: bool = False) -> Decoded:
    """Decode an HTML page with the given encoding, else the declared one if it is correct, else as `decode` does.

    Raises:
        RecordError: The page looks binary, or neither what it declares nor a Japanese encoding has all of its bytes.
        UsageError: The encoding asked for is unknown.

    Example:
        >>> page = '<meta charset="shift_jis"><p>お知らせ</p>'.encode("cp932")
        >>> decode_page(page).encoding
        'cp932'
    """
    codec = None if encoding or b"\0" in data else declared(data)
    if codec is None:
        return decode(data, encoding, name=name, replace=replace)
    try:
        found = detect(data, name=name)
    except RecordError:
        shown = Decoder(codec, name, replace=True).decode(data, True)
        return decode(data, None if _is_mojibake(shown) else codec, name=name, replace=replace)
    if found.bom or found.codec in ("utf-8", codec) or found.codec not in _JAPANESE:
        return decode(data, found.codec, name=name, replace=replace)
    return decode(data, codec if _is_true(data, codec, found) else found.codec, name=name, replace=replace)


def declared(data: bytes, /) -> str | None:
    """Return Python's codec for the encoding that a page declares in a `<meta>` or its XML declaration, or None.

    Example:
        >>> declared(b'<meta charset="gb2312">')
        'gb18030'
    """
    head = _without_comments(data[:_HEAD])
    found = _META.search(head) or _XML.match(head)
    if found is None:
        return None
    label = found[1].decode("ascii", "replace").lower()
    if label in _CODECS:
        return _CODECS[label]
    try:
        return canonical(label) if _OTHERS.fullmatch(label) else None
    except UsageError:
        return None


def _without_comments(head: bytes) -> bytes:
    parts, start = [], 0
    while (opened := head.find(b"<!--", start)) >= 0:
        parts.append(head[start:opened])
        closed = head.find(b"-->", opened)
        if closed < 0:
            return b"".join(parts)
        start = closed + 3
    return b"".join([*parts, head[start:]])


def _is_true(data: bytes, codec: str, found: Detected) -> bool:
    """Return True if a page that could be Japanese is in its declared codec."""
    try:
        Decoder(codec, "").decode(data, True)
    except RecordError:
        return False
    if codec in _JAPANESE:
        return found.confidence < _SURE
    start = next((place for place, byte in enumerate(data) if byte >= 0x80), 0)
    sample = data[start : start + _WEIGHED]
    japanese, declared = (Decoder(one, "", replace=True).decode(sample, False) for one in (found.codec, codec))
    if len(_KANA.findall(japanese)) < _KANA_SHARE * len(_HIGH.findall(japanese)) and not _is_mojibake(declared):
        return True
    return japanese_cost(declared) < japanese_cost(japanese)


def _is_mojibake(text: str) -> bool:
    """Return True if most accented letters are outside words of Latin letters: ÆüËÜ, but not café."""
    letters = len(_ACCENTED.findall(text))
    return 2 * sum(len(run[0]) for run in _IN_WORD.finditer(text)) < letters
