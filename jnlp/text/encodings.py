"""Detects the encoding of a Japanese file and decodes it.

The certain signs come first: byte order marks, the escapes of ISO-2022-JP, strict UTF-8. Then a Japanese prior decides
between cp932 (Shift_JIS as Windows writes it) and EUC-JP. latin-1 is never tried, since it accepts any bytes. Chinese
and Korean text in its own encodings is reported as such.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from jnlp.errors import RecordError, UsageError
from jnlp.patterns import deferred

from .foreign import LANGUAGES, foreign_codec, head
from .prior import japanese_cost

EXTENDED = (
    "jnlp.japanese"  # the error handler that reads the vendor rows of JIS X 0208 (①, ㈱) in EUC-JP and ISO-2022-JP
)
_EXTENDED_REPLACE = f"{EXTENDED}.replace"
SETTLED = 0.999999  # a confidence that more bytes will not change

_HINT = "give the encoding with --encoding, or read the rest with --encoding-errors replace"
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "zip",
    b"\x89PNG": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\xff\xd8\xff": "JPEG",
    b"\x1f\x8b\x08": "gzip",
    b"BZh91AY": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xd0\xcf\x11\xe0": "Microsoft Office",
    b"\x7fELF": "ELF",
    b"SQLite format 3\x00": "SQLite",
    b"PAR1": "parquet",
}
# What begins Japanese in ISO-2022-JP. ESC ( B alone does not: terminals write it too, as `tput sgr0` does.
_ESCAPE = deferred(rb"\x1b(?:\$[@B]|\$\([A-DO-Q]|\(I)(?=[!-~])")
_SHIFTED = deferred(rb"\x1b(?:(?:\$[@B]|\$\([A-DO-Q])(?:[!-~]{2})++|\(I[!-_]++)(?=[\x1b\r\n])")  # to its end
_HIGH = deferred(rb"[\x80-\xff]")
_CONTROL = deferred(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_WIDE_STRONG = deferred(r"[\t\n\r -~\u3000-\u3002\u300c\u300d\u3041-\u30ff\uff01-\uff9f]")
_WIDE_PLAUSIBLE = deferred(
    r"[\t\n\r -~\u2010-\u203b\u2190-\u2193\u2460-\u2473\u25a0-\u25cf\u3000-\u30ff\u4e00-\u9fff\uff01-\uff9f]"
)
_UNASSIGNED = deferred("[\x80\xa0\uf8f0-\uf8f3]")  # what Python's cp932 makes of bytes that Shift_JIS does not have
_SHIFT_JIS = {
    "shift_jis",
    "sjis",
    "shiftjis",
    "s_jis",
    "x_sjis",
    "x_shift_jis",
    "windows_31j",
    "cp932",
    "ms932",
    "mskanji",
}
_SAMPLE = 1 << 16  # bytes
_WEIGHED = 8192  # characters
_REPLACED = "\ufffd"
_REPLACED_COST = 60.0  # bits a byte that is replaced: more than any character that a wrong codec makes
_FEW_REPLACED, _MAX_REPLACED = 3, 0.05  # bytes, and more by characters not ASCII; beyond, it is not this codec's text


@dataclass(frozen=True, slots=True)
class Detected:
    """A detected encoding.

    Args:
        codec: The name of Python's codec.
        reason: Why it was chosen, in words.
        confidence: Between 0 and 1.
        bom: Whether there is a byte order mark at the start (the codec removes it).

    Example:
        >>> found = detect("契約書を作成します。".encode("euc_jp"))
        >>> found.codec, found.bom
        ('euc_jp', False)
    """

    codec: str
    reason: str
    confidence: float
    bom: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text and the codec that it was read with.

    Example:
        >>> decode("契約書を作成します。".encode("cp932"))
        Decoded(text='契約書を作成します。', encoding='cp932')
    """

    text: str
    encoding: str


