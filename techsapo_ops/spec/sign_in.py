"""The rule about signing in: nginx is there to ask for it, and what it says can be believed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Path

_SECRET = re.compile(r"[A-Za-z0-9+/=_-]{32,128}")


def sign_in(spec: Spec, _: Context) -> Iterator[Finding]:
    """nginx asks who signed in, and the app knows nginx by a secret."""
    found = spec.app.auth.sign_in
    path: Path = ("app", "auth", "sign_in")
    if found is None:
        return
    if not spec.runs_nginx:
        yield Finding(path, "it is nginx that asks who signed in", "add `nginx: {enabled: true}`")
    if found.secret is None or not _SECRET.fullmatch(found.secret.reveal()):
        yield Finding(
            path,
            "the secret must be 32 to 128 letters, digits or +/=_-",
            "`openssl rand -hex 32 > secrets/sign-in`, and name that file by secret_file",
        )
