"""The function of the task: one mask, several masks jointly or independently, and candidates.

Several masks are filled from left to right by a beam search. The score of a filling is the product, over the masks in
that order, of a piece's probability given the text, the pieces already filled in, and the remaining masks. Since the
order is the same for all fillings of a text, the scores are a probability distribution over fillings, and a beam as
wide as the vocabulary finds the best exactly.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError, RecordError, UsageError
from jnlp_fill_mask.long import around, fit, window
from jnlp_fill_mask.prompt import Prompt, read_prompts
from jnlp_fill_mask.scores import Ask, Best, best, log_probabilities
from jnlp_fill_mask.spec import CandidateFill, Fill, Filled, FillMaskOptions, MaskFill, WindowedFilled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.types import Apply, MaskedLM, Models, Text

Hypothesis = tuple[float, tuple[int, ...]]
"""A log-probability, and the pieces of the first masks."""


def make(models: Models, options: FillMaskOptions, /) -> Apply[Filled]:
    """Return the function from texts with masks to their fills.

    Raises:
        UsageError: A candidate or the mask token is empty.
        JnlpError: The model cannot fill masks.
    """
    model = models.masked_lm()
    if not model.tokenizer.mask_token:
        raise JnlpError(
            "the model's tokenizer has no mask token", hint="--model MODEL with a masked-lm head: `jnlp models`"
        )
    if options.mask_token is not None and not options.mask_token.strip():
        raise UsageError("--mask-token is empty", hint="omit it, or give the text that marks a mask")
    candidates = _candidates(model, options.candidates)

    def apply(texts: Sequence[Text]) -> list[Filled]:
        prompts = [fit(prompt, model) for prompt in read_prompts(texts, model.tokenizer, options.mask_token)]
        if candidates:
            return rank(model, prompts, candidates)
        if options.independent:
            return fill_each(model, prompts, options.top)
        return fill_jointly(model, prompts, options.top, options.beam)

    return apply


def _candidates(model: MaskedLM, words: Sequence[str]) -> dict[str, list[int]]:
    candidates = {word: model.tokenizer.pieces(word) for word in words}
    for word, pieces in candidates.items():
        if not pieces:
            raise UsageError(f"the candidate {word!r} has no text", hint="--candidates 晴れ,曇り")
    return candidates


def fill_jointly(model: MaskedLM, prompts: Sequence[Prompt], /, top: int, beam: int) -> list[Filled]:
    """Return the best fillings of all masks of each text together, `max(top, beam)` hypotheses wide."""
    beams: list[list[Hypothesis]] = [[(0.0, ())] for _ in prompts]
    steps = max((len(prompt.masks) for prompt in prompts), default=0)
    width = top if steps == 1 else max(top, beam)
    for step in range(steps):
        active = [(prompt, number) for number, prompt in enumerate(prompts) if step < len(prompt.masks)]
        asks = (_ask(model, prompt, step, pieces) for prompt, number in active for _, pieces in beams[number])
        answers = iter(best(model, asks, width))
        for _, number in active:
            beams[number] = _extend(beams[number], answers, width)
    return [_jointly(model, prompt, hypotheses[:top]) for prompt, hypotheses in zip(prompts, beams, strict=True)]


def _ask(model: MaskedLM, prompt: Prompt, mask: int, pieces: tuple[int, ...]) -> Ask:
    ids = prompt.filled_ids(pieces)
    return Ask.one(*around(ids, int(prompt.masks[mask]), prompt, model.max_length))


def _extend(hypotheses: list[Hypothesis], answers: Iterator[Best], width: int) -> list[Hypothesis]:
    """Return the best continuations of a beam; takes one answer a hypothesis."""
    longer = [
        (score + gained, (*pieces, piece))
        for score, pieces in hypotheses
        for answer in (next(answers),)
        for piece, gained in zip(answer.ids, answer.log_probabilities, strict=True)
    ]
    return sorted(longer, key=lambda hypothesis: (-hypothesis[0], hypothesis[1]))[:width]


def _jointly(model: MaskedLM, prompt: Prompt, hypotheses: list[Hypothesis]) -> Filled:
    tokenizer = model.tokenizer
    fills = [
        Fill(
            tokens=tuple(map(tokenizer.token, pieces)),
            ids=pieces,
            score=exp(score),
            sequence=prompt.sequence(dict(enumerate(pieces)), tokenizer),
        )
        for score, pieces in hypotheses
    ]
    return make_result(prompt, model, fills)


def make_result(prompt: Prompt, model: MaskedLM, fills: Sequence[Fill], /) -> Filled:
    """Return a text's result, with the window read for each mask where the text is longer than the model."""
    if len(prompt.ids) <= model.max_length:
        return Filled(tuple(fills))
    windows = [window(prompt, len(prompt.ids), int(at), model.max_length) for at in prompt.masks]
    spans = [(int(prompt.offsets[first, 0]), int(prompt.offsets[stop - 1, 1])) for first, stop in windows]
    return WindowedFilled(tuple(fills), tuple(spans))


