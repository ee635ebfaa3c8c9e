"""Measures `jnlp toxicity` as it ships: `python -m jnlp_family.toxicity.report DATA` writes `quality.json`.

On rows that no fit has seen, next to the word lists alone and to TF-IDF of character 1–3-grams with logistic regression
(scikit-learn's) on the same training rows. Levels and thresholds of all three call at most 1 % of the plain text of any
corpus toxic, on the rows that they were fitted on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp.training.metrics import roc_auc
from jnlp_family.toxicity.decision import evidence, model_scores, row_vectors, thresholds
from jnlp_family.toxicity.evasions import EVASIONS, base_words
from jnlp_family.toxicity.rows import BOARD, JUDGED, MADE, RTPLX, TEST, Row, all_rows, chosen_rows
from jnlp_toxicity import decision, grams
from jnlp_toxicity.decision import by_category
from jnlp_toxicity.lexicon import load, noisy_or
from jnlp_toxicity.logic import split_matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "quality.json"
OURS, LISTS, BASELINE = "jnlp toxicity", "word lists", "TF-IDF + LR"
_LISTS_LIMIT = 0.5


@dataclass(frozen=True, slots=True)
class Method:
    """The scores of one method on test rows, and the score from which it calls a text toxic."""

    scores: Floats
    limit: float


def by_decision(rows: Sequence[Row], model: Sequence[float | None], vectors: Any, /) -> Floats:
    """Return the log-odds of rows by the decision that ships."""
    linear, whole = grams.load(), decision.load()
    by_grams = [linear.worst(row.text)[0] for row in rows]
    by_vectors = [linear.by_vector(vector) or 0.0 for vector in vectors]
    return np.array([whole.logit(row) for row in evidence(rows, by_grams, model, by_vectors)])


def by_lists(texts: Sequence[str], /) -> Floats:
    """Return the scores of texts by the word lists alone."""
    lexicon = load()
    found = [split_matches(text, lexicon)[0] for text in texts]
    counted = [[match for match in meant if match.entry.category not in decision.SIGNS] for meant in found]
    return np.array([noisy_or(by_category(meant).values()) for meant in counted])


def baseline(rows: Sequence[Row], /) -> Any:
    """Return TF-IDF and logistic regression fitted to rows, as scikit-learn's pipeline."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    made = make_pipeline(vectorizer, LogisticRegression(C=10.0, max_iter=1000))
    return made.fit([row.text for row in rows], [row.toxic for row in rows])


def measure(rows: Sequence[Row], methods: Mapping[str, Method], catches: Mapping[str, Any], /) -> dict[str, Any]:
    """Return the tables: scores of judged rows, false alarms by corpus, evasions."""
    sources = np.array([row.source for row in rows])
    truth = np.array([row.toxic for row in rows])
    sets = {
        "board posts": sources == BOARD,
        "RTP-LX, all": np.isin(sources, RTPLX),
        "RTP-LX prompts": sources == RTPLX[0],
        "RTP-LX completions": sources == RTPLX[1],
        "made of listed words": sources == MADE,
    }
    judged = [
        {
            "rows": f"{title} ({int(where.sum())})",
            "method": name,
            "auc": round(roc_auc(method.scores[where], truth[where]), 4),
            "toxic found": round(float((method.scores[where & truth] >= method.limit).mean()), 4),
            "clean called toxic": round(float((method.scores[where & ~truth] >= method.limit).mean()), 4),
        }
        for title, where in sets.items()
        for name, method in methods.items()
    ]
    plain = sorted(set(sources).difference(JUDGED))
    alarms = [
        {"plain text": f"{source} ({int((sources == source).sum())})"}
        | {
            name: round(float((method.scores[sources == source] >= method.limit).mean()), 4)
            for name, method in methods.items()
        }
        for source in plain
    ]
    return {"judged": judged, "alarms": alarms, "evasions": evasions(catches)}


def evasions(catches: Mapping[str, Any], /) -> list[dict[str, Any]]:
    """Return for each disguise the share of words, found plainly, that are found in it too; by each method."""
    words = base_words()
    plain = {name: catch(words) for name, catch in catches.items()}
    found: list[dict[str, Any]] = [
        {"disguise": "none", "words": len(words)} | {name: round(float(hits.mean()), 4) for name, hits in plain.items()}
    ]
    for title, change in EVASIONS.items():
        kept = [number for number, word in enumerate(words) if change(word) != word]
        hits = {name: catch([change(words[n]) for n in kept]) for name, catch in catches.items()}
        shares = {name: round(float(hits[name][plain[name][kept]].mean()), 4) for name in catches}
        found.append({"disguise": title, "words": len(kept)} | shares)
    return found


def main(data: Path, out: Path, model: Path, embedder: Path, /) -> dict[str, Any]:
    """Measure everything and write it."""
    rows = chosen_rows(all_rows(data))
    test = [row for row in rows if row.part == TEST]
    return report(rows, model_scores(test, model, None), row_vectors(test, embedder), out)


def report(rows: Sequence[Row], model: Sequence[float | None], vectors: Any, out: Path, /) -> dict[str, Any]:
    """Measure the test rows among `rows`, whose log-odds by the model and vectors are given; see `main`."""
    test, fitting = [row for row in rows if row.part == TEST], [row for row in rows if row.part != TEST]
    simple = baseline(fitting)

    def tfidf(texts: Sequence[str]) -> Floats:
        return np.asarray(simple.decision_function(list(texts)), np.float64)

    limit = thresholds(fitting, tfidf([row.text for row in fitting]))["normal"]
    texts = [row.text for row in test]
    methods = {
        OURS: Method(by_decision(test, model, vectors), decision.log_odds(decision.load().levels["normal"])),
        LISTS: Method(by_lists(texts), _LISTS_LIMIT),
        BASELINE: Method(tfidf(texts), limit),
    }
    catches = {
        LISTS: lambda some: by_lists(some) >= _LISTS_LIMIT,
        BASELINE: lambda some: tfidf(some) >= limit,
    }
    found = measure(test, methods, catches)
    out.write_text(dumps(found, indent=1) + "\n", "utf-8")
    return found


def markdown() -> str:
    """Return the tables of the file that was measured, as Markdown."""
    found = json.loads(files("jnlp_family.toxicity").joinpath(NAME).read_text("utf-8"))
    return "\n\n".join(_table(rows) for rows in found.values())


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0])
    lines = [
        f"| {' | '.join(names)} |",
        f"|{'|'.join('---:' if isinstance(rows[0][n], float) else '---' for n in names)}|",
    ]
    lines += [f"| {' | '.join(_cell(name, row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if name == "auc" else f"{value:.1%}"


def _run() -> None:
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description="Measure jnlp toxicity.")
    parser.add_argument("data", type=Path, help="the folder of the shared data")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name(NAME))
    given = parser.parse_args()
    builtin = root / "jnlp/models/builtin"
    main(given.data, given.out, builtin / "tiny-toxicity", builtin / "tiny-search")
    sys.stdout.write(markdown() + "\n")


if __name__ == "__main__":
    sys.exit(status_of(_run))