class ForeignTextError(RecordError):
    """Chinese or Korean text in its own encoding.

    Args:
        name: The file's name.
        codec: The codec that decodes it.

    Example:
        >>> try:
        ...     decode("本合同自双方签字之日起生效，有效期为一年。".encode("gb18030") * 20)
        ... except ForeignTextError as error:
        ...     error.codec
        'gb18030'
    """

    def __init__(self, name: str, codec: str, /) -> None:
        super().__init__(
            f"{name}: this is {LANGUAGES[codec]} text in {codec}, not in a Japanese encoding",
            hint=f"to read it anyway: --encoding {codec}",
        )
        self.codec = codec


class UndecodableError(RecordError):
    """A byte that the codec cannot decode.

    Args:
        name: The file's name.
        codec: The codec, or the codecs that were tried.
        position: The byte's position in the file.
        byte: The byte.

    Example:
        >>> try:
        ...     decode("契約".encode() + bytes([255]), "utf-8", name="a.txt")
        ... except UndecodableError as error:
        ...     error.position, error.byte
        (6, 255)
    """

    def __init__(self, name: str, codec: str, position: int, byte: int, /) -> None:
        super().__init__(f"{name}: byte {position} (0x{byte:02x}) is not {codec}", hint=_HINT)
        self.position, self.byte = position, byte


def detect(data: bytes, /, *, name: str = "data", replace: bool = False) -> Detected:
    """Detect the encoding of a whole file's bytes; RecordError if it looks binary or no codec decodes it.

    With `replace`, a codec may lack a few of the bytes (three, and 5 % of the non-ASCII ones).

    Example:
        >>> detect("契約書を作成します。".encode("cp932")).codec
        'cp932'
    """
    return detect_prefix(data, final=True, name=name, replace=replace)


def decode(data: bytes, encoding: str | None = None, /, *, name: str = "data", replace: bool = False) -> Decoded:
    """Decode a whole file, detecting the encoding if none is given; remove the byte order mark, keep newlines.

    With `replace`, bytes that cannot be decoded become U+FFFD.

    Raises RecordError naming the file and the byte that cannot be decoded, UsageError for an unknown encoding.

    Example:
        >>> decode("契約書を作成します。".encode("euc_jp")).text
        '契約書を作成します。'
    """
    codec = canonical(encoding) if encoding else detect(data, name=name, replace=replace).codec
    return Decoded(Decoder(codec, name, replace=replace).decode(data, True).removeprefix("\ufeff"), codec)


class Decoder:
    """Decodes a file piece by piece; errors name the file and the byte.

    Args:
        codec: A codec's name, as `canonical` and `detect` return it.
        name: The file's name in errors.
        offset: The position in the file at which decoding begins.
        replace: Read bytes that cannot be decoded as U+FFFD.
    """

    def __init__(self, codec: str, name: str, /, *, offset: int = 0, replace: bool = False) -> None:
        self._codec, self._name, self._replace = codec, name, replace
        if codec.startswith(("euc_jp", "iso2022_jp")):
            errors = _EXTENDED_REPLACE if replace else EXTENDED
        else:
            errors = "replace" if replace else "strict"
        self._decoder = codecs.getincrementaldecoder(codec)(errors)
        self._fed = offset

    def decode(self, data: bytes, final: bool, /) -> str:
        """Return the new text of the bytes fed so far; a RecordError names an undecodable byte."""
        held = len(self._decoder.getstate()[0])
        begin, self._fed = self._fed - held, self._fed + len(data)
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            # The error's bytes are those held back from before and these, so they end where we are.
            position = self._fed - len(error.object) + error.start
            raise UndecodableError(self._name, self._codec, position, error.object[error.start]) from None
        except UnicodeError as error:  # no byte is wrong: a codec that wants a byte order mark, and there is none
            raise RecordError(
                f"{self._name}: {error}", hint=f"{self._codec}-le and {self._codec}-be need no mark"
            ) from None
        if self._codec == "cp932" and self._replace:
            return _UNASSIGNED.sub(_REPLACED, text)
        if self._codec == "cp932" and (lone := _UNASSIGNED.search(text)):
            position = begin + len(text[: lone.start()].encode("cp932"))
            raise UndecodableError(self._name, self._codec, position, lone[0].encode("cp932")[0])
        return text


