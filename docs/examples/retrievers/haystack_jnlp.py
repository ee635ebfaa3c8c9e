"""A Haystack retriever over an index of jnlp: `pip install haystack-ai`."""

from typing import Any

from haystack import Document, component


@component
class JnlpRetriever:
    """Finds passages of an index; they keep their place, headings and score.

    `options` are those of `index.search`: `where='kind = "md"'`, `rerank="my-reranker"`.
    """

    def __init__(self, index: Any, top: int = 5, **options: Any) -> None:
        self.index, self.top, self.options = index, top, options

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None, where: str | None = None) -> dict[str, list[Document]]:
        """Return the passages for a query."""
        narrowed = {**self.options, **({"where": where} if where else {})}
        hits = self.index.search(query, top=top_k or self.top, **narrowed)
        return {"documents": [self._document(hit) for hit in hits]}

    def _document(self, hit: Any) -> Document:
        place = {"document": hit.document, "start": hit.start, "end": hit.end, "headings": list(hit.headings)}
        return Document(
            id=f"{hit.document}#{hit.chunk}", content=hit.text, meta={**hit.metadata, **place}, score=hit.score
        )


if __name__ == "__main__":
    from haystack import Pipeline

    import jnlp

    pipeline = Pipeline()
    pipeline.add_component("retriever", JnlpRetriever(jnlp.load().open_index("my.idx"), top=3))
    for document in pipeline.run({"retriever": {"query": "契約を途中で解約する条件"}})["retriever"]["documents"]:
        print(document.score, document.id, document.content)
