"""The models of an engine: heads loaded once and shared by all calls."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from jnlp.types import Head, Overflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from jnlp.encoder.runtime import Runtime
    from jnlp.engine import Engine
    from jnlp.types import Classifier, Embedder, MaskedLM, Pooling

DEFAULT_MODEL, DEFAULT_EMBEDDER = "tiny", "tiny-search"
"""The models that ship with jnlp: they are used when no model is named."""


class LoadedHeads:
    """Loads heads once each, by resolved folder, kind, device and dtype; safe to ask from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._cache: dict[tuple[object, ...], Any] = {}
        self._lock = threading.Lock()

    def get(self, head: Head, model: str, /, *, bulk: bool = False, **changes: Any) -> Any:
        """Return a head of a model; `bulk` is that of `Models.embedder`, `changes` are fields of its spec."""
        with self._lock:
            bulk = bulk and self._bulk_is_int8(model)
            key = (head, model, bulk, *sorted(changes.items()))
            if key not in self._cache:
                with self.engine.usage.loads():
                    from jnlp.encoder import load as loaders  # a second of torch is part of loading

                    found, runtime = self.engine.resolve(model), self._runtime("int8" if bulk else None)
                    changed = dataclasses.replace(found, spec=dataclasses.replace(found.spec, **changes))
                    self._cache[key] = loaders.load_head(head, changed, runtime=runtime)
                self.engine.usage.models[model] = found.spec
                self.engine.usage.ran = loaders.describe_run(found, runtime)
            return self._cache[key]

    def _bulk_is_int8(self, model: str) -> bool:
        """Return True if this model's passages are embedded in int8 where no dtype is set."""
        settings = self.engine.settings
        if settings.dtype != "auto" or settings.device not in ("auto", "cpu"):
            return False
        measured = self.engine.resolve(model).spec.search
        if measured is None or not measured.int8:
            return False
        from jnlp.encoder.arrays.load import has_gpu
        from jnlp.encoder.forms import kernels

        compiled = kernels.functions()
        return compiled is not None and "int8" in compiled.formats and not (settings.device == "auto" and has_gpu())

    def _runtime(self, dtype: str | None = None) -> Runtime:
        from jnlp.encoder.runtime import Runtime

        settings = self.engine.settings
        return Runtime(
            device=settings.device,
            dtype=dtype or settings.dtype,
            threads=settings.threads,
            batch_tokens=settings.batch_tokens,
            compile=settings.compile,
            overflow=Overflow(settings.on_overflow),
            normalize=self._normalizer(),
            count=self.engine.usage.count,
            usage=self.engine.usage,
            converted=self.engine.converted,
        )

    def _normalizer(self) -> Callable[[str], Any] | None:
        name = self.engine.settings.normalize
        return None if name == "identity" else self.engine.normalizer(name)


class BoundModels:
    """The models of one call: those a task asks for by name, else the call's own, else the one that ships."""

    def __init__(self, heads: LoadedHeads, name: str | None) -> None:
        self._heads = heads
        self._name = name

    def embedder(self, model: str | None = None, /, *, pooling: Pooling | None = None, bulk: bool = False) -> Embedder:
        """Return a model's embedder; see `Models`."""
        changes = {} if pooling is None else {"pooling": pooling}
        name = model or self._name or DEFAULT_EMBEDDER
        embedder: Embedder = self._heads.get(Head.EMBEDDING, name, bulk=bulk, **changes)
        return embedder

    def masked_lm(self, model: str | None = None, /) -> MaskedLM:
        """Return a model's masked-LM head."""
        head: MaskedLM = self._heads.get(Head.MASKED_LM, model or self._name or DEFAULT_MODEL)
        return head

    def classifier(self, model: str | None = None, /) -> Classifier:
        """Return a model's classifier."""
        head: Classifier = self._heads.get(Head.CLASSIFIER, model or self._name or DEFAULT_MODEL)
        return head
