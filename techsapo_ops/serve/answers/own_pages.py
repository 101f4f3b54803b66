"""The team's own pages, as questions get them and as callers search them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.knowledge import search
from techsapo_ops.incidents.material import Page
from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.masker import Masker
from techsapo_ops.serve.bodies.base import Body, problem_responses
from techsapo_ops.serve.http.auth import Gate, first
from techsapo_ops.serve.http.problems import require_text
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.wallbounce.question import KNOWLEDGE, Composed, Passage

log = structlog.get_logger()

MOST = 4
"""Pages that stand in a question."""
State = Literal["ready", "unreadable", "absent"]


class OwnPages:
    """Searches `index`, which is None where the spec names no knowledge."""

    def __init__(self, index: Path | None) -> None:
        self._index = index

    async def about(self, asked: str | Composed, limit: int = MOST) -> tuple[State, Sequence[Page]]:
        """The pages about what is asked, at most `limit`. None, and a line in the log, if they are unread.

        Of several parts those without a name are our own words.
        """
        if self._index is None:
            return "absent", ()
        query = asked if isinstance(asked, str) else "\n".join(p.text for p in asked.parts if p.name)
        try:
            return "ready", await asyncio.to_thread(search, self._index, query, limit)
        except OpsError as error:
            log.warning("The team's own knowledge is not searched", error=error.message)
            return "unreadable", ()


def with_pages(prompt: str | Composed, pages: Sequence[Page]) -> str | Composed:
    """`pages` before what is asked, each a block of material that begins with where it is from."""
    if not pages:
        return prompt
    blocks = (Passage(KNOWLEDGE, f"{page.file}: {page.heading}\n\n{page.text}") for page in pages)
    return Composed((*blocks, *(prompt.parts if isinstance(prompt, Composed) else (Passage("", prompt),))))


class PageBody(Body):
    """A part of a file of the team's own, masked like a question."""

    file: str
    heading: Annotated[
        str, Field(description="The heading, after the headings above it; empty if there is none.")
    ]
    text: str


class KnowledgeBody(Body):
    """The parts that answer a query best, the best first."""

    knowledge: Annotated[State, Field(description="absent: the spec names no `knowledge`.")]
    pages: list[PageBody]


def knowledge_routes(gate: Gate, own: OwnPages, level: MaskLevel) -> APIRouter:
    """The search; it needs what a question needs."""
    router = APIRouter(prefix="/api/v1", tags=["orchestrator"])

    @router.get(
        "/knowledge",
        summary="Search the team's own pages.",
        response_model=KnowledgeBody,
        responses=problem_responses(401, 403, 422),
        dependencies=[first(gate.known)],
    )
    async def knowledge(
        query: Annotated[str, Query(max_length=2000)] = "",
        limit: Annotated[int, Query(ge=1, le=20)] = 5,
    ) -> Response:
        require_text("query", query)
        state, pages = await own.about(query, limit)
        masker = Masker(level)
        masked = [
            PageBody(file=page.file, heading=page.heading, text=await masker.masked(page.text))
            for page in pages
        ]
        return json_response(KnowledgeBody(knowledge=state, pages=masked))

    return router
