"""`Index`: the public class to create, change, search and check an index; the commands use it too."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.types import Failed, IndexInfo, Record
from jnlp_search.options import IndexOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from jnlp.io import PassedOver
    from jnlp.types import AddReport, CompactReport, Hit, IndexEngine, Place, RepairReport, Verification
    from jnlp_search.search import Reader

DEFAULT_EMBEDDER = "tiny-search"


class Index:
    """An index in a folder. Several threads may search it; one process at a time may change it.

    Example:
        >>> with Index.open("rules.idx") as index:
        ...     index.add(["文書/"]).added, index.search("休暇は何日か", top=1)[0].document
        (1, '文書/規程.txt')
    """

    def __init__(self, path: str | Path, engine: IndexEngine, /, *, model: str | None = None) -> None:
        """Bind a folder to an engine; nothing is opened yet (use `open`)."""
        self.path = Path(path)
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
        from jnlp.options import build as checked
        from jnlp_search.build import build
        from jnlp_search.builder import Watch

        made = checked(IndexOptions, options, where="index")
        records, sources = self._records(documents, read or {}, passed_over)
        model = self._model_for(made)
        if made.rebuild:
            self.close()
        return build(
            self.path,
            records,
            self._engine.models().embedder(model),
            made,
            model=model,
            sources=sources,
            chunkers=self._engine.chunker,
            watch=Watch(on_failed, progress),
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

        The first update is made at once; the next ones when files have changed and then stayed for a while.

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
        from jnlp_search.store.checks import DamagedIndexError
        from jnlp_search.watch import updates_due

        paths = [folders] if isinstance(folders, str | Path) else list(folders)
        followed = False
        for waiting in updates_due(paths, self.path, debounce=debounce, stop=stop):
            try:
                report = self.add(paths, read=read, on_failed=on_failed, **options)
            except JnlpError as error:
                if on_error is None or not followed or isinstance(error, UsageError | DamagedIndexError):
                    raise
                on_error(error)
                waiting.add()  # tried again
                continue
            followed = True
            options.update(rebuild=False, base=None)
            yield report

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
        if on_kept is not None:
            for file in kept:
                on_kept(file)
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

    def is_outdated(self) -> bool:
        """Return True if the full text was made with other rules or another dictionary than a search uses.

        Words may then be missed. Adding nothing is enough: `index.add([])`.

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

    def info(self) -> IndexInfo:
        """Return what the index holds and how it was made.

        Example:
            >>> info = index.info()
            >>> info.documents, info.made_with["model"]
            (1, 'tiny-search')
        """
        from jnlp_search.compact import bytes_of
        from jnlp_search.roots import escape_path
        from jnlp_search.store.catalog import Catalog
        from jnlp_search.store.checks import damage_reported

        with damage_reported(self.path, reading=True), Catalog.reading(self.path) as catalog, catalog.snapshot():
            manifest, counts = catalog.manifest(), catalog.counts()
            characters = sum(document.characters for _, document in catalog.documents())
            return IndexInfo(
                path=escape_path(str(self.path)),
                documents=counts["documents"],
                chunks=counts["chunks"],
                characters=characters,
                bytes=bytes_of(self.path),
                roots=tuple(root.path or "/" for root in catalog.roots()),
                made_with=asdict(manifest) if manifest else {},
            )

    def verify(self) -> Verification:
        """Check the catalogue, every row, the full text and the segment files, without changing anything.

        Example:
            >>> index.verify().problems
            ()
        """
        from jnlp_search.store.verify import verify

        return verify(self.path)

    def repair(self) -> RepairReport:
        """Keep the intact documents, rebuild full text and segments, and drop the other documents.

        Raises:
            JnlpError: The catalogue cannot be opened: nothing can be kept.

        Example:
            >>> index.repair().dropped
            ()
        """
        from jnlp_search.build import repair_index

        self.close()
        return repair_index(self.path)

    def compact(self) -> CompactReport:
        """Make the index smaller: remove what deleted documents left behind. Answers stay the same.

        Raises:
            JnlpError: Another process is writing, the index is damaged, or the disk is full.

        Example:
            >>> index.compact().tombstones
            0
        """
        from jnlp_search.compact import compact

        return compact(self.path)

    def export(
        self, out: str | Path, /, *, format: str | None = None, encoding: str = "utf-8", vectors: bool = False
    ) -> int:
        """Write every passage with its place and metadata to a file, and return their number.

        Memory does not grow with the index. Rows have the fields of a `Hit` that tell of the passage, from `document`
        to `metadata`; metadata is JSON text in csv, tsv and parquet.

        Args:
            out: The file to write; it appears when it is complete.
            format: jsonl, csv, tsv or parquet; None uses the extension of `out`.
            encoding: The codec of text formats: utf-8, utf-8-sig or cp932.
            vectors: Whether to write the column `vector` too, float32 of length 1.

        Raises:
            UsageError: There is no index, or the format or encoding is unknown.
            JnlpError: The index is damaged, or the file cannot be written.

        Example:
            >>> index.export("passages.jsonl")
            1
        """
        from jnlp.io import OutputEncoding
        from jnlp_search.export import export

        known = [codec.value for codec in OutputEncoding]
        if encoding not in known:
            raise UsageError(f"no encoding of output is called '{encoding}'", hint=f"there are: {', '.join(known)}")
        return export(self.path, Path(out), form=format, encoding=OutputEncoding(encoding), vectors=vectors)

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
        model = self._model or recorded or self._configured_model()
        known: Mapping[str, object] = getattr(self._engine, "specs", dict)()
        return str(Path(model).resolve()) if model not in known and Path(model).is_dir() else model

    def _configured_model(self) -> str:
        settings = getattr(self._engine, "settings", None)
        return getattr(settings, "model", None) or DEFAULT_EMBEDDER

    def _records(
        self,
        documents: Iterable[Record | Failed | str | Path] | str | Path,
        read: Mapping[str, Any],
        passed_over: PassedOver | None,
    ) -> tuple[Iterator[Record | Failed], list[str | Path]]:
        """Return the records, and the given paths, if any, whose documents they are."""
        if isinstance(documents, str | Path):
            documents = [documents]
        items = iter(documents)
        first = next(items, None)
        if not isinstance(first, str | Path):
            return _check_items(chain([] if first is None else [first], items)), []
        from jnlp.io import ReadOptions
        from jnlp.io import documents as read_documents
        from jnlp.options import build as checked

        paths: list[str | Path] = []
        for item in chain([first], items):
            if not isinstance(item, str | Path):
                raise UsageError("records and paths are mixed", hint="add records in one call and paths in another")
            paths.append(item)
        options = checked(ReadOptions, read, where="input")
        return read_documents(paths, options, self._engine.readers(), passed_over=passed_over), paths


