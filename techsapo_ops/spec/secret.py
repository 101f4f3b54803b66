"""A value that never shows itself, and headers that a user adds to requests, whose values are such."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from techsapo_ops.masking import MASK
from techsapo_ops.messages import msg

_HEADER = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OWN_HEADERS = {"connection", "content-length", "content-type", "host", "transfer-encoding"}
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")


class Secret:
    """A secret from load to use: `str()`, `repr()` and serialisation show a mask, `reveal()` the value.

    `file` is the path the value was read from (as written in the spec), or None when it came from the
    spec itself or from a variable.
    """

    __slots__ = ("_value", "file")

    def __init__(self, value: str, *, file: str | None = None) -> None:
        self._value = value
        self.file = file

    def reveal(self) -> str:
        """Return the value itself, for the one place that hands it over."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        # One plain function, not a union: a union reports each of its branches as an error of its own.
        return core_schema.no_info_plain_validator_function(
            cls._of, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def _of(cls, value: object) -> Secret:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("secret_type", "must be text; put the value in quotes")
        if not value:
            raise PydanticCustomError("secret_empty", "must not be empty")
        return cls(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1, "format": "password"}


def _headers(given: dict[str, Secret]) -> dict[str, Secret]:
    names: dict[str, str] = {}
    for name, value in given.items():
        if (same := names.setdefault(name.lower(), name)) != name:
            raise ValueError(
                msg("{same} and {name} are the same header; keep only one", same=same, name=name)
            )
        if not _HEADER.fullmatch(name):
            raise ValueError(
                msg("{name} is not a header name; use letters, digits, '-' and '_'", name=repr(name))
            )
        if name.lower() in _OWN_HEADERS:
            raise ValueError(msg("{name} is set automatically in each call; remove this header", name=name))
        if not _HEADER_VALUE.fullmatch(value.reveal()):
            raise ValueError(msg("the value of header {name} must be on one line, in ASCII", name=name))
    return given


Headers = Annotated[dict[str, Secret], AfterValidator(_headers)]
