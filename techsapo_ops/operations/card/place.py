"""Where the second place is, and how one gets in, without what is secret."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^/\s]*@")
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/\s]*(?=@)")


def shown(place: str) -> str:
    """The repository without its login; SSH's has the account in the address alone, and it is no secret."""
    return _PASSWORD.sub(r"\1", place) if over_ssh(place) else _LOGIN.sub("", place)


def over_ssh(place: str) -> bool:
    return place.startswith("sftp:")


def ssh_of(place: str) -> tuple[str, str]:
    """The machine of a repository over SSH, with the account, and the port; "" for SSH's own."""
    rest = place.removeprefix("sftp:")
    if not rest.startswith("//"):
        return rest.partition(":")[0], ""
    place = rest.lstrip("/").partition("/")[0]
    host, _, port = place.rpartition(":")
    return (host, port) if host and port.isdigit() else (place, "")


def logins(place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Variables of the login, and those among them that are secret, by the kind of repository."""
    by_kind = {
        "s3": (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY",)),
        "rest": (("RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"), ("RESTIC_REST_PASSWORD",)),
        "b2": (("B2_ACCOUNT_ID", "B2_ACCOUNT_KEY"), ("B2_ACCOUNT_KEY",)),
        "azure": (("AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY"), ("AZURE_ACCOUNT_KEY",)),
    }
    return by_kind.get(place.partition(":")[0], ((), ()))
