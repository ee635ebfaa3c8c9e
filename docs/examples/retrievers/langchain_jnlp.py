"""A LangChain retriever over an index of jnlp: `pip install langchain-core`."""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field


class JnlpRetriever(BaseRetriever):
    """Finds passages of an index; they keep their place, headings and score.

    `options` are those of `index.search`: `{"where": 'kind = "md"', "rerank": "my-reranker"}`.
    """

    index: Any
    top: int = 5
    options: dict[str, Any] = Field(default_factory=dict)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [self._document(hit) for hit in self.index.search(query, top=self.top, **self.options)]

    def batch(self, inputs: list[str], config: Any = None, **_: Any) -> list[list[Document]]:
        """Answer several queries, embedded together."""
        found = self.index.search_many(inputs, top=self.top, **self.options)
        return [[self._document(hit) for hit in hits] for hits in found]

    def _document(self, hit: Any) -> Document:
        place = {"document": hit.document, "start": hit.start, "end": hit.end, "headings": list(hit.headings)}
        metadata = {**hit.metadata, **place, "score": hit.score}
        return Document(page_content=hit.text, metadata=metadata, id=f"{hit.document}#{hit.chunk}")


if __name__ == "__main__":
    import jnlp

    retriever = JnlpRetriever(index=jnlp.load().open_index("my.idx"), top=3)
    for document in retriever.invoke("契約を途中で解約する条件"):
        print(document.metadata["score"], document.id, document.page_content)