def canonical(encoding: str, /) -> str:
    """Return the name of Python's codec for a user's spelling (shift_jis is cp932); UsageError if unknown.

    Example:
        >>> canonical("Shift_JIS")
        'cp932'
    """
    plain = re.sub(r"[-\s]", "_", encoding.strip().lower())
    if plain in _SHIFT_JIS:
        return "cp932"
    try:
        info = codecs.lookup(plain)
    except LookupError:
        info = None
    if info is None or not info._is_text_encoding:
        raise UsageError(f"unknown encoding: {encoding}", hint="for example utf-8, cp932, euc_jp, iso2022_jp, utf-16")
    return {"utf-8": "utf-8-sig"}.get(info.name, info.name) if plain.endswith("sig") else info.name


def detect_prefix(data: bytes, /, *, final: bool, name: str, offset: int = 0, replace: bool = False) -> Detected:
    """Detect the encoding from the bytes at `offset` of a file; `final`: no more follow. Raises as `detect`."""
    if offset == 0:
        for mark, codec in _BOMS:
            if data.startswith(mark):
                return Detected(codec, "byte order mark", 1.0, bom=True)
        for magic, kind in _MAGIC.items():
            if data.startswith(magic):
                raise RecordError(
                    f"{name}: looks binary ({kind})", hint="give a text file, or convert it to text first"
                )
    head = data[:_SAMPLE]
    if _CONTROL.search(head):
        wide = _wide(head, len(head) == len(data) and final) if offset == 0 else None
        if wide:
            return wide
        nul = head.find(0)
        if nul >= 0 or len(_CONTROL.findall(head)) > len(head) // 10:
            place = f"byte {offset + nul} is NUL" if nul >= 0 else "control characters"
            raise RecordError(
                f"{name}: looks binary ({place})", hint="give a text file, or name the encoding with --encoding"
            )
    high = _HIGH.search(data)
    if high is None and _ESCAPE.search(data):
        return _iso2022(data, 1.0 if final or _SHIFTED.search(data) else 0.5)
    if high is None:
        return Detected("utf-8", "only ASCII", 1.0 if final else 0.5)
    return _weigh(data, max(0, high.start() - 16), final, name, offset, replace)


def _iso2022(data: bytes, confidence: float) -> Detected:
    """Return the plain codec if it is enough, else the one with half-width katakana and JIS X 0212."""
    simple = not re.search(rb"\x1b(?:\$\(|\(I)", data)
    return Detected("iso2022_jp" if simple else "iso2022_jp_ext", "escape sequences", confidence)


