"""An index from Python: records and files go in, passages come out."""

import tempfile
from pathlib import Path

import jnlp

nlp = jnlp.load()
folder = Path(tempfile.mkdtemp()) / "my.idx"
with nlp.index(folder) as index:
    report = index.add(["documents"])  # files and folders; only what changed is indexed again
    print(f"{report.added} files added")
    index.add(
        [
            jnlp.Record("faq-1", "定休日は水曜日です。", {"category": "店舗"}),
            jnlp.Record("faq-2", "送料は全国一律五百円です。", {"category": "配送"}),
        ]
    )
    for hit in index.search("定休日", top=1, retriever="lexical"):
        print(hit.document, hit.text, hit.metadata)
    print(index.remove("faq-1"), "removed")
    print(index.verify().problems)

found = nlp.run("search", ["契約を途中で解約する条件", "送料"], index=str(folder), top=1)
for result in found:
    for hit in result.hits:
        print(hit.document, hit.start, hit.end)
