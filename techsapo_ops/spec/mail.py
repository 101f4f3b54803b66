"""E-mail addresses, as Alertmanager and the report read them: `ops@example.com`, `Ops <ops@example.com>`."""

from __future__ import annotations

import re
from email.utils import getaddresses

from techsapo_ops.messages import msg

_ADDRESS = re.compile(r"""(?:[^\s@<>()\[\],;:"\\]+|"[^"\\]+")@([^\s@<>()\[\],;:"\\]+)""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOTHING_BETWEEN = re.compile(r",(?:\s*,)+")
LIKE = msg("write e.g. ops@example.com, or Ops <ops@example.com>, with commas between several")


def domains(text: str) -> list[str]:
    """The domains of the addresses in `text`, one or several with commas between; none where one of them
    is no address.
    """
    if _CONTROL.search(text) or text.count("<") != text.count(">"):
        return []  # a line break would begin another header
    listed = getaddresses([_NOTHING_BETWEEN.sub(",", text).strip(" ,")])
    # What is not there as it is, was put together over a blank.
    found = [_ADDRESS.fullmatch(address) if address in text else None for _, address in listed]
    return [match[1] for match in found if match] if all(found) else []
