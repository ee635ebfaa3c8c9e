"""`Index`: the public class to create, change and search an index; the commands use it too."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp_search.kept_index import KeptIndex
from jnlp_search.options import IndexOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from jnlp.io import PassedOver
    from jnlp.types import (
        AddReport,
        Failed,
        Hit,
        IndexEngine,
        Place,
        Record,
        StoredDocument,
    )
    from jnlp_search.builder import Watch
    from jnlp_search.files import Look
    from jnlp_search.search import Reader

DEFAULT_EMBEDDER = "tiny-search"


class Index(KeptIndex):
    """An index in a folder. Several threads may search it; one process at a time may change it.

    Example:
        >>> with Index.open("rules.idx") as index:
        ...     index.add(["文書/"]).added, index.search("休暇は何日か", top=1)[0].document
        (1, '文書/規程.txt')
    """

    def __init__(self, path: str | Path, engine: IndexEngine, /, *, model: str | None = None) -> None:
        """Bind a folder to an engine; nothing is opened yet (use `open`)."""
        super().__init__(path)
        self._engine, self._model = engine, model
        self._opened: Reader | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, path: str | Path, engine: IndexEngine | None = None, /, *, model: str | None = None, create: bool = True
    ) -> Self:
        """Open an index.

        Args:
            path: The folder.
            engine: Supplies models, readers and chunkers; None is `jnlp.load()`.
            model: The embedding model; None is the one that the index was made with, else the engine's.
            create: Whether `add` may create the index; with False, a missing index raises here.

        Raises:
            UsageError: There is no index, and `create` is False.
            JnlpError: It cannot be read, or was made with another model.

        Example:
            >>> with Index.open("my.idx") as index:
            ...     index.info().documents
            1
        """
        if engine is None:
            import jnlp

            engine = jnlp.load()
        index = cls(path, engine, model=model)
        if not create:
            index._reader()
        return index

    @classmethod
    @contextmanager
    def temporary(cls, engine: IndexEngine | None = None, /, *, model: str | None = None) -> Iterator[Self]:
        """Give a new index in a temporary folder, which is removed when the `with` ends.

        Args:
            engine: Gives models, readers and chunkers; None is `jnlp.load()`.
            model: The embedding model; None is the engine's.

        Example:
            >>> with Index.temporary() as index:  # doctest: +SKIP
            ...     index.add("rules.docx")
            ...     index.search("解約の条件")
        """
        from tempfile import TemporaryDirectory

        with (
            TemporaryDirectory(prefix="jnlp-") as folder,
            cls.open(Path(folder) / "index", engine, model=model) as index,
        ):
            yield index

    def add(
        self,
        documents: Iterable[Record | Failed | str | Path] | str | Path,
        /,
        *,
        read: Mapping[str, Any] | None = None,
        on_failed: Callable[[Failed], None] | None = None,
        progress: Callable[[AddReport], None] | None = None,
        passed_over: PassedOver | None = None,
        **options: Any,
    ) -> AddReport:
        """Update the index with records, or with files and folders; create it if it does not exist.

        Only changed documents are embedded. Documents that are gone from an indexed folder are removed.

        Args:
            documents: Records, or paths. A record is identified by its id, a record from a file by file and id.
            read: How files are read, fields of `jnlp.io.ReadOptions`: `{"text": "本文", "encoding": "cp932"}`.
            on_failed: Called with each document that failed.
            progress: Called after each commit.
            passed_over: Counts the files that have no reader.
            options: Fields of `IndexOptions`: `chunk_tokens=128`, `rebuild=True`.

        Raises:
            UsageError: A path does not exist, or an option is unknown.
            JnlpError: Another process is writing, the index is damaged, or it was made with other settings.

        Example:
            >>> with Index.open("new.idx") as new:
            ...     new.add(["文書/"]).added, new.add(["文書/"]).unchanged
            (1, 1)
            >>> index.add([jnlp.Record("faq-1", "定休日は水曜日です。", {"分類": "店舗"})]).added
            1
        """
        from jnlp_search.builder import Watch

        return self._add(documents, read or {}, Watch(on_failed, progress), passed_over, options)

    def _add(
        self,
        documents: Iterable[Record | Failed | str | Path] | str | Path,
        read: Mapping[str, Any],
        watch: Watch,
        passed_over: PassedOver | None,
        options: Mapping[str, Any],
        changed: set[str] | None = None,
    ) -> AddReport:
        from jnlp.options import build as checked
        from jnlp_search.files import Look
        from jnlp_search.given import records_of
        from jnlp_search.watch import reads_again

        made = checked(IndexOptions, options, where="index")
        look = Look(read, reads_again(changed))
        records, sources = records_of(documents, read, self._engine, passed_over, look, apart=[self.path])
        return self._build(records, made, sources, watch, [read] * len(sources), [look], changed)

    def update(
        self,
        *,
        read: Mapping[str, Any] | None = None,
        on_failed: Callable[[Failed], None] | None = None,
        progress: Callable[[AddReport], None] | None = None,
        passed_over: PassedOver | None = None,
        **options: Any,
    ) -> AddReport:
        """Update the index with the files and folders that were added before, read as they were then.

        Args:
            read: How files are read where that is to change: it wins over what was given before.
            on_failed: Called with each document that failed.
            progress: Called after each commit.
            passed_over: Counts the files that have no reader.
            options: Fields of `IndexOptions`: `rebuild=True`, `factory="flat"`.

        Raises:
            UsageError: There is no index, no file or folder was added to it, or one is gone.
            JnlpError: As `add`.

        Example:
            >>> index.update().unchanged
            1
        """
        from jnlp.options import build as checked
        from jnlp_search.build import known_sources
        from jnlp_search.builder import Watch
        from jnlp_search.files import Look
        from jnlp_search.given import non_default, records_of

        known, more = known_sources(self.path), non_default(read or {})
        paths, reads = [one.path for one in known], [{**one.read, **more} for one in known]
        looks = [Look(how) for how in reads]
        given = zip(paths, reads, looks, strict=True)
        parts = [
            records_of([path], how, self._engine, passed_over, look, apart=[self.path])[0] for path, how, look in given
        ]
        wanted = checked(IndexOptions, options, where="index")
        return self._build(chain(*parts), wanted, paths, Watch(on_failed, progress), reads, looks)

    def _build(
        self,
        records: Iterator[Record | Failed],
        options: IndexOptions,
        sources: Sequence[str | Path],
        watch: Watch,
        reads: Sequence[Mapping[str, Any]],
        looks: Sequence[Look],
        changed: set[str] | None = None,
    ) -> AddReport:
        from jnlp_search.build import build
        from jnlp_search.passages import elsewhere

        model = self._model_for(options)
        if options.rebuild:
            self.close()
        return build(
            self.path,
            records,
            self._engine.models().embedder(model, bulk=True),
            options,
            model=model,
            sources=sources,
            chunkers=self._engine.chunker,
            watch=watch,
            reads=reads,
            changed=changed,
            looks=looks,
            workers=elsewhere(self._engine, model),
        )

    def watch(
        self,
        folders: Iterable[str | Path] | str | Path,
        /,
        *,
        debounce: float = 1.0,
        stop: threading.Event | None = None,
        on_error: Callable[[JnlpError], None] | None = None,
        on_failed: Callable[[Failed], None] | None = None,
        read: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Iterator[AddReport]:
        """Update the index with folders, follow them, and yield a report after each update.

        The first update is made at once; the next ones, of changed files, when these have stayed for a while.

        Args:
            folders: The folders. Files that are new, changed or gone count, hidden ones do not.
            debounce: Seconds without a change before an update; it waits at most ten times as long.
            stop: Ends the iteration when it is set, within a second.
            on_error: Called with the error of a later update that failed, for example while another process is writing.
                It is tried again. None raises the error.
            on_failed: Called in each update with each document that failed.
            read: How files are read, as in `add`.
            options: Fields of `IndexOptions`; `rebuild` and `base` are for the first update only.

        Raises:
            UsageError: A folder does not exist, or is a file.
            MissingExtraError: watchfiles is not installed.
            JnlpError: As `add`, or the system cannot follow the folders.

        Example:
            >>> for report in index.watch("文書/"):  # doctest: +SKIP
            ...     print(report.added, report.updated, report.removed)
        """
        from jnlp_search.builder import Watch
        from jnlp_search.watch import follow

        paths = [folders] if isinstance(folders, str | Path) else list(folders)

        def update(changed: set[str] | None) -> AddReport:
            report = self._add(paths, read or {}, Watch(on_failed), None, options, changed)
            options.update(rebuild=False, base=None)
            return report

        yield from follow(paths, self.path, update, debounce=debounce, stop=stop, on_error=on_error)

    def remove(
        self, names: Iterable[str | Path] | str | Path, /, *, on_kept: Callable[[str], None] | None = None
    ) -> int:
        """Remove documents and return their number.

        Args:
            names: Ids, files, folders, or `FILE#ID` where several files have a row of that id (`Place.name`).
            on_kept: Called with each file of theirs that is still there: adding it again brings them back.

        Raises:
            UsageError: A name that is in the index nowhere, or in several files.

        Example:
            >>> index.add([jnlp.Record("faq-2", "送料は五百円です。")]).added
            1
            >>> index.remove("faq-2")
            1
        """
        from jnlp_search.build import delete

        wanted = [names] if isinstance(names, str | Path) else list(names)
        removed, kept = delete(self.path, [str(name) for name in wanted])
        for file in kept if on_kept is not None else ():
            on_kept(file)  # type: ignore[misc]
        return removed

    def search(self, query: str, /, **options: Any) -> list[Hit]:
        """Return the best passages, best first.

        Args:
            query: A question or words.
            options: Fields of `SearchOptions`: `top=5`, `where="year >= 2020"`, `retriever="lexical"`, `group=False`.

        Raises:
            UsageError: The query is empty or not text, an option is unknown, or there is no index.
            JnlpError: The index cannot be read, is damaged, or was made with another model.

        Example:
            >>> hit = index.search("休暇は何日か", top=1)[0]
            >>> hit.document, hit.text[:3]
            ('文書/規程.txt', '第一条')
        """
        return self._reader().search(query, **options)

    def search_many(self, queries: Sequence[str], /, **options: Any) -> list[list[Hit]]:
        """Return what `search` returns for each of several queries, which are embedded together.

        Example:
            >>> [hits[0].document for hits in index.search_many(["休暇は何日か", "半日の休暇"], top=1)]
            ['文書/規程.txt', '文書/規程.txt']
        """
        return self._reader().search_many(queries, **options)

    def is_outdated(self) -> bool:
        """Return True if a search analyses text by other rules or another dictionary: `index.add([])` is enough.

        Example:
            >>> index.is_outdated()
            False
        """
        return self._reader().is_outdated()

    def documents(self) -> Iterator[Place]:
        """Yield what is in the index, in the order it was indexed.

        Example:
            >>> [place.document for place in index.documents()]
            ['文書/規程.txt']
        """
        return (place for place, _ in self._reader().documents())

    def document(self, name: str, /) -> StoredDocument:
        """Return a document with its text, put together from its passages; no file is read.

        Args:
            name: Its name as hits show it, or `Place.name`.

        Raises:
            UsageError: No document has this name.

        Example:
            >>> index.document("文書/規程.txt").text[:3]
            '第一条'
        """
        return self._reader().document(name)

    def close(self) -> None:
        """Release the files; a later call opens them again.

        Example:
            >>> index.close()
            >>> index.search("休暇", top=1)[0].document  # opened again
            '文書/規程.txt'
        """
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        """Return the index; it is closed at the end of the `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the index."""
        self.close()

    def _reader(self) -> Reader:
        from jnlp_search.search import open_index

        with self._lock:
            if self._opened is None:
                self._opened = open_index(self.path, self._engine.models(), model=self._model)
            return self._opened

    def _model_for(self, options: IndexOptions) -> str:
        """Return the model given, else the index's own, else the engine's; a folder as an absolute path."""
        from jnlp_search.build import recorded_model

        try:
            recorded = recorded_model(self.path)
        except JnlpError:
            if not options.rebuild:
                raise
            recorded = None
        own = getattr(getattr(self._engine, "settings", None), "model", None)
        model = self._model or recorded or own or DEFAULT_EMBEDDER
        known: Mapping[str, object] = getattr(self._engine, "specs", dict)()
        return str(Path(model).resolve()) if model not in known and Path(model).is_dir() else model
