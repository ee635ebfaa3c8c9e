"""The names and targets of the core's readers and writers; nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """One reader or writer.

    Args:
        name: The value of `--format` or `--input-format`.
        extensions: File extensions with their dot, lower case.
        target: `"module:function"`, a `jnlp.io.Reader` or a `jnlp.io.WriterFactory`.
        summary: One line for lists.
    """

    name: str
    extensions: tuple[str, ...]
    target: str
    summary: str

    def load(self) -> object:
        """Import and return the target."""
        from jnlp.registry import import_target

        return import_target(self.target)


READERS = (
    FormatSpec("txt", (".txt", ".text"), "jnlp.io.reading.plain:read_text", "Plain text, a record per line."),
    FormatSpec("md", (".md", ".markdown"), "jnlp.io.reading.marked:read_markdown", "Markdown, a record per file."),
    FormatSpec("html", (".html", ".htm", ".xhtml"), "jnlp.io.reading.marked:read_html", "HTML, a record per file."),
    FormatSpec(
        "csv", (".csv",), "jnlp.io.reading.tabular:read_csv", "Comma, semicolon or tab separated, with a header."
    ),
    FormatSpec("tsv", (".tsv", ".tab"), "jnlp.io.reading.tabular:read_tsv", "Tab separated, with a header."),
    FormatSpec(
        "jsonl", (".jsonl", ".ndjson", ".json"), "jnlp.io.reading.jsonlines:read_jsonl", "A JSON object per line."
    ),
    FormatSpec("parquet", (".parquet",), "jnlp.io.reading.parquet:read_parquet", "Parquet (extra: parquet)."),
    FormatSpec(
        "pdf", (".pdf",), "jnlp.io.reading.pdf:read_pdf", "The text layer of a PDF, a record per file (extra: pdf)."
    ),
    FormatSpec(
        "docx",
        (".docx", ".docm", ".dotx", ".dotm"),
        "jnlp.io.reading.office.word:read_docx",
        "Word, a record per file.",
    ),
    FormatSpec(
        "xlsx",
        (".xlsx", ".xlsm", ".xltx", ".xltm"),
        "jnlp.io.reading.office.sheets:read_xlsx",
        "Excel, a record per row, or one per file in an index (extra: office).",
    ),
    FormatSpec(
        "pptx",
        (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"),
        "jnlp.io.reading.office.slides:read_pptx",
        "PowerPoint, a record per file.",
    ),
    FormatSpec("eml", (".eml",), "jnlp.io.reading.mail:read_eml", "An e-mail, a record per file."),
    FormatSpec("mbox", (".mbox",), "jnlp.io.reading.mail:read_mbox", "A mailbox, a record per message."),
    FormatSpec("epub", (".epub",), "jnlp.io.reading.book:read_epub", "An e-book, a record per file."),
    FormatSpec("ipynb", (".ipynb",), "jnlp.io.reading.notebook:read_ipynb", "A Jupyter notebook, a record per file."),
)

WRITERS = (
    FormatSpec("jsonl", (".jsonl", ".ndjson"), "jnlp.io.writing.lines:write_jsonl", "A JSON object per line."),
    FormatSpec("csv", (".csv",), "jnlp.io.writing.lines:write_csv", "Comma separated, for spreadsheets."),
    FormatSpec("tsv", (".tsv",), "jnlp.io.writing.lines:write_tsv", "Tab separated."),
    FormatSpec("parquet", (".parquet",), "jnlp.io.writing.parquet:write_parquet", "Parquet (extra: parquet)."),
    FormatSpec("npy", (".npy",), "jnlp.io.writing.npy:write_npy", "Vectors as a float32 matrix, ids next to it."),
)
