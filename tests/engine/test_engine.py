"""The engine with a task of its own: names, options, configuration, streams."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import jnlp
from jnlp.config import Config, Settings
from jnlp.encoder.forms import kernels
from jnlp.engine import Engine
from jnlp.jobs import rebuild
from jnlp.models.resolve import BUILTIN
from jnlp.plugins import load_plugins
from jnlp.types import Option, Record, TaskSpec


@dataclass(frozen=True, slots=True)
class CountOptions:
    times: Annotated[int, Option(help="Times.", ge=1)] = 1


@dataclass(frozen=True, slots=True)
class Count:
    characters: int


def make(models: jnlp.Models, options: CountOptions):
    def apply(texts: Sequence[str]) -> list[Count]:
        if any("毒" in text for text in texts):
            raise jnlp.RecordError("毒がある")
        return [Count(len(text) * options.times) for text in texts]

    return apply


COUNT: TaskSpec[CountOptions, Count] = TaskSpec("count", "Counts.", CountOptions, f"{__name__}:make", Count)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this())
    return Engine(load_plugins([]), Config(tasks={"count": {"times": 3}}))


def _this() -> object:
    import types

    module = types.ModuleType(__name__)
    module.make = make  # type: ignore[attr-defined]
    return module


PAIRED: TaskSpec[CountOptions, Count] = TaskSpec(
    "paired", "Counts.", CountOptions, f"{__name__}:make", Count, pairs=True
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (("前", "後"), "reads one text, not a pair"),
        ("\ud800死ね", "half of one"),
        ("\udc80", "half of one"),
        (("前", "\udfff"), "not a pair"),
    ],
)
def test_what_no_model_can_read_fails_its_own_record(engine: Engine, text: jnlp.types.Text, why: str) -> None:
    with pytest.raises(jnlp.RecordError, match=why):
        engine.run(COUNT, [text])
    good, bad, last = engine.outcomes(COUNT, ["あ", text, ""])
    assert isinstance(good, jnlp.Done)
    assert isinstance(bad, jnlp.Failed)
    assert isinstance(last, jnlp.Done)


def test_half_a_character_in_a_pair(engine: Engine) -> None:
    with pytest.raises(jnlp.RecordError, match="half of one"):
        engine.run(PAIRED, [("前", "\udfff")])
    assert engine.run(PAIRED, [("前", "後")], times=1) == [Count(2)]


def test_results_are_json() -> None:
    assert jnlp.to_json([Count(2)]) == '[{"characters": 2}]'
    assert jnlp.to_json({"ベクトル": np.float32([0.5, 1])}) == '{"ベクトル": [0.5, 1.0]}'
    assert jnlp.to_json(jnlp.Purpose.QUERY) == '"query"'
    for value in (float("nan"), np.array([np.inf]), object()):
        with pytest.raises(jnlp.JnlpError, match="cannot be JSON"):
            jnlp.to_json(value)


def test_one_engine_answers_several_threads(engine: Engine) -> None:
    texts = [["あ" * n for n in range(1, 40)] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda own: engine.run(COUNT, own, times=1), texts))
    assert found == [[Count(n) for n in range(1, 40)]] * 8


def test_run_by_spec_and_then_by_name(engine: Engine) -> None:
    assert engine.run(COUNT, ["あい", "う"], times=2) == [Count(4), Count(2)]
    assert engine.run("count", ["あい"], times=1) == [Count(2)]


def test_the_configuration_supplies_what_is_not_given(engine: Engine) -> None:
    assert engine.run(COUNT, ["あい"]) == [Count(6)]


def test_a_stream_may_be_endless(engine: Engine) -> None:
    results = engine.stream(COUNT, ("あ" * n for n in itertools.count()), times=1)
    assert [r.characters for r in itertools.islice(results, 1000)] == list(range(1000))


def test_records_pass_through(engine: Engine) -> None:
    (outcome,) = engine.outcomes(COUNT, [Record("甲", "あい", {"列": 1})])
    assert isinstance(outcome, jnlp.Done)
    assert (outcome.record.id, outcome.record.fields) == ("甲", {"列": 1})


def test_a_failing_text_raises_its_error(engine: Engine) -> None:
    with pytest.raises(jnlp.RecordError, match="毒がある") as caught:
        engine.run(COUNT, ["あ", "毒"])
    assert caught.value.__notes__ == ["at arg:2"]


def test_outcomes_of_texts_are_those_of_records(engine: Engine) -> None:
    done, failed = engine.outcomes(COUNT, ["あ", "毒"])
    assert isinstance(done, jnlp.types.Done)
    assert isinstance(failed, jnlp.types.Failed)
    assert (done.record.id, failed.id) == ("arg:1", "arg:2")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.run("cuont", ["あ"]), "no task is called 'cuont'"),
        (lambda e: e.run(COUNT, ["あ"], times=0), "count: times cannot be 0"),
        (lambda e: e.run(COUNT, ["あ"], tmies=1), "count: no option is called 'tmies'"),
        (lambda e: e.run(COUNT, "あ"), "texts is one string"),
        (lambda e: e.run(COUNT, ["あ", float("nan")]), "text 2 is not a string but float: nan"),
        (lambda e: list(e.outcomes(COUNT, [None])), "text 1 is not a string but NoneType: None"),
        (lambda e: e.with_settings({"dtype": "fp8"}), "settings: dtype cannot be 'fp8'"),
        (lambda e: e.with_settings({"normalize": "nkfc"}).normalizer("nkfc"), "no normalizer is called 'nkfc'"),
    ],
)
def test_a_wrong_call_is_a_usage_error(engine: Engine, call, message: str) -> None:
    with pytest.raises(jnlp.UsageError) as caught:
        call(engine)
    assert caught.value.message == message


def test_a_job_holds_the_task_the_options_and_the_settings_themselves(engine: Engine) -> None:
    job = engine.job(COUNT, times=5)
    assert job == jnlp.Job(COUNT, CountOptions(5), engine.settings)
    assert job.task is COUNT
    assert job.settings is engine.settings
    assert engine.prepare(job)(["あい"]) == [Count(10)]


def test_in_one_process_options_reach_the_task_as_they_are(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[CountOptions] = []
    original = make
    monkeypatch.setattr(
        f"{__name__}.make", lambda models, options: received.append(options) or original(models, options)
    )
    job = engine.job(COUNT, times=2)
    assert [outcome.result for outcome in engine.execute(job, [Record("甲", "あい")])] == [Count(4)]  # type: ignore[union-attr]
    assert received[0] is job.options


@pytest.mark.parametrize("as_text", [True, False])
def test_another_process_rebuilds_a_job(as_text: bool) -> None:
    nlp = jnlp.load(device="cpu", threads=1)
    job = nlp.job("toxicity", rules_only=True, threshold=0.3)
    sent = job.to_json() if as_text else pickle.loads(pickle.dumps(job))
    assert [result.toxic for result in jnlp.prepare(sent)(["消えろ、クズ。", "ありがとう。"])] == [True, False]


def test_a_job_runs_in_a_process_that_has_only_its_text() -> None:
    code = "import sys, jnlp; print(jnlp.prepare(sys.stdin.read())(['消えろ、クズ。'])[0].toxic)"
    text = jnlp.load().job("toxicity", rules_only=True).to_json()
    command = [sys.executable, "-X", "utf8", "-c", code]
    assert subprocess.run(command, input=text, capture_output=True, encoding="utf-8").stdout == "True\n"


@pytest.mark.parametrize("task", ["embed", "fill-mask", "classify", "toxicity", "search", "rerank"])
def test_a_job_crosses_a_process_unchanged(task: str) -> None:
    nlp = jnlp.load("tiny", workers=2, on_overflow="truncate", batch_tokens=512)
    job = nlp.job(task, index="索引") if task == "search" else nlp.job(task)
    engine, rebuilt = rebuild(job.to_json())
    assert rebuilt == job
    assert engine.settings == nlp.settings


def test_settings_are_those_asked_for() -> None:
    nlp = jnlp.load("130m", device="cpu", threads=2)
    assert (nlp.settings.model, nlp.settings.device, nlp.settings.threads) == ("130m", "cpu", 2)
    with pytest.raises(jnlp.UsageError, match="no option is called 'devise'"):
        jnlp.load(devise="cpu")


@pytest.mark.parametrize(
    ("call", "given", "task", "configured", "answers"),
    [
        (None, None, None, None, None),  # the one that ships for the head that is asked for
        (None, None, None, "130m", "130m"),
        (None, None, "tiny-toxicity", "130m", "tiny-toxicity"),  # `jnlp models use 130m` leaves toxicity its classifier
        (None, "70m", "tiny-toxicity", "130m", "70m"),
        ("30m", "70m", "tiny-toxicity", "130m", "30m"),
    ],
)
def test_which_model_answers(
    call: str | None, given: str | None, task: str | None, configured: str | None, answers: str | None
) -> None:
    origins = {"model": "default" if configured is None else "config"}
    engine = Engine(load_plugins([]), Config(Settings(model=configured), origins=origins))
    if given is not None:
        engine = engine.with_settings({"model": given})
    spec = dataclasses.replace(COUNT, model=task)
    assert engine.with_settings({"threads": 1}).job(spec, model=call).model == answers


def test_where_nobody_chose_each_head_has_the_model_that_ships_for_it() -> None:
    engine = Engine(load_plugins([]))
    models = engine.models()
    models.masked_lm()
    assert list(engine.usage.models) == ["tiny"]
    models.embedder()
    assert list(engine.usage.models) == ["tiny", "tiny-search"]


@pytest.mark.parametrize(
    ("settings", "measured", "int8"),
    [({}, True, True), ({}, False, False), ({"dtype": "fp32"}, True, False), ({"dtype": "int8"}, False, True)],
)
def test_passages_are_embedded_in_int8_where_that_was_measured_to_rank_as_well(
    tmp_path: Path, settings: dict[str, str], measured: bool, int8: bool
) -> None:
    folder = tmp_path / "embedder"
    shutil.copytree(BUILTIN / "tiny-search", folder)
    search = json.loads((folder / "search.json").read_text())
    (folder / "search.json").write_text(json.dumps(search | {"int8": measured}))
    compiled = kernels.functions()
    if int8 and settings.get("dtype") != "int8" and (compiled is None or "int8" not in compiled.formats):
        pytest.skip("no compiled kernels here, without which nothing is chosen")
    nlp, text = jnlp.load(device="cpu", **settings), ["賃借人は三か月前までに解約を申し入れる。"]
    made = nlp.models(str(folder)).embedder(bulk=True).embed(text).vectors
    wanted = jnlp.load(device="cpu", dtype="int8").models(str(folder)).embedder().embed(text).vectors
    assert np.array_equal(made, wanted) == int8
    assert np.sum(made * wanted) / np.linalg.norm(made) / np.linalg.norm(wanted) > 0.999
    own = nlp.models(str(folder)).embedder().embed(text).vectors
    assert np.array_equal(own, made) == (not int8 or "dtype" in settings)  # what is not asked in bulk is as before
