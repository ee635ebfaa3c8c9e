"""The evaluations that ship, as values. Where a revision is empty, nothing is fetched: `note` says where data is."""

from __future__ import annotations

from jnlp.types import DataSource, Evaluation, Measured, Split
from jnlp_evaluate.layouts import LIVEDOOR_SECTIONS

_RAW = "https://raw.githubusercontent.com"
_JGLUE_CREDIT = "LY Corporation and Waseda University (JGLUE)"


def _jglue(name: str, files: tuple[str, ...]) -> DataSource:
    base = f"{_RAW}/yahoojapan/JGLUE/{{revision}}/datasets/{name}-v1.3"
    return DataSource(
        "https://github.com/yahoojapan/JGLUE",
        "CC BY-SA 4.0",
        _JGLUE_CREDIT,
        "v1.3.0",
        {f"{name}-v1.3/{file}": f"{base}/{file}" for file in files},
    )


_INFERENCE = ("contradiction", "entailment", "neutral")
_JGLUE_FILES = ("train-v1.3.json", "valid-v1.3.json")

JSTS = Evaluation(
    "jsts",
    "Similarity of two captions, 0 to 5.",
    "spearman",
    Measured.REGRESSION,
    _jglue("jsts", _JGLUE_FILES),
    "jnlp_evaluate.layouts:read_jsts",
    max_length=256,
)
JNLI = Evaluation(
    "jnli",
    "Inference between two captions.",
    "accuracy",
    Measured.CLASSIFY,
    _jglue("jnli", _JGLUE_FILES),
    "jnlp_evaluate.layouts:read_jnli",
    large=True,
    max_length=256,
    labels=_INFERENCE,
)
JCOMQA = Evaluation(
    "jcomqa",
    "Common sense: one of five answers.",
    "accuracy",
    Measured.CHOICE,
    _jglue("jcommonsenseqa", _JGLUE_FILES),
    "jnlp_evaluate.layouts:read_jcommonsenseqa",
    max_length=128,
)
JCOLA = Evaluation(
    "jcola",
    "Acceptable sentences.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://github.com/osekilab/JCoLA",
        "CC BY-SA 4.0",
        "Someya, Sugimoto, Oseki (JCoLA)",
        "main",
        {
            f"jcola-v1.0/{file}": f"{_RAW}/osekilab/JCoLA/{{revision}}/data/jcola-v1.0/{file}"
            for file in ("in_domain_train-v1.0.json", "in_domain_valid-v1.0.json")
        },
        note="no release of the repository has a tag: the checksums of the first fetch are kept",
    ),
    "jnlp_evaluate.layouts:read_jcola",
    max_length=128,
    labels=("0", "1"),
)
JSICK = Evaluation(
    "jsick",
    "Inference between two sentences.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://github.com/verypluming/JSICK",
        "CC BY-SA 4.0; made from SICK, CC BY-NC-SA 3.0",
        "Yanaka and Mineshima (JSICK)",
        note="copy jsick/train.tsv, jsick/test.tsv of the repository to DATA/jsick",
    ),
    "jnlp_evaluate.layouts:read_jsick",
    max_length=128,
    labels=_INFERENCE,
)
JSNLI = Evaluation(
    "jsnli",
    "Inference, translated from SNLI.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://nlp.ist.i.kyoto-u.ac.jp/?日本語SNLI(JSNLI)データセット",
        "CC BY-SA 4.0",
        "Yoshikoshi, Kawahara, Kurohashi (Kyoto University)",
        note="unpack jsnli_1.1.zip to DATA/jsnli_1.1 (train_w_filtering.tsv, dev.tsv)",
    ),
    "jnlp_evaluate.layouts:read_jsnli",
    large=True,
    max_length=128,
    labels=_INFERENCE,
)
KU_RTE = Evaluation(
    "ku-rte",
    "Textual entailment.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://nlp.ist.i.kyoto-u.ac.jp/?Textual+Entailment+評価データ",
        "see the page of the data",
        "Kotani, Shibata, Nakata, Kurohashi (Kyoto University)",
        note="write rows to DATA/ku-rte/train.jsonl: sentence1, sentence2, label",
    ),
    "jnlp_evaluate.layouts:read_ku_rte",
    split=Split.HOLD_OUT,
    max_length=256,
)
LIVEDOOR = Evaluation(
    "livedoor",
    "The section of a news article, of nine.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://www.rondhuit.com/download.html",
        "CC BY-ND 2.1 JP",
        "livedoor News (NHN Japan), collected by RONDHUIT",
        note="unpack ldcc-20140209.tar.gz to DATA/text (a folder of texts for each section)",
    ),
    "jnlp_evaluate.layouts:read_livedoor",
    split=Split.HOLD_OUT,
    labels=LIVEDOOR_SECTIONS,
)
LLM_JP_TOXICITY = Evaluation(
    "llm-jp-toxicity",
    "Toxic texts.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://gitlab.llm-jp.nii.ac.jp/datasets/llm-jp-toxicity-dataset",
        "CC BY 4.0",
        "LLM-jp",
        note="write rows to DATA/llm-jp-toxicity/train.jsonl: text, label",
    ),
    "jnlp_evaluate.layouts:read_llm_jp_toxicity",
    split=Split.HOLD_OUT,
)
MARC_JA = Evaluation(
    "marc-ja",
    "Positive and negative product reviews.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://github.com/yahoojapan/JGLUE",
        "the reviews are Amazon's and are no longer distributed; the script is CC BY-SA 4.0",
        _JGLUE_CREDIT,
        note="make marc_ja-v1.0 with JGLUE's own script, from a copy of the reviews that you may use",
    ),
    "jnlp_evaluate.layouts:read_marc_ja",
    large=True,
    labels=("negative", "positive"),
)
WRIME = Evaluation(
    "wrime",
    "Sentiment of posts, of five.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://github.com/ids-cv/wrime",
        "CC BY-NC-ND 4.0",
        "Kajiwara et al. (WRIME)",
        note="copy wrime-ver2.tsv of the repository to DATA/wrime",
    ),
    "jnlp_evaluate.layouts:read_wrime",
    split=Split.GIVEN,
    large=True,
    max_length=256,
    labels=("-2", "-1", "0", "1", "2"),
)
RCQA = Evaluation(
    "rcqa",
    "Whether a passage answers a question.",
    "accuracy",
    Measured.CLASSIFY,
    DataSource(
        "https://www.cl.ecei.tohoku.ac.jp/rcqa",
        "CC BY-SA 4.0",
        "Suzuki et al. (Tohoku University)",
        note="write rows to DATA/rcqa/{train,valid,test}.jsonl: question, passage, label",
    ),
    "jnlp_evaluate.layouts:read_rcqa",
    split=Split.GIVEN,
    large=True,
)
