"""A LlamaIndex retriever over an index of jnlp: `pip install llama-index-core`."""

from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode


class JnlpRetriever(BaseRetriever):
    """Finds passages of an index; a node has the passage's offsets, and its headings in the metadata.

    `options` are those of `index.search`: `where='kind = "md"'`, `rerank="my-reranker"`.
    """

    def __init__(self, index: Any, top: int = 5, **options: Any) -> None:
        super().__init__()
        self._index, self._top, self._options = index, top, options

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._index.search(query_bundle.query_str, top=self._top, **self._options)
        return [NodeWithScore(node=self._node(hit), score=hit.score) for hit in found]

    def _node(self, hit: Any) -> TextNode:
        return TextNode(
            id_=f"{hit.document}#{hit.chunk}",
            text=hit.text,
            start_char_idx=hit.start,
            end_char_idx=hit.end,
            metadata={**hit.metadata, "document": hit.document, "headings": " › ".join(hit.headings)},
        )


if __name__ == "__main__":
    import jnlp

    retriever = JnlpRetriever(jnlp.load().open_index("my.idx"), top=3)
    for found in retriever.retrieve("契約を途中で解約する条件"):
        print(found.score, found.node.node_id, found.text)
