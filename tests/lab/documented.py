"""Holds answers of the API to what its own /openapi.json says of them."""

from __future__ import annotations

import re
from typing import Any

import httpx

from techsapo_ops.serve.bodies.base import Body, ProblemBody

JSON, PROBLEM = "application/json", "application/problem+json"


class Documented:
    """The operations of an OpenAPI document, and which of them were asked."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]
        self._models = {model.__name__: model for model in _subclasses(Body)}
        self.asked: set[tuple[str, str]] = set()

    def json_operations(self) -> set[tuple[str, str]]:
        """Method and path of all that answer with JSON."""
        return {
            (method.upper(), path)
            for path, methods in self._paths.items()
            for method, operation in methods.items()
            if JSON in operation["responses"]["200"].get("content", {})
        }

    def check(self, answer: httpx.Response) -> dict[str, Any]:
        """The document of `answer`: it fits the model that is documented, which knows its every key."""
        method, path = answer.request.method, self._template(answer.request.url.path)
        self.asked.add((method, path))
        kind = answer.headers["content-type"]
        responses = self._paths[path][method.lower()]["responses"]
        told = responses.get(str(answer.status_code), {}).get("content", {}).get(kind)
        assert told is not None, f"{method} {path} does not document {answer.status_code} as {kind}"
        model = ProblemBody if kind == PROBLEM else self._models[told["schema"]["$ref"].rpartition("/")[2]]
        value: dict[str, Any] = answer.json()
        assert model.model_validate(value).model_dump(mode="json", exclude_unset=True) == value
        return value

    def _template(self, path: str) -> str:
        fits = (t for t in self._paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", t), path))
        return min(fits, key=lambda template: template.count("{"))


def _subclasses(model: type[Body]) -> list[type[Body]]:
    return [found for child in model.__subclasses__() for found in (child, *_subclasses(child))]
