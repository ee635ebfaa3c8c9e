"""Finds personal data in texts, and rewrites texts and the other columns of their rows without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError
from jnlp.types import Done
from jnlp_pii.detector import Detector
from jnlp_pii.labels import Labels, keeping
from jnlp_pii.spec import CATEGORIES, Pii, RewrittenPii, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.types import Apply, Models, Outcome, Text
    from jnlp_pii.spec import PiiOptions

    Rewrite = Callable[[str, Sequence[Span]], tuple[str, tuple[Span, ...]]]


def make(_: Models, options: PiiOptions, /) -> Apply[Pii | RewrittenPii]:
    """Return the function that finds personal data; with `mask` it masks it.

    With `pseudonymise` the labels of a call are its own; `finish` gives out those of a run.

    Raises:
        UsageError: Options that exclude each other.
        JnlpError: A file of `--allow` that cannot be read.
    """
    check(options)
    detector = Detector(options)

    def apply(texts: Sequence[Text], /) -> list[Pii | RewrittenPii]:
        found = [(text, detector.spans(text)) for text in map(_plain, texts)]
        if options.pseudonymise:  # without `finish`, as in a service, each call has labels of its own
            labels = Labels(options.style)
            return [RewrittenPii(*labels.rewrite(text, spans)) for text, spans in found]
        if not options.mask:
            return [Pii(spans) for _, spans in found]
        return [RewrittenPii(*masked(text, spans, options.mask_with)) for text, spans in found]

    return apply


def check(options: PiiOptions, /) -> None:
    """Raise UsageError where options exclude each other."""
    if options.mask and options.pseudonymise:
        raise UsageError("--mask and --pseudonymise exclude each other", hint="give one of them")
    if options.map is not None and not options.pseudonymise:
        raise UsageError("--map is for --pseudonymise", hint="add --pseudonymise")
    if options.mask_with == "":
        raise UsageError("--mask-with is empty", hint="give a character, or a text such as [削除]")


def masked(text: str, spans: Sequence[Span], mask: str | None = None, /) -> tuple[str, tuple[Span, ...]]:
    """Return the text with spans masked, and the spans with what masks them.

    Args:
        text: The text.
        spans: Its personal data, in order and apart.
        mask: A character for each one masked (blanks stay), a longer text for the whole; None is the category's name.

    Example:
        >>> masked("山田さん", [Span(0, 2, "name", "山田")])[0]
        '［氏名］さん'
        >>> masked("山田さん", [Span(0, 2, "name", "山田")], "＊")[0]
        '＊＊さん'
    """
    parts, named, done = [], [], 0
    for span in spans:
        hidden = f"［{CATEGORIES[span.category]}］" if mask is None else mask
        if len(hidden) == 1:
            hidden = "".join(c if c.isspace() else hidden for c in text[span.start : span.end])
        parts += [text[done : span.start], hidden]
        named.append(replace(span, text=hidden))
        done = span.end
    return "".join((*parts, text[done:])), tuple(named)


def finish(outcomes: Iterable[Outcome[Any]], options: PiiOptions, /) -> Iterator[Outcome[Any]]:
    """Yield outcomes with labels in place of personal data, and the other columns of rows rewritten like the text.

    Raises:
        UsageError: Options that exclude each other.
        JnlpError: The file of `--map` is no map.
    """
    check(options)
    if options.mask:
        detector = Detector(options)
        for outcome in outcomes:
            yield _with_columns(outcome, detector, lambda text, spans: masked(text, spans, options.mask_with))
    elif options.pseudonymise:
        detector = Detector(options)
        with keeping(options.map, options.style) as labels:
            for outcome in outcomes:
                if isinstance(outcome, Done):
                    text = _plain(outcome.record.text)
                    outcome = replace(outcome, result=RewrittenPii(*labels.rewrite(text, outcome.result.spans)))
                yield _with_columns(outcome, detector, labels.rewrite)
    else:
        yield from outcomes


def _with_columns(outcome: Outcome[Any], detector: Detector, rewrite: Rewrite) -> Outcome[Any]:
    """Return an outcome whose record's columns are rewritten; the name of a column says what its values are."""
    if not isinstance(outcome, Done) or not outcome.record.fields:
        return outcome
    fields = {name: _rewritten(name, value, detector, rewrite) for name, value in outcome.record.fields.items()}
    return replace(outcome, record=replace(outcome.record, fields=fields))


def _rewritten(name: str, value: object, detector: Detector, rewrite: Rewrite) -> object:
    if isinstance(value, str):
        head = f"{name}："
        found = [span for span in detector.spans(head + value) if span.start >= len(head)]
        spans = [replace(span, start=span.start - len(head), end=span.end - len(head)) for span in found]
        return rewrite(value, spans)[0]
    if isinstance(value, Mapping):
        return {key: _rewritten(str(key), item, detector, rewrite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rewritten(name, item, detector, rewrite) for item in value]
    return value


def _plain(text: Text) -> str:
    return text if isinstance(text, str) else "\n".join(text)
