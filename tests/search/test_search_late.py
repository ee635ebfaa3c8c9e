"""Late chunking: passages pooled from the states of their document, through a real encoder."""

from __future__ import annotations

import numpy as np
import pytest

from jnlp.encoder.load import load_embedder
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError, UsageError
from jnlp.models.folder import inspect
from jnlp.testing import make_model
from jnlp.types import Purpose, Record
from jnlp_search.index import Index
from jnlp_search.late import late_vectors

from .conftest import FakeEngine, OneModel

TEXT = "".join(f"第{n}に、京都の寺は有名です。雨が降るので、傘を持って出かけました。" for n in range(8))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = make_model(tmp_path_factory.mktemp("m") / "m", layers=2, hidden=32, texts=[TEXT], initializer_range=0.2)
    return load_embedder(folder, inspect(folder), runtime=Runtime(dtype="fp32", device="cpu"))


def test_one_passage_over_the_whole_text_is_the_mean_of_its_tokens(embedder):
    (window,) = list(embedder.states(TEXT, purpose=Purpose.DOCUMENT))
    real = window.offsets[:, 1] > window.offsets[:, 0]
    np.testing.assert_allclose(
        late_vectors(embedder, TEXT, [(0, len(TEXT))])[0], window.states[real].mean(axis=0), atol=1e-6
    )


def test_passages_are_pooled_from_their_own_tokens_and_know_the_others(embedder):
    spans = [(0, 40), (30, 90), (90, len(TEXT))]
    (window,) = list(embedder.states(TEXT, purpose=Purpose.DOCUMENT))
    found = late_vectors(embedder, TEXT, spans)
    for (start, stop), vector in zip(spans, found, strict=True):
        meets = (window.offsets[:, 1] > start) & (window.offsets[:, 0] < stop)
        meets &= window.offsets[:, 1] > window.offsets[:, 0]
        np.testing.assert_allclose(vector, window.states[meets].mean(axis=0), atol=1e-5)
    alone = embedder.embed([TEXT[slice(*span)] for span in spans], purpose=Purpose.DOCUMENT).vectors
    assert np.abs(unit(found) - unit(alone)).max() > 0.01


def test_a_document_over_the_models_length_goes_through_in_windows(tmp_path):
    text = 3 * TEXT
    folder = make_model(
        tmp_path / "short", layers=1, hidden=32, texts=[TEXT], initializer_range=0.2, max_position_embeddings=64
    )
    short = load_embedder(folder, inspect(folder), runtime=Runtime(dtype="fp32", device="cpu"))
    windows = list(short.states(text, purpose=Purpose.DOCUMENT))
    assert len(windows) > 2
    spans = [(at, min(at + 30, len(text))) for at in range(0, len(text), 20)]
    expected = []
    for start, stop in spans:
        rows = [
            window.states[token]
            for window in windows
            for token in range(*window.core)
            if window.offsets[token, 1] > window.offsets[token, 0]
            and window.offsets[token, 1] > start
            and window.offsets[token, 0] < stop
        ]
        expected.append(np.mean(rows, axis=0))
    np.testing.assert_allclose(late_vectors(short, text, spans), expected, atol=1e-5)


def test_an_index_keeps_its_pooling_and_refuses_another(tmp_path, embedder):
    index = Index.open(tmp_path / "my.idx", FakeEngine(OneModel(embedder)))
    with index:
        index.add([Record("旅", TEXT)], chunk_tokens=32, overlap=8, pooling="late")
        assert index.info().made_with["pooling"] == "late"
        hits = index.search("傘", retriever="dense", merge=False, per_document=0)
        assert len(hits) > 2
        with pytest.raises(JnlpError, match="--pooling late, not passage"):
            index.add([Record("旅", TEXT)], pooling="passage")
        report = index.add([Record("旅", TEXT + "終わり。")])
        assert (report.updated, report.embedded) == (1, report.chunks)  # every passage has new surroundings
        assert index.verify().problems == ()


def test_a_model_that_reads_the_first_token_is_refused(tmp_path, embedder):
    from types import SimpleNamespace

    from jnlp.types import Pooling

    first = SimpleNamespace(**{name: getattr(embedder, name) for name in ("dimension", "fingerprint", "max_length")})
    first.pooling, first.prefixes, first.tokenizer, first.search = Pooling.CLS, {}, embedder.tokenizer, None
    index = Index.open(tmp_path / "my.idx", FakeEngine(OneModel(first)))
    with index, pytest.raises(UsageError, match="first token"):
        index.add([Record("旅", TEXT)], pooling="late")