def search_all(indexes: Sequence[Index], query: str, /, **options: Any) -> list[Hit]:
    """Return the best passages of several indexes together, best first; each hit says in which `index` it is.

    BM25 counts words in each index by itself, so it compares best between indexes of like documents.

    Args:
        indexes: Open indexes made with one model.
        query: As `Index.search` takes it.
        options: Fields of `SearchOptions`.

    Raises:
        UsageError: No index is given, the query is empty, or an option is unknown.
        JnlpError: The indexes were made with different models, or one cannot be read.

    Example:
        >>> with Index.open("a.idx") as a, Index.open("b.idx") as b:  # doctest: +SKIP
        ...     search_all([a, b], "契約を途中で解約する条件", top=5)
    """
    from jnlp.options import build as checked
    from jnlp_search.options import SearchOptions
    from jnlp_search.query.ask import search

    if not indexes:
        raise UsageError("no index to search is given", hint="search_all([index, …], query)")
    once = {index.path.resolve(): index for index in reversed(indexes)}  # the first of those that are one
    chosen = [index for index in indexes if once[index.path.resolve()] is index]
    return search(
        [index._reader() for index in dict.fromkeys(chosen)], query, checked(SearchOptions, options, where="search")
    )


def _check_items(items: Iterable[Record | Failed | str | Path]) -> Iterator[Record | Failed]:
    for number, item in enumerate(items, 1):
        if not isinstance(item, Record | Failed):
            raise UsageError(
                f"document {number} is not a Record but {type(item).__name__}", hint="jnlp.Record(id, text, fields)"
            )
        yield item