def _wide(head: bytes, whole: bool) -> Detected | None:
    """Detect UTF-16 without a byte order mark, if one byte order reads as text and the other as noise."""
    if whole and len(head) % 2:
        return None
    shares = {}
    for codec in ("utf-16-le", "utf-16-be"):
        text = head[: len(head) // 2 * 2].decode(codec, "replace")
        if len(_WIDE_PLAUSIBLE.findall(text)) >= 0.97 * len(text) > 0:
            shares[codec] = len(_WIDE_STRONG.findall(text)) / len(text)
        else:
            shares[codec] = 0.0
    best = max(shares, key=shares.__getitem__)
    if shares[best] < 0.25 or min(shares.values()) > 0.05:
        return None
    return Detected(best, "UTF-16 without a byte order mark", 0.99)


def _weigh(data: bytes, start: int, final: bool, name: str, offset: int, replace: bool) -> Detected:
    """Compare the codecs on a sample that grows until it decides."""
    size = _SAMPLE
    while True:
        sample = data[start : start + size]
        last = start + size >= len(data)
        found = _choose(sample, final and last, name, offset + start, replace)
        if last or found.confidence >= SETTLED:
            return found
        size *= 8


def _choose(sample: bytes, final: bool, name: str, offset: int, replace: bool) -> Detected:
    costs: dict[str, float] = {}
    furthest: UndecodableError | None = None
    for codec in ("utf-8", "cp932", "euc_jp"):
        try:
            text = Decoder(codec, name, offset=offset).decode(sample, final)
        except UndecodableError as error:
            furthest = error if furthest is None or error.position > furthest.position else furthest
            if replace and (cost := _cost_replaced(sample, codec, name)) is not None:
                costs[codec] = cost
            continue
        if codec == "utf-8" and (_wide_script(text) or not text):
            return Detected(codec, "valid UTF-8", 1.0)
        cost = japanese_cost(text[:_WEIGHED])
        if codec == "utf-8" or not _hopeless(text[:_WEIGHED], cost):
            costs[codec] = cost
    if "utf-8" not in costs and (foreign := foreign_codec(sample, _japanese(sample))) is not None:
        raise ForeignTextError(name, foreign)
    if not costs:
        if furthest is None:
            raise RecordError(f"{name}: byte {offset}: no Japanese text in any known encoding", hint=_HINT)
        raise UndecodableError(name, "text in UTF-8, cp932 or EUC-JP", furthest.position, furthest.byte)
    best, *others = sorted(costs, key=costs.__getitem__)
    if not others:
        return Detected(best, f"no other codec reads it as Japanese than {best}", 1.0 - 2.0 ** -min(len(sample), 40))
    margin = min(costs[others[0]] - costs[best], 60.0)
    return Detected(best, f"reads as Japanese, {margin:.0f} bits ahead of {others[0]}", 1 / (1 + 2.0**-margin))


def _japanese(sample: bytes) -> float:
    """Return the cost of a sample's head as Japanese in the better codec; infinite if neither has all of its bytes."""
    best = float("inf")
    for codec in ("cp932", "euc_jp"):
        try:
            best = min(best, japanese_cost(Decoder(codec, "").decode(head(sample), False)))
        except UndecodableError:
            continue
    return best


def _cost_replaced(sample: bytes, codec: str, name: str) -> float | None:
    """Return the cost of a sample in a codec that lacks some of its bytes; None if it lacks too many."""
    text = Decoder(codec, name, replace=True).decode(sample, False)[:_WEIGHED]
    lacking = text.count(_REPLACED)
    kept = text.replace(_REPLACED, "")
    cost = japanese_cost(kept)
    most = _FEW_REPLACED + _MAX_REPLACED * sum(not character.isascii() for character in kept)
    if lacking > most or _hopeless(kept, cost):
        return None
    return cost + _REPLACED_COST * lacking


def _wide_script(text: str) -> bool:
    """Return True if the text has UTF-8 sequences of three or four bytes, which other codecs hardly make by chance."""
    return not text.isascii() and max(text) >= "\u0800"


def _hopeless(text: str, cost: float) -> bool:
    """Return True if the non-ASCII characters are mostly private or control characters: a wrong codec."""
    strange = sum(not character.isascii() for character in text)
    return strange > 0 and cost - 8.0 * (len(text) - strange) > 27.0 * strange + 16


def _vendor_rows(error: UnicodeError) -> tuple[str, int]:
    """Decode one character of the vendor rows, which cp932 has and Python's EUC-JP and ISO-2022-JP lack."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    pair = error.object[error.start : error.start + 2]
    row, cell = (pair[0] & 0x7F) - 0x21, (pair[1] & 0x7F) - 0x21 if len(pair) == 2 else -1
    eight_bit = error.encoding.startswith("euc")
    if not (0 <= cell < 94 and row in {12, *range(88, 92)}) or any((byte >= 0x80) != eight_bit for byte in pair):
        raise error
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + (0x9F if row % 2 else 0x40 if cell < 63 else 0x41)
    try:
        return bytes((lead, trail)).decode("cp932"), error.start + 2
    except UnicodeDecodeError:
        raise error from None


def _vendor_rows_or_replace(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return _vendor_rows(error)
    except UnicodeDecodeError:
        return codecs.replace_errors(error)


codecs.register_error(EXTENDED, _vendor_rows)
codecs.register_error(_EXTENDED_REPLACE, _vendor_rows_or_replace)
