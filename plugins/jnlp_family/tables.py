"""Scores as Markdown: the tables and the lists of weaknesses in the model cards and docs/quality.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Scores = Mapping[str, Any]

_CLOZE = {
    "model": "this model",
    "ngram": "5-gram",
    "frequent": "most frequent pieces",
    "frequent_by_script": "the same, of the answer's script",
}
_SYSTEMS = {"model": "tiny-search", "base": "tiny, mean-pooled"}
_TABLES = "\n\n"

CLOZE_BAR, KIND_BAR, FIRST_BAR, JSTS_BAR, NEEDLE_BAR = 0.6, 0.5, 0.25, 0.7, 0.5
RECALL_BAR, AUC_BAR, ALARM_BAR, SENTIMENT_BAR = 0.9, 0.95, 0.03, 0.7
"""A score below these (for false alarms: above) counts as a weakness."""


def scores(found: Scores, /) -> str:
    """Return the tables of a `scores.json` for its kind of model, and its `note`, if any."""
    made = {"masked-lm": _masked_lm, "embedder": _embedder, "toxicity": _toxicity, "sentiment": _sentiment}[
        found["model"]
    ](found)
    return _TABLES.join([made, *([found["note"]] if "note" in found else [])])


def headline(found: Scores, /) -> str | None:
    """Return the main tables for docs/benchmarks.md (held-out text and cloze, or retrieval), or None."""
    if found["model"] == "masked-lm":
        head = "Held-out text with pseudo-perplexity per character, and sixty cloze items (first guess / among five):"
        return _TABLES.join([head, _held_out_table(found), _cloze_table(found["cloze"])])
    return _embedder(found) if found["model"] == "embedder" else None


def weak(found: Scores, /) -> list[str]:
    """Return the weaknesses in a `scores.json`, each as a sentence with its figure."""
    kinds = {
        "masked-lm": _weak_lm,
        "embedder": _weak_embedder,
        "toxicity": _weak_toxicity,
        "sentiment": _weak_sentiment,
    }
    return list(kinds[found["model"]](found))


WEATHER_WORDS = frozenset(
    {"晴れ", "晴", "快晴", "晴天", "雨", "大雨", "雨天", "雪", "大雪", "曇り", "くもり", "曇", "嵐"}
)
"""One of these words should be among the first five guesses for the sentence about the weather."""


def _masked_lm(found: Scores) -> str:
    return _TABLES.join(
        [
            "Held-out documents, a few passages of each. Every token is masked once: for accuracy every seventh token"
            " at a time, for pseudo-perplexity per character (lower is better) one token in"
            f" {found['measured_with']['sparse']}. The baseline, {_ngram(found)}, sees only the text before a gap.",
            _held_out_table(found),
            "Sixty cloze items, fixed before any checkpoint was scored: the right word as first guess / among the"
            " first five.",
            _cloze_table(found["cloze"]),
            f"First five guesses for おはようございます、今日の天気は`<mask>`です。: {' '.join(found['weather'])}.",
            *_jsts(found),
            "Needle test: a word that occurs once in a text is masked at its end. Share right as first guess / among"
            " five; in brackets, without the word in the text."
            f" The model was trained on up to {found['length']:,} tokens; longer texts are beyond its training.",
            _needle_table({**found["stages"], "the model": found}),
            *_stage_table(found),
            _provenance(found),
        ]
    )


def _ngram(found: Scores) -> str:
    base = found.get("baselines")
    if not base:
        return "no baseline"
    return f"a character {base['order']}-gram (modified Kneser-Ney, {base['characters'] / 1e6:,.1f} million characters)"


def _held_out_table(found: Scores) -> str:
    rows = []
    for kind, row in found["held_out"].items():
        base = f"{row['ngram_perplexity']:.2f}" if "ngram_perplexity" in row else ""
        often = f"{row['frequent_accuracy']:.1%}" if "frequent_accuracy" in row else ""
        shares = (f"{row['accuracy']:.1%}", f"{row['top5']:.1%}", often, f"{row['pseudo_perplexity']:.2f}", base)
        rows.append((kind, f"{row['tokens']:,}", *shares))
    head = ("text", "tokens", "accuracy", "among five", "most frequent piece", "pseudo-perplexity", "5-gram")
    return table(head, rows)


def _cloze_table(found: Scores) -> str:
    names = [name for name in _CLOZE if name in found]
    rows = [
        (kind, f"{found['model'][kind]['items']}", *(_pair(found[name][kind]) for name in names))
        for kind in found["model"]
    ]
    return table(("kind", "items", *(_CLOZE[name] for name in names)), rows)


def _pair(row: Mapping[str, float], before: str = "") -> str:
    return f"{row[f'{before}top1']:.0%} / {row[f'{before}top5']:.0%}"


def _jsts(found: Scores) -> list[str]:
    row = found.get("jsts")
    if not row:
        return []
    return [
        f"JSTS ({row['split']}, {row['pairs']:,} pairs), cosine of mean-pooled states without fine-tuning:"
        f" Spearman {row['spearman']:.3f}."
    ]


def _needle_table(models: Mapping[str, Scores]) -> str:
    lengths = list(dict.fromkeys(length for found in models.values() for length in found["needle"]))
    rows = []
    for name, found in models.items():
        rows.append((name, *(_needles(found["needle"].get(length)) for length in lengths)))
    return table(("tokens", *(f"{int(length):,}" for length in lengths)), rows)


def _needles(row: Mapping[str, float] | None) -> str:
    return f"{_pair(row)} ({_pair(row, 'unsaid_')})" if row else "not asked"


def _stage_table(found: Scores) -> list[str]:
    if not found["stages"]:
        return []
    kinds = list(found["held_out"])
    rows = []
    for name, stage in {**found["stages"], "the model": found}.items():
        cells = (
            f"{stage['held_out'][k]['accuracy']:.1%} · {stage['held_out'][k]['pseudo_perplexity']:.2f}" for k in kinds
        )
        rows.append((name, *cells, _pair(stage["cloze"]["model"]["all"])))
    return ["By stage, accuracy · pseudo-perplexity, and cloze:", table(("after", *kinds, "cloze"), rows)]


def _weak_lm(found: Scores) -> Iterable[str]:
    for kind, row in found["cloze"]["model"].items():
        bar = CLOZE_BAR if kind == "all" else KIND_BAR
        if row["top5"] < bar:
            yield f"Cloze, {kind}: a right word among five for only {row['top5']:.0%} of {row['items']} items."
        if row["top1"] < FIRST_BAR:
            yield f"Cloze, {kind}: the first guess is right for only {row['top1']:.0%} of {row['items']} items."
    ours, theirs = found["cloze"]["model"]["all"], found["cloze"].get("ngram", {}).get("all")
    if theirs and (theirs["top5"] >= ours["top5"] or theirs["top1"] >= ours["top1"]):
        yield (
            f"A character 5-gram of {found['baselines']['characters'] / 1e6:,.0f} million characters fills the cloze"
            f" items as well or better, first guess / among five: {_pair(theirs)} against {_pair(ours)}."
        )
    for kind, row in found["held_out"].items():
        if row.get("ngram_perplexity", float("inf")) <= row["pseudo_perplexity"]:
            yield (
                f"{kind.capitalize()}: pseudo-perplexity {row['pseudo_perplexity']:.2f} a character is no better than"
                f" the {row['ngram_perplexity']:.2f} of a character 5-gram, which sees only the text before."
            )
    missed: dict[float, list[str]] = {}
    for length, row in found["needle"].items():
        if row["top5"] < NEEDLE_BAR:
            missed.setdefault(row["top5"], []).append(f"{int(length):,}")
    for share, lengths in missed.items():
        often = f"only {share:.0%} of the time" if share else "never"
        yield f"Needle test with {' or '.join(lengths)} tokens: the word is {often} among the first five guesses."
    if not WEATHER_WORDS & set(found["weather"]):
        yield f"No weather word is among its first five guesses for the sentence above: {' '.join(found['weather'])}."
    if found.get("jsts") and found["jsts"]["spearman"] < JSTS_BAR:
        yield f"Its mean-pooled vectors measure similarity poorly: Spearman {found['jsts']['spearman']:.3f} on JSTS."


def _embedder(found: Scores) -> str:
    split = "final" if "final" in found else "development"
    part, name = found[split], {"final": "JaQuAD valid", "development": "development articles of JaQuAD train"}[split]
    rows = []
    for system, row in part["systems"].items():
        rows.append((_system_name(system), *(f"{row[k]:.3f}" for k in ("recall@1", "recall@10", "ndcg@10", "mrr@10"))))
    against = [
        f"Fused against {system}: nDCG@10 {row['difference']:+.4f} (95 % {row['low']:+.4f} to {row['high']:+.4f},"
        f" p {_p(row['p'])}), paired bootstrap over questions."
        for system, row in part["fused_against"].items()
    ]
    similarity = [f"{_SYSTEMS[model]} {value:.3f}" for model, value in part.get("jsts_spearman", {}).items()]
    return _TABLES.join(
        [
            f"{name}: {part['questions']:,} questions over {part['passages']:,} passages. The vectors' weight in the"
            f" fusion, {found.get('dense_weight', 0):.2f}, was selected on development articles from the train split.",
            table(("system", "recall@1", "recall@10", "nDCG@10", "MRR@10"), rows),
            " ".join(against),
            *(
                [f"JSTS ({part['jsts_pairs']:,} pairs), Spearman of cosines: {'; '.join(similarity)}."]
                if similarity
                else []
            ),
            _provenance(found),
        ]
    )


def _system_name(name: str) -> str:
    """Return the display name of a system; `model, first 64` is the model truncated to 64 dimensions."""
    model, comma, width = name.partition(", first ")
    return f"{_SYSTEMS.get(model, model)}{f', first {width} dimensions' if comma else ''}"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "under 0.0001"


def _weak_embedder(found: Scores) -> Iterable[str]:
    part = found.get("final", found["development"])
    systems = part["systems"]
    recall, words = systems["model"]["recall@10"], systems["BM25 (words)"]["recall@10"]
    if recall < RECALL_BAR:
        yield f"By vectors alone the passage is among the first ten for only {recall:.1%} of the questions."
    if recall < words:
        yield f"Full text alone finds more ({words:.1%}): use them together."
    for system, row in part["fused_against"].items():
        if row["low"] <= 0:
            gain = f"nDCG@10 {row['difference']:+.4f}, p {_p(row['p'])}"
            yield f"Its gain over {system} is not significant: {gain}."
    similarity = part.get("jsts_spearman", {}).get("model", 1.0)
    if similarity < JSTS_BAR:
        yield f"It measures sentence similarity poorly: Spearman {similarity:.3f} on JSTS."


def _toxicity(found: Scores) -> str:
    rows = []
    for kind in ("all", "prompts", "completions"):
        for method, kinds in found["toxicity"]["test"].items():
            row = kinds[kind]
            auc = f"{row['auc']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
            rows.append((f"{kind} ({row['rows']})", method, auc, f"{row['f1']:.3f}"))
    alarms = [(kind, *(f"{v:.1%}" for v in row.values())) for kind, row in found["toxicity"]["false_alarms"].items()]
    return _TABLES.join(
        [
            table(("test rows", "method", "AUC (95 %)", "F1 at 0.5"), rows),
            table(("plain texts", "word lists", "model", "both"), alarms),
        ]
    )


def _weak_toxicity(found: Scores) -> Iterable[str]:
    for kind, row in found["toxicity"]["test"]["model"].items():
        if row["auc"] < AUC_BAR:
            yield f"AUC on {kind} is only {row['auc']:.3f} for the model alone."
    for kind, row in found["toxicity"]["false_alarms"].items():
        if row["both"] > ALARM_BAR:
            yield f"It calls {row['both']:.1%} of plain {kind} toxic."


def _sentiment(found: Scores) -> str:
    test = found["test"]
    rows = []
    for name, row in test.items():
        f1 = " | ".join(f"{score['f1']:.3f}" for score in row["per_class"].values())
        metrics = row["metrics"]
        rows.append((name, f"{metrics['macro_f1']:.3f}", f"{metrics['accuracy']:.1%}", f1))
    own = next(iter(test.values()))
    labels = list(own["per_class"])
    confusion = []
    for label, counts in zip(labels, own["confusion"], strict=True):
        confusion.append((label, *(f"{count / max(1, sum(counts)):.1%}" for count in counts), f"{sum(counts):,}"))
    products = found["products"]["metrics"]
    return _TABLES.join(
        [
            f"Held-out texts, by hash ({own['rows']:,}):",
            table(("method", "macro F1", "accuracy", *(f"F1 {label}" for label in labels)), rows),
            "What becomes of the texts of each label:",
            table(("ticked", *(f"called {label}" for label in labels), "texts"), confusion),
            f"{found['products']['rows']} sentences about things that were bought, made for this measurement:"
            f" macro F1 {products['macro_f1']:.3f}, accuracy {products['accuracy']:.1%}.",
            _provenance(found),
        ]
    )


def _weak_sentiment(found: Scores) -> Iterable[str]:
    own = next(iter(found["test"].values()))
    for label, score in own["per_class"].items():
        if score["f1"] < SENTIMENT_BAR:
            yield (
                f"{label}: F1 is only {score['f1']:.3f} (precision {score['precision']:.3f},"
                f" recall {score['recall']:.3f})."
            )
    guess = list(found["test"].values())[-1]["metrics"]["accuracy"]
    if own["metrics"]["accuracy"] <= guess:
        yield (
            f"Its accuracy, {own['metrics']['accuracy']:.1%}, is not above that of always naming the commonest label,"
            f" {guess:.1%}: it is made to find the other labels."
        )
    products = found["products"]["metrics"]["macro_f1"]
    yield f"It knows visits, not products: on sentences about products macro F1 is {products:.3f}."


def _provenance(found: Scores) -> str:
    return f"Measured on {found['date']} by `{found['command']}`."


def table(head: Sequence[str], rows: Iterable[Sequence[str]], /) -> str:
    """Return a Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