def fill_each(model: MaskedLM, prompts: Sequence[Prompt], /, top: int) -> list[Filled]:
    """Return the best pieces of each mask, with all other masks unchanged; mask by mask, best first."""
    answers = iter(best(model, (ask for prompt in prompts for ask in _asks_of_each(model, prompt)), top))
    return [_fill_independently(model, prompt, answers) for prompt in prompts]


def _asks_of_each(model: MaskedLM, prompt: Prompt) -> Iterator[Ask]:
    if len(prompt.ids) <= model.max_length:  # one forward answers all masks
        yield Ask(prompt.ids, prompt.masks)
    else:
        for mask in range(len(prompt.masks)):
            yield _ask(model, prompt, mask, ())


def _fill_independently(model: MaskedLM, prompt: Prompt, answers: Iterator[Best]) -> Filled:
    tokenizer = model.tokenizer
    fills: list[Fill] = []
    for mask in range(len(prompt.masks)):
        answer = next(answers)
        for piece, score in zip(answer.ids, answer.log_probabilities, strict=True):
            sequence = prompt.sequence({mask: piece}, tokenizer)
            fills.append(MaskFill((tokenizer.token(piece),), (piece,), exp(score), sequence, mask))
    return make_result(prompt, model, fills)


def rank(model: MaskedLM, prompts: Sequence[Prompt], candidates: dict[str, list[int]], /) -> list[Filled]:
    """Return the candidates for the one mask of each text, ranked by their mean log-probability per piece.

    A candidate of k pieces is put in place of the mask; each of its pieces is masked in turn, the others staying, and
    the log-probabilities of the k pieces are averaged (pseudo-log-likelihood: Salazar et al., 2020).

    Raises:
        RecordError: A text has several masks.
    """
    for prompt in prompts:
        if len(prompt.masks) > 1:
            raise RecordError(
                f"--candidates needs one mask in a text, and this one has {len(prompt.masks)}",
                hint="leave one mask, or leave --candidates out",
            )
    asks = (
        ask for prompt in prompts for pieces in candidates.values() for ask in _one_at_a_time(model, prompt, pieces)
    )
    targets = [piece for pieces in candidates.values() for piece in pieces] * len(prompts)
    found = iter(log_probabilities(model, asks, targets))
    return [_rank_words(model, prompt, candidates, found) for prompt in prompts]


def _one_at_a_time(model: MaskedLM, prompt: Prompt, pieces: list[int]) -> Iterator[Ask]:
    for number in range(len(pieces)):
        at = int(prompt.masks[0]) + number
        ids = prompt.replaced_ids(pieces)
        ids[at] = model.tokenizer.mask_id
        yield Ask.one(*around(ids, at, prompt, model.max_length))


def _rank_words(model: MaskedLM, prompt: Prompt, candidates: dict[str, list[int]], found: Iterator[float]) -> Filled:
    sums = {word: sum(next(found) for _ in pieces) for word, pieces in candidates.items()}
    means = np.array([sums[word] / len(pieces) for word, pieces in candidates.items()])
    scores = np.exp(means - means.max())
    scores /= scores.sum()
    start, end = prompt.spans[0]
    fills = [
        CandidateFill(
            tokens=tuple(map(model.tokenizer.token, pieces)),
            ids=tuple(pieces),
            score=float(score),
            sequence=prompt.text[:start] + word + prompt.text[end:],
            mean_log_probability=float(mean),
            sum_log_probability=sums[word],
        )
        for (word, pieces), score, mean in zip(candidates.items(), scores, means, strict=True)
    ]
    ranked = sorted(fills, key=lambda fill: -fill.mean_log_probability)
    return make_result(prompt, model, ranked)


def rows(_: Text, result: Filled, /) -> list[dict[str, object]]:
    """Return the rows of the terminal table, one for each fill."""
    return [_row(fill) for fill in result.fills]


def _row(fill: Fill) -> dict[str, object]:
    row: dict[str, object] = {"fill": " ".join(fill.tokens), "score": f"{fill.score:.4f}"}
    if isinstance(fill, MaskFill):
        row["mask"] = fill.mask + 1
    if isinstance(fill, CandidateFill):
        row["log p / piece"] = f"{fill.mean_log_probability:.3f}"
        row["log p"] = f"{fill.sum_log_probability:.3f}"
    return {**row, "sequence": fill.sequence}
