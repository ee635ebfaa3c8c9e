"""Evaluates models: the tasks and the protocol of ModernBERT-Ja's model card, tables, and labelled files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.hookspecs import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_commands(register: Register) -> None:
    """Register `jnlp evaluate`."""
    register("evaluate", "jnlp_evaluate.cli:evaluate", summary="Measure models on tasks, or a classifier on a file.")


@hookimpl
def register_evaluations(register: Register) -> None:
    """Register the tasks of the model card, and jnlp's own."""
    for name, attribute, summary in (
        ("jcomqa", "JCOMQA", "Common sense: one of five answers (JCommonsenseQA)."),
        ("jcola", "JCOLA", "Acceptable sentences (JCoLA)."),
        ("jnli", "JNLI", "Inference between two captions (JNLI)."),
        ("jsick", "JSICK", "Inference between two sentences (JSICK)."),
        ("jsnli", "JSNLI", "Inference, translated from SNLI (JSNLI)."),
        ("ku-rte", "KU_RTE", "Textual entailment (Kyoto University RTE)."),
        ("jsts", "JSTS", "Similarity of two captions (JSTS)."),
        ("livedoor", "LIVEDOOR", "The section of a news article (livedoor news corpus)."),
        ("llm-jp-toxicity", "LLM_JP_TOXICITY", "Toxic texts (LLM-jp Toxicity Dataset)."),
        ("marc-ja", "MARC_JA", "Positive and negative product reviews (MARC-ja)."),
        ("wrime", "WRIME", "Sentiment of posts (WRIME v2)."),
        ("rcqa", "RCQA", "Whether a passage answers a question (RCQA)."),
    ):
        register(name, f"jnlp_evaluate.tasks:{attribute}", summary=summary)
    for name, attribute, summary in (
        ("retrieval", "RETRIEVAL", "Question to passage by vectors, without training (JaQuAD)."),
        ("similarity", "SIMILARITY", "Cosine of two captions' vectors, without training (JSTS)."),
        ("zero-shot", "ZERO_SHOT", "The section of a news article by labels alone, without training (livedoor)."),
        ("cloze", "CLOZE", "Sixty sentences with a gap, without training."),
        ("perplexity", "PERPLEXITY", "Pseudo-perplexity per character of texts, without training."),
        ("needle", "NEEDLE", "A word that a long text says once, without training."),
        ("toxicity", "TOXICITY", "A classifier's ranking of texts by toxicity, without training."),
    ):
        register(name, f"jnlp_evaluate.own_tasks:{attribute}", summary=summary)
