"""Runs evaluations: each cell of a grid is a record on disk, so that a stopped run continues."""

from __future__ import annotations

import json
import platform
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.io.durable import replacing
from jnlp.registry import import_target
from jnlp.strict_json import dumps
from jnlp.types import Measured
from jnlp_evaluate.data import fingerprint, read_parts
from jnlp_evaluate.protocols import cells, choose, divide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jnlp.models.folder import ModelFolder
    from jnlp.types import Evaluation, Models, Progress
    from jnlp_evaluate.finetune import Backbone
    from jnlp_evaluate.others import OtherModel
    from jnlp_evaluate.protocols import Cell, Protocol

    Spread = Callable[[str, tuple[Any, ...], Sequence[Cell]], Iterator[tuple[Cell, dict[str, Any]]]]

RESULT = "result.json"


def evaluate(
    evaluation: Evaluation,
    protocol: Protocol,
    model: ModelFolder | OtherModel,
    models: Callable[[], Models],
    data: str | Path,
    out: str | Path,
    /,
    *,
    limit: int | None = None,
    device: str = "auto",
    jobs: int = 1,
    spread: Spread | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Measure a model on a task, write the result into `out/MODEL/TASK`, and return it.

    Args:
        evaluation: The task.
        protocol: How it is trained; not used by evaluations without training.
        model: The model.
        models: Opens its heads, for evaluations without training.
        data: The data folder.
        out: The folder of results.
        limit: Rows to train on at most (a fifth of it to score), or rows to score without training; None: all.
        device: `cpu`, `cuda` …
        jobs: Cells that run at the same time, in processes of their own.
        spread: Runs cells elsewhere, as `CallExecutor.calls` does; `jobs` then means nothing.
        progress: Called with (phase, done, total, figures).

    Raises:
        JnlpError: The data is not there or broken, or the model cannot be fine-tuned.
    """
    from jnlp.training.folder import versions

    data, out = Path(data), Path(out)
    parts = read_parts(evaluation, data)
    direct = evaluation.measured is Measured.DIRECT
    name, about = _about(model)
    folder = out / _safe(name) / evaluation.name
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "task": evaluation.name,
        "metric": evaluation.metric,
        "percent": evaluation.percent,
        "protocol": "direct" if direct else protocol.name,
        "limit": limit,
        "most": None if direct else [protocol.rows, protocol.tokens],
        "model": name,
        **about,
        "data_sha256": fingerprint(parts),
        "rows": {part: len(rows) for part, rows in parts.items()},
    }
    _check_same_model(folder / RESULT, facts)
    if direct:
        chosen = parts.get("test") or parts.get("valid") or parts.get("train") or []
        measure = import_target(evaluation.measure, f"evaluation '{evaluation.name}'")
        scores: dict[str, float] = measure(models(), chosen, limit)
        result = facts | {"score": scores[evaluation.metric], "scores": scores}
    else:
        records = _grid(evaluation, protocol, model, data, folder, facts, limit, device, jobs, spread, progress)
        best = choose(records)
        result = facts | {
            "score": best.test,
            "chosen": {"rate": best.rate, "epochs": best.epochs, "valid": best.valid, "runs": best.runs},
            "cells": records,
            "seconds": round(sum(record["seconds"] for record in records), 1),
        }
    result |= {
        "versions": versions(),
        "machine": platform.platform(),
        "at": datetime.now(UTC).isoformat("T", "seconds"),
    }
    with replacing(folder / RESULT) as file:
        file.write((dumps(result, indent=2) + "\n").encode())
    return result


def _about(model: ModelFolder | OtherModel) -> tuple[str, dict[str, Any]]:
    """Return what results call a model, its parameters and what tells its weights from others."""
    from jnlp.encoder.files import digest_weights
    from jnlp.models.folder import ModelFolder

    if isinstance(model, ModelFolder):
        name = model.folder.resolve().name if model.spec.name == str(model.folder) else model.spec.name
        return name, {"parameters": model.spec.parameters, "weights_sha256": digest_weights(model.folder)}
    return model.name, {"parameters": model.parameters, "weights_sha256": model.identity}


def _backbone(model: ModelFolder | OtherModel) -> Backbone:
    from jnlp.models.folder import ModelFolder
    from jnlp_evaluate.finetune import PackedBackbone

    if isinstance(model, ModelFolder):
        return PackedBackbone(model.folder)
    from jnlp_evaluate.others import PaddedBackbone

    return PaddedBackbone(model)


def _check_same_model(path: Path, facts: dict[str, Any]) -> None:
    """Raise where the result there is of another model with the same name."""
    try:
        found = json.loads(path.read_text("utf-8")).get("weights_sha256")
    except (OSError, ValueError, AttributeError):
        return
    if found != facts["weights_sha256"]:
        what = f"results of another model called {facts['model']}"
        raise JnlpError(f"{path.parent} holds {what}", hint="give -o another folder")


def _grid(
    evaluation: Evaluation,
    protocol: Protocol,
    base: ModelFolder | OtherModel,
    data: Path,
    folder: Path,
    facts: dict[str, Any],
    limit: int | None,
    device: str,
    jobs: int,
    spread: Spread | None,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return the records of all cells; those that are on disk with the same data, model and limit are not run again."""
    wanted = cells(protocol, evaluation)
    kept = {cell: record for cell in wanted if (record := _read(_path(folder, protocol, cell), facts)) is not None}
    missing = [cell for cell in wanted if cell not in kept]
    done = len(kept)
    progress(evaluation.name, done, len(wanted), {})
    for cell, record in _run(evaluation, protocol, missing, base, data, limit, device, jobs, spread, progress):
        path = _path(folder, protocol, cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write((dumps({"facts": facts, "record": record}) + "\n").encode())
        kept[cell] = record
        done += 1
        progress(evaluation.name, done, len(wanted), {"score": record["test"]})
    return [kept[cell] for cell in wanted]


def _run(
    evaluation: Evaluation,
    protocol: Protocol,
    missing: list[Cell],
    base: ModelFolder | OtherModel,
    data: Path,
    limit: int | None,
    device: str,
    jobs: int,
    spread: Spread | None,
    progress: Progress,
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    if spread is not None:
        if missing:
            given = (evaluation, protocol, base, data, limit, device)
            yield from spread("jnlp_evaluate.run:cell_function", given, missing)
        return
    if jobs <= 1 or len(missing) <= 1:
        if missing:
            work = _Work(evaluation, protocol, base, data, limit, device)
            for cell in missing:
                yield cell, work(cell, progress)
        return
    with ProcessPoolExecutor(
        min(jobs, len(missing)),
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(evaluation, protocol, base, data, limit, device),
    ) as pool:
        running = {pool.submit(_run_in_process, cell): cell for cell in missing}
        for finished in as_completed(running):
            yield running[finished], finished.result()


class _Work:
    """Runs cells of a task; all rows are read and tokenised once."""

    def __init__(
        self,
        evaluation: Evaluation,
        protocol: Protocol,
        base: ModelFolder | OtherModel,
        data: Path,
        limit: int | None,
        device: str,
    ) -> None:
        from jnlp_evaluate.finetune import prepare

        self._evaluation, self._backbone, self._device = evaluation, _backbone(base), device
        self._limit, self._protocol = limit, protocol
        self._parts = read_parts(evaluation, data)
        rows, _ = divide(evaluation, self._parts, 0, limit, most=self._protocol.rows)
        self._prepared = prepare(evaluation, rows, self._backbone)

    def __call__(self, cell: Cell, progress: Progress) -> dict[str, Any]:
        from jnlp_evaluate.finetune import run_cell

        _, rows = divide(self._evaluation, self._parts, cell.run, self._limit, most=self._protocol.rows)
        rows = self._prepared.within(rows, self._protocol.tokens)
        return run_cell(self._evaluation, self._prepared, rows, cell, self._backbone, self._device, progress)


def cell_function(*given: Any) -> Callable[[Cell], dict[str, Any]]:
    """Return what runs a cell in another process, from what `_Work` takes; results are those of a run here."""
    work = _Work(*given)
    return lambda cell: work(cell, lambda *_: None)


_work: _Work | None = None


def _start(*given: Any) -> None:
    """Prepare the work of a process, from what `_Work` takes."""
    global _work
    _work = _Work(*given)


def _run_in_process(cell: Cell) -> dict[str, Any]:
    assert _work is not None  # the initialiser ran
    return _work(cell, lambda *_: None)


def _path(folder: Path, protocol: Protocol, cell: Cell) -> Path:
    return folder / "cells" / protocol.name / f"{cell.name}.json"


def _read(path: Path, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return a cell's record if it is whole and of the same data, model and limit."""
    try:
        found = json.loads(path.read_text("utf-8"))
        record: dict[str, Any] = found["record"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if found.get("facts") == facts else None


def read_results(out: Path, /) -> list[dict[str, Any]]:
    """Return all results in a folder, by model and task.

    Raises:
        JnlpError: A result is broken.
    """
    made = []
    for path in sorted(out.glob(f"*/*/{RESULT}")):
        try:
            made.append(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise JnlpError(f"{path} cannot be read: {error}", hint="delete it, and evaluate again") from error
    return made


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name) or "model"
