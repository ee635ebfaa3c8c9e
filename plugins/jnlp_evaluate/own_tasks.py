"""jnlp's own evaluations, all without training: of vectors, of masks, and of a classifier."""

from __future__ import annotations

from jnlp.types import DataSource, Evaluation, Measured, Split
from jnlp_evaluate.tasks import JSTS, LIVEDOOR

_JAQUAD = DataSource(
    "https://github.com/SkelterLabsInc/JaQuAD",
    "CC BY-SA 3.0",
    "So et al. (JaQuAD); text of Japanese Wikipedia",
    note="write rows to DATA/jaquad/valid.jsonl: question, context",
)
RETRIEVAL = Evaluation(
    "retrieval",
    "Question to passage by the cosine of vectors.",
    "ndcg@10",
    Measured.DIRECT,
    _JAQUAD,
    "jnlp_evaluate.layouts:read_jaquad",
    measure="jnlp_evaluate.direct:retrieval",
)
SIMILARITY = Evaluation(
    "similarity",
    "Rank correlation of the cosine of vectors with people's scores.",
    "spearman",
    Measured.DIRECT,
    JSTS.source,
    "jnlp_evaluate.layouts:read_jsts",
    measure="jnlp_evaluate.direct:similarity",
)
ZERO_SHOT = Evaluation(
    "zero-shot",
    "The section of a news article by labels alone.",
    "accuracy",
    Measured.DIRECT,
    LIVEDOOR.source,
    "jnlp_evaluate.layouts:read_livedoor",
    measure="jnlp_evaluate.direct:zero_shot",
    split=Split.HOLD_OUT,
)
CLOZE = Evaluation(
    "cloze",
    "Sixty sentences with a gap: how often the first guess is right.",
    "top1",
    Measured.DIRECT,
    DataSource("https://pypi.org/project/jnlp/", "MIT", "jnlp", bundled=True, note="ships with jnlp"),
    "jnlp_evaluate.layouts:read_cloze",
    measure="jnlp_evaluate.direct_masked:cloze_test",
)
_TEXTS = DataSource(
    _JAQUAD.repository,
    _JAQUAD.licence,
    _JAQUAD.credit,
    note="write texts that the model has not read to DATA/perplexity/test.jsonl: text; without it, JaQuAD's passages",
)
PERPLEXITY = Evaluation(
    "perplexity",
    "Pseudo-perplexity per character of texts; lower is better.",
    "pseudo_perplexity",
    Measured.DIRECT,
    _TEXTS,
    "jnlp_evaluate.layouts:read_passages",
    measure="jnlp_evaluate.direct_masked:perplexity",
    percent=False,
)
NEEDLE = Evaluation(
    "needle",
    "Recall of a word that a text says once, far before a mask.",
    "top1",
    Measured.DIRECT,
    _TEXTS,
    "jnlp_evaluate.layouts:read_passages",
    measure="jnlp_evaluate.direct_masked:needle_test",
)
TOXICITY = Evaluation(
    "toxicity",
    "How well a classifier's probability of toxic ranks texts.",
    "auc",
    Measured.DIRECT,
    DataSource(
        "https://github.com/microsoft/RTP-LX",
        "see the page of the data",
        "de Wynter et al. (RTP-LX)",
        note="write rows to DATA/toxicity/test.jsonl: text, label (1: toxic, 0: not)",
    ),
    "jnlp_evaluate.layouts:read_toxicity",
    measure="jnlp_evaluate.direct:toxicity",
)
