"""Other clouds that serve the vendors' models, by tests/cases/vendors/clouds.yaml: Azure, Vertex AI, Bedrock.

They take the vendors' bodies; paths, keys and names of models are their own.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from vendors import lists
from vendors.chats import Chat, OpenAIChat, bearer
from vendors.core import Body, Reply, Wire
from vendors.refusals import Refused, claude_refusal, gemini_refusal, openai_refusal
from vendors.rules import google, openai
from vendors.rules.tables import known, table
from vendors.wires import Claude, Gemini, Responses

_AZURE, _VERTEX, _BEDROCK = (table("clouds")[cloud] for cloud in ("azure", "vertex", "bedrock"))


def _azure(told: dict[str, Any]) -> Refused:
    return Refused(told["status"], {"error": {"code": told["code"], "message": told["message"]}})


def _azure_model(request: web.Request, path: str, body: dict[str, Any]) -> str:
    """The model of the deployment that is asked; plays are deployed under their own names."""
    if request.path != f"{_AZURE['prefix']}/{path}":
        raise _azure(_AZURE["old_path"])
    name = str(body.get("model"))
    if name not in _AZURE["deployments"] and not known(name, ()):
        raise _azure(_AZURE["no_deployment"])
    return str(_AZURE["deployments"].get(name, name))


class _Azure(Chat):
    """What both of Azure's APIs have in common."""

    prefix = _AZURE["prefix"]

    def key(self, request: web.Request) -> str:
        return request.headers.get("api-key") or bearer(request)

    def unknown_key(self, key: str) -> Refused:
        return _azure(_AZURE["no_key"])

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        """By the name of the model that is deployed."""
        return super().reply(_AZURE["deployments"].get(model, model), text, finish, usage, body)


class AzureResponses(_Azure, Responses):
    """The Responses API of Azure, path v1."""

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        model = _azure_model(request, "responses", body)
        openai.content_type(request.content_type)
        openai.responses(body, model)
        return []


class AzureChat(_Azure, OpenAIChat):
    """Chat completions of Azure, path v1."""

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        model = _azure_model(request, "chat/completions", body)
        openai.content_type(request.content_type)
        openai.chat(body, model)
        return []


class Vertex(Gemini):
    """Gemini on Vertex AI: the path holds version, project and place, and a token is the key.

    With an API key (`express`) there is no project in the path.
    """

    def __init__(self, express: bool = False) -> None:
        self._express = express
        place = "" if express else f"/projects/{_VERTEX['project']}/locations/{_VERTEX['location']}"
        self.prefix = f"/{_VERTEX['versions'][0]}{place}/publishers/google"
        versions = "|".join(_VERTEX["versions"])
        self._path = re.compile(
            rf"/(?:{versions}){place}/publishers/google/models/(?P<model>[^/:]+):(?P<method>\w+)"
        )

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-goog-api-key", "") if self._express else bearer(request)

    def unknown_key(self, key: str) -> Refused:
        return google.refusal_without_token()

    def taken(self, request: web.Request, key: str, body: dict[str, Any]) -> tuple[str, str]:
        found = self._path.fullmatch(request.path)
        if found is None or found["method"] not in {"generateContent", "streamGenerateContent"}:
            raise gemini_refusal(404, "NOT_FOUND", f"no such path: {request.path}")
        google.request("vertex", body)
        model = found["model"]
        if not known(model, lists.GOOGLE):
            told = _VERTEX["unknown"].format(
                project=_VERTEX["project"], location=_VERTEX["location"], model=model
            )
            raise gemini_refusal(404, "NOT_FOUND", told)
        google.options(model, body)
        return model, found["method"]


class BedrockChat(Chat):
    """OpenAI-compatible chat completions at bedrock-runtime."""

    prefix = _BEDROCK["runtime"]["prefix"]
    keyed = True

    def unknown_key(self, key: str) -> Refused:
        told = _BEDROCK["no_token"]
        return openai_refusal(told["status"], told["message"], None, None)

    def taken(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        openai.content_type(request.content_type)
        model = str(body.get("model"))
        if model not in _BEDROCK["runtime"]["models"] and not known(model, ()):
            raise openai_refusal(400, _BEDROCK["no_route"].format(model=model), "model", None)
        openai.shape(body)
        return []


class BedrockClaude(Claude):
    """Claude's Messages API at bedrock-mantle: its key as a bearer token, the vendor before names."""

    prefix = _BEDROCK["claude"]["prefix"]

    def key(self, request: web.Request) -> str:
        return bearer(request)

    def unknown_key(self, key: str) -> Refused:
        told = _BEDROCK["no_token"]
        return claude_refusal(told["status"], "authentication_error", told["message"])

    def behind(self, body: dict[str, Any]) -> str | None:
        model = str(body.get("model"))
        if model not in _BEDROCK["claude"]["models"] and not known(model, ()):
            raise claude_refusal(404, "not_found_error", _BEDROCK["no_route"].format(model=model))
        return str(_BEDROCK["claude"]["models"].get(model, model))


CLOUDS: dict[str, Wire] = {
    "azure-responses": AzureResponses(),
    "azure-chat": AzureChat(),
    "vertex": Vertex(),
    "vertex-express": Vertex(express=True),
    "bedrock-chat": BedrockChat(),
    "bedrock-claude": BedrockClaude(),
}
"""The stand-in of each recipe in docs/providers.md."""
