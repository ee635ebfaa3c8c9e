"""The service behind the routes: models, indexes, the batcher, and what is ready."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.options import fields
from jnlp.registry import Kind
from jnlp_serve.batching import Batcher, Lane, Overloaded
from jnlp_serve.embedding import EmbedKey, ServedModels, embed_lane, states_lane
from jnlp_serve.errors import ApiError, api_error
from jnlp_serve.indexes import Indexes
from jnlp_serve.loading import Loading
from jnlp_serve.metrics import Metrics
from jnlp_serve.predicting import predict_lane
from jnlp_serve.waiting import answer_of, late

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from jnlp.engine import Engine
    from jnlp.types import Embedder, Models, Purpose, SearchIndex, TaskSpec, Text
    from jnlp_serve.batching import Work
    from jnlp_serve.options import ServeOptions

EMBED, CLASSIFY, RERANK, SEARCH = "embed", "classify", "rerank", "search"
"""The tasks behind the routes of other services."""

LANES = 64
"""Combinations of a task and its options that are kept ready."""


@dataclass
class Service(Loading):
    """What the routes of one application share.

    Args:
        engine: Plugins, settings and models.
        indexes: The indexes by name.
        options: Where it listens, and its limits.
        models: The model of a task, by the task's name; others use their default.
    """

    engine: Engine
    indexes: Indexes
    options: ServeOptions
    models: Mapping[str, str]
    metrics: Metrics
    batcher: Batcher
    _lanes: OrderedDict[tuple[Any, ...], Lane] = field(default_factory=OrderedDict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def tasks(self) -> list[TaskSpec[Any, Any]]:
        """Return the tasks that are served, without those whose plugin fails."""
        names = [entry.name for entry in self.engine.plugins.registry.entries(Kind.TASK)]
        wanted = [name for name in names if not self.options.tasks or name in self.options.tasks]
        found = []
        for name in sorted(wanted):
            try:
                found.append(self.engine.task(name))
            except JnlpError:
                if name in self.options.tasks:
                    raise
        return found

    def model(self, task: str, /) -> str | None:
        """Return the model of a task; for embeddings without one, that of the first index."""
        given = self.models.get(task)
        return given or (self.indexes.model() if task == EMBED else None)

    def models_of(self, task: str, /) -> Models:
        """Return the models of a task."""
        return self.engine.models(self.model(task))

    def embedder(self) -> Embedder:
        """Return the model of embeddings."""
        return self.models_of(EMBED).embedder()

    @property
    def embedding_model(self) -> str:
        """The name of the model of embeddings."""
        from jnlp.loaded_heads import DEFAULT_EMBEDDER

        return self.model(EMBED) or self.engine.settings.model or DEFAULT_EMBEDDER

    # --- lanes -------------------------------------------------------------------------------------------------

    def task_lane(self, name: str, given: Mapping[str, Any], /) -> Lane:
        """Return the lane of a task with some options; loads the task's model on first use.

        Raises:
            JnlpError: An option is not allowed, or the model cannot be loaded.
        """
        job = self.engine.job(name, model=self.model(name), **given)
        return self._lane((name, job.options), lambda: Lane(name, self.engine.prepare(job)))

    def embed_lane(self, key: EmbedKey, /) -> Lane:
        """Return the lane of embeddings with some options."""
        return self._lane((EMBED, key), lambda: embed_lane(self.embedder(), key))

    def states_lane(self, purpose: Purpose, /) -> Lane:
        """Return the lane of token states."""
        return self._lane(("states", purpose), lambda: states_lane(self.embedder(), purpose))

    def predict_lane(self, raw: bool, /) -> Lane:
        """Return the lane of `/predict`; `raw` gives logits."""

        def make() -> Lane:
            job = self.engine.job(CLASSIFY, model=self.model(CLASSIFY))
            return predict_lane(self.models_of(CLASSIFY), self.engine.prepare(job), raw=raw)

        return self._lane(("predict", raw), make)

    def _lane(self, key: tuple[Any, ...], make: Any) -> Lane:
        with self._lock:
            if key in self._lanes:
                self._lanes.move_to_end(key)
                return self._lanes[key]
            lane: Lane = make()
            self._lanes[key] = lane
            if len(self._lanes) > LANES:
                self._lanes.popitem(last=False)
            return lane

    # --- running -----------------------------------------------------------------------------------------------

    def check_count(self, texts: Sequence[Any], /, where: str = "inputs") -> None:
        """Refuse too many texts, or none."""
        if not texts:
            raise ApiError(422, f"{where} is empty", hint="give at least one text")
        if len(texts) > self.options.max_texts:
            raise ApiError(
                413,
                f"{where} has {len(texts):,} texts",
                hint=f"at most {self.options.max_texts:,} in one request (--max-texts)",
            )

    async def run_task(
        self, request: Request, name: str, texts: Sequence[Text], options: Mapping[str, Any], /
    ) -> list[Any]:
        """Return a task's result for each text; an exception where a text cannot be processed."""
        lane = await self.in_thread(self.task_lane, name, options)
        return await self.run(request, lane, texts)

    async def run(self, request: Request, lane: Lane, texts: Sequence[Text], /) -> list[Any]:
        """Queue texts and wait for their results; they leave the queue if the client goes or the time is over.

        Raises:
            ApiError: 429 if the queue is full, 504 if it takes too long, 499 if the client has gone.
        """
        try:
            work = self.batcher.submit(lane, texts)
        except Overloaded as error:
            raise overloaded(error.seconds) from None
        except JnlpError as error:
            raise ApiError(503, error.message, headers={"Retry-After": "5"}) from None
        try:
            return await self._await(request, work)
        except JnlpError as error:
            raise api_error(error) from error

    async def _await(self, request: Request, work: Work) -> list[Any]:
        done = asyncio.wrap_future(work.future)
        try:
            return await answer_of(done, request.receive, self.options.timeout)
        finally:
            if not done.done():
                self.batcher.cancel(work)

    async def in_thread(self, function: Any, /, *arguments: Any, **named: Any) -> Any:
        """Call a function in a thread; its JnlpError becomes a response.

        Raises:
            ApiError: 504 if it takes too long; the thread ends by itself.
        """
        from anyio import move_on_after
        from anyio.to_thread import run_sync

        try:
            with move_on_after(self.options.timeout):
                return await run_sync(lambda: function(*arguments, **named), abandon_on_cancel=True)
        except JnlpError as error:
            raise api_error(error) from error
        raise late(self.options.timeout)

    # --- start and end -----------------------------------------------------------------------------------------

    def delay(self) -> float:
        """Return the seconds of work that wait."""
        return self.batcher.delay()

    def _load(self) -> None:
        wanted = {*self.models, *self.options.tasks} - {EMBED, SEARCH}
        if not self.options.tasks or EMBED in self.options.tasks or EMBED in self.models:
            self.embedder().embed(["準備"])
        self.indexes.warm()
        for name in sorted(wanted):
            lane = self.task_lane(name, {})
            try:
                lane.apply([("準備", "準備")] if name == RERANK else ["準備"])
            except JnlpError:
                continue  # the text is not one for this task; the model is loaded

    def close(self) -> None:
        """Stop the batcher and close the indexes."""
        self.batcher.close()
        self.indexes.close()


def make_service(
    engine: Engine,
    indexes: Mapping[str, SearchIndex] | Mapping[str, Any],
    options: ServeOptions,
    /,
    *,
    models: Mapping[str, str] | None = None,
) -> Service:
    """Return the service over an engine and indexes, each an open index or a folder."""
    metrics = Metrics()
    batcher = Batcher(most=options.max_queue, wait=options.wait / 1000, seen=metrics.batch)
    service = Service(engine, Indexes({}, engine), options, dict(models or {}), metrics, batcher)
    service.indexes = Indexes(indexes, ServedModels(engine, service))
    metrics.watch(service)
    return service


def options_given(spec: TaskSpec[Any, Any], /) -> list[Any]:
    """Return the option fields of a task that a request may set."""
    return [field for field in fields(spec.options) if not field.local]


def overloaded(seconds: float, /) -> ApiError:
    """Return the 429 of a full queue."""
    import math

    again = max(1, min(60, math.ceil(seconds)))
    return ApiError(
        429,
        "the service is at capacity",
        hint=f"try again in {again} s",
        headers={"Retry-After": str(again)},
        code="rate_limit_exceeded",
    )
