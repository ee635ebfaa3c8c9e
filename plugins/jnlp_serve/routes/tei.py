"""The routes of Text Embeddings Inference: its clients work unchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from jnlp import __version__
from jnlp.types import Overflow, Purpose
from jnlp_serve.embedding import EmbedKey, purpose_of, vectors_of
from jnlp_serve.errors import ApiError
from jnlp_serve.requests import describe_body, describe_reply, read_body, reply
from jnlp_serve.routes.tasks import failed_at
from jnlp_serve.service import CLASSIFY, RERANK
from jnlp_serve.tokens import decode, tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

    from jnlp_serve.embedding import Embedded
    from jnlp_serve.service import Service

NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}
VECTORS: dict[str, Any] = {"type": "array", "items": NUMBERS}


class _TeiBody(BaseModel):
    """The base of bodies that existing clients send; what they send beyond these fields has no effect."""

    model_config = ConfigDict(extra="ignore")


class EmbedRequest(_TeiBody):
    """The body of `/embed` and `/`."""

    inputs: str | list[str] = Field(examples=[["東京の天気", "明日の予報"]])
    normalize: bool = Field(True, description="Scale vectors to length 1.")
    truncate: bool | None = Field(None, description="Cut long texts; default: read them in windows.")
    prompt_name: str | None = Field(None, description="query, document, topic or similarity: the model's prefix.")
    dimensions: int | None = Field(None, ge=1, strict=True, description="Keep only the first so many dimensions.")


class EmbedAllRequest(_TeiBody):
    """The body of `/embed_all`."""

    inputs: str | list[str]
    truncate: bool | None = None
    prompt_name: str | None = None


class SimilarityInputs(_TeiBody):
    """A text, and those to compare it with."""

    source_sentence: str
    sentences: list[str]


class SimilarityRequest(_TeiBody):
    """The body of `/similarity`."""

    inputs: SimilarityInputs


class PredictRequest(_TeiBody):
    """The body of `/predict`: a text, a pair, or a list of lists with one or two texts each."""

    inputs: str | list[str] | list[list[str]]
    raw_scores: bool = False


class RerankRequest(_TeiBody):
    """The body of `/rerank`."""

    query: str
    texts: list[str]
    raw_scores: bool = Field(False, description="Logits instead of probabilities.")
    return_text: bool = False


class TokenizeRequest(_TeiBody):
    """The body of `/tokenize`."""

    inputs: str | list[str]
    add_special_tokens: bool = True


class DecodeRequest(_TeiBody):
    """The body of `/decode`."""

    ids: list[int] | list[list[int]]
    skip_special_tokens: bool = True


def add(app: FastAPI, service: Service, /) -> None:
    """Add the routes."""
    for path, (body, shape, answer) in POSTS.items():
        assert answer.__doc__ is not None
        app.add_api_route(
            path,
            _bound(service, answer),
            methods=["POST"],
            name=f"tei-{answer.__name__}{'-root' if path == '/' else ''}",
            summary=answer.__doc__,
            description="",
            tags=["text embeddings inference"],
            openapi_extra=describe_body(app, body),
            responses=describe_reply(app, shape),
            include_in_schema=path != "/",
        )

    @app.get("/info", summary="Describe the service and its model.", tags=["text embeddings inference"])
    async def info() -> Response:
        service.check_ready()
        return reply(await service.in_thread(_describe, service))


def _bound(service: Service, answer: Answer) -> Any:
    """Return an answer as FastAPI takes it."""

    async def route(request: Request) -> Response:
        service.check_ready()
        return reply(await answer(service, request))

    return route


async def _embed(service: Service, request: Request) -> Any:
    """Return a vector for each text."""
    made = await read_body(request, EmbedRequest)
    texts = [made.inputs] if isinstance(made.inputs, str) else made.inputs
    found = await embedded(request, service, texts, purpose_of(made.prompt_name), truncate=made.truncate)
    return vectors_of(found, unit=made.normalize, dimensions=made.dimensions)


async def _embed_all(service: Service, request: Request) -> Any:
    """Return the states of all tokens of each text."""
    made = await read_body(request, EmbedAllRequest)
    texts = [made.inputs] if isinstance(made.inputs, str) else made.inputs
    service.check_count(texts)
    lane = await service.in_thread(service.states_lane, purpose_of(made.prompt_name))
    return _all(await service.run(request, lane, texts))


async def _similarity(service: Service, request: Request) -> Any:
    """Return the cosine of a text with each of the others."""
    made = (await read_body(request, SimilarityRequest)).inputs
    service.check_count(made.sentences, "inputs.sentences")
    texts = [made.source_sentence, *made.sentences]
    found = vectors_of(await embedded(request, service, texts, Purpose.SIMILARITY), unit=True)
    return found[1:] @ found[0]


async def _predict(service: Service, request: Request) -> Any:
    """Return the labels of a text with their scores, the best first."""
    need(service, CLASSIFY, "a classifier")
    made = await read_body(request, PredictRequest)
    texts, one = _sequences(made.inputs)
    service.check_count(texts)
    lane = await service.in_thread(service.predict_lane, made.raw_scores)
    found = _all(await service.run(request, lane, texts))
    return found[0] if one else found


async def _rerank(service: Service, request: Request) -> Any:
    """Return the relevance of each text to the query, the best first."""
    made = await read_body(request, RerankRequest)
    scores = await relevance(request, service, made.query, made.texts, where="texts")
    order = sorted(range(len(scores)), key=lambda number: -scores[number])
    return [
        {"index": i, "score": logit(scores[i]) if made.raw_scores else scores[i]}
        | ({"text": made.texts[i]} if made.return_text else {})
        for i in order
    ]


async def _tokenize(service: Service, request: Request) -> Any:
    """Return the tokens of each text, with character offsets."""
    made = await read_body(request, TokenizeRequest)
    texts = [made.inputs] if isinstance(made.inputs, str) else made.inputs
    service.check_count(texts)
    return await service.in_thread(tokenize, service.embedder(), texts, special=made.add_special_tokens)


async def _decode(service: Service, request: Request) -> Any:
    """Return the text of token ids."""
    made = await read_body(request, DecodeRequest)
    return await service.in_thread(decode, service.embedder(), made.ids, special=not made.skip_special_tokens)


Answer = Callable[["Service", Request], Awaitable[Any]]

_TEXTS = {"type": "array", "items": {"type": "string"}}
_ANY: dict[str, Any] = {}

POSTS: dict[str, tuple[type[BaseModel], dict[str, Any], Answer]] = {
    "/": (EmbedRequest, VECTORS, _embed),
    "/embed": (EmbedRequest, VECTORS, _embed),
    "/embed_all": (EmbedAllRequest, {"type": "array", "items": VECTORS}, _embed_all),
    "/similarity": (SimilarityRequest, NUMBERS, _similarity),
    "/predict": (PredictRequest, _ANY, _predict),
    "/rerank": (RerankRequest, _ANY, _rerank),
    "/tokenize": (TokenizeRequest, _ANY, _tokenize),
    "/decode": (DecodeRequest, _TEXTS, _decode),
}
"""The routes: path, body, reply, and what answers."""


async def embedded(
    request: Request,
    service: Service,
    texts: Sequence[str],
    purpose: Purpose,
    /,
    *,
    truncate: bool | None = None,
    where: str = "inputs",
) -> list[Embedded]:
    """Return the embeddings of texts; raise an ApiError that says at which one it failed."""
    service.check_count(texts, where)
    overflow = Overflow.TRUNCATE if truncate else None
    lane = await service.in_thread(service.embed_lane, EmbedKey(purpose, overflow))
    return _all(await service.run(request, lane, texts), where)


async def relevance(
    request: Request, service: Service, query: str, texts: Sequence[str], /, *, where: str
) -> list[float]:
    """Return the probability of each text to answer the query."""
    need(service, RERANK, "a reranker")
    service.check_count(texts, where)
    found = await service.run_task(request, RERANK, [(query, text) for text in texts], {})
    return [float(result.score) for result in _all(found, where)]


def need(service: Service, task: str, what: str, /) -> None:
    """Raise the error of a service that was started without a model for a task."""
    if service.model(task) is None:
        raise ApiError(424, f"the service has no {what.partition(' ')[2]}", hint=f"start it with --model {task}=MODEL")


def logit(probability: float, /) -> float:
    """Return the logit of a probability, which is bounded where the probability is 0 or 1."""
    import math

    inside = min(max(probability, 1e-7), 1 - 1e-7)
    return math.log(inside / (1 - inside))


def _all(found: list[Any], where: str = "inputs") -> list[Any]:
    """Return the results; raise the first error among them."""
    for number, result in enumerate(found):
        if isinstance(result, BaseException):
            raise failed_at(result, f"{where}[{number}]")
    return found


def _sequences(inputs: str | list[str] | list[list[str]]) -> tuple[list[Any], bool]:
    """Return texts and pairs, and whether the reply is for one of them."""
    if isinstance(inputs, str):
        return [inputs], True
    if inputs and all(isinstance(part, str) for part in inputs):
        return [_sequence([str(part) for part in inputs], "inputs")], True
    return [_sequence(list(part), f"inputs[{number}]") for number, part in enumerate(inputs)], False


def _sequence(parts: list[str], where: str) -> Any:
    if len(parts) not in (1, 2):
        raise ApiError(422, f"{where} has {len(parts)} texts", hint="one text, or two of a pair")
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _describe(service: Service) -> dict[str, Any]:
    embedder, settings = service.embedder(), service.engine.settings
    return {
        "model_id": service.embedding_model,
        "model_sha": embedder.fingerprint,
        "model_dtype": settings.dtype,
        "model_type": {"embedding": {"pooling": str(getattr(embedder, "pooling", "mean"))}},
        "max_concurrent_requests": service.options.max_requests,
        "max_input_length": embedder.max_length,
        "max_batch_tokens": settings.batch_tokens or 0,
        "max_batch_requests": None,
        "max_client_batch_size": service.options.max_texts,
        "auto_truncate": False,
        "tokenization_workers": 1,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }
