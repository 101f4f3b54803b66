"""When API keys end, by all that says so: what a backup brings back works no longer than that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from techsapo_ops.adapters.chain import Link, Reading
from techsapo_ops.messages import msg
from techsapo_ops.stores.keys import ApiKey

REVOKE = msg("keys revoke")
ROTATE = msg("keys rotate")
"""Actions of the record of administration that end keys; `ends_of` says which, and when."""


@dataclass(frozen=True, slots=True)
class Ending:
    """When a key was revoked, and when it expires (UTC); None where nothing says so."""

    revoked: datetime | None = None
    expires: datetime | None = None

    def or_sooner(self, other: Ending) -> Ending:
        """The earlier of both, each for itself."""
        return Ending(_sooner(self.revoked, other.revoked), _sooner(self.expires, other.expires))


Endings = Mapping[str, Ending]
"""By id of the key."""


def endings_of(keys: Iterable[ApiKey]) -> Endings:
    """Those that the keys themselves say."""
    return {k.id: Ending(k.revoked, k.expires) for k in keys if k.revoked or k.expires}


def sooner(*several: Endings) -> Endings:
    """The earliest ending of each key."""
    endings: dict[str, Ending] = {}
    for each in several:
        for number, ending in each.items():
            endings[number] = endings.get(number, Ending()).or_sooner(ending)
    return endings


def ended(keys: Iterable[ApiKey], endings: Endings) -> tuple[ApiKey, ...]:
    """The keys, none of which works longer than `endings` says."""
    return tuple(_ended(key, endings.get(key.id, Ending())) for key in keys)


def merged(back: Iterable[ApiKey], here: Iterable[ApiKey], endings: Endings) -> tuple[ApiKey, ...]:
    """The keys of a backup and those that are here, oldest first, none of which works longer than any says.

    Keys that the backup does not hold stay. Of one that both hold the backup says name, rights and limits.
    """
    back, here = tuple(back), tuple(here)
    now = {k.id: k for k in here}
    whole = [replace(k, replaced_by=_replacement(k, now.get(k.id))) for k in back]
    known = {k.id for k in back}
    whole += [k for k in here if k.id not in known]
    whole.sort(key=lambda k: k.created)  # stable: those of one second stay as they were
    return ended(whole, sooner(endings_of(here), endings))


def ends_of(changed: Iterable[ApiKey]) -> dict[str, Any]:
    """What an action records of the keys that it ends: the ids of the revoked, and when the others end."""
    changed = tuple(changed)
    expiring = {k.id: k.expires.isoformat() for k in changed if k.revoked is None and k.expires is not None}
    revoked = [k.id for k in changed if k.revoked is not None]
    return {**({"revoked": revoked} if revoked else {}), **({"expiring": expiring} if expiring else {})}


def recorded_endings(reading: Reading) -> Endings:
    """Those that the record of administration knows of, also by an action of which it knows no good end.

    Whoever began it wanted these keys gone, and a kill may have left no note that they are.
    """
    return sooner(*(_recorded(r) for r in reading.records if r.content.get("action") in (REVOKE, ROTATE)))


def _recorded(record: Link) -> Endings:
    what = record.content.get("what")
    if not isinstance(what, dict):
        return {}
    revoked, expiring = what.get("revoked"), what.get("expiring")
    endings: dict[str, Ending] = {}
    for number in revoked if isinstance(revoked, list) else ():
        endings[str(number)] = Ending(revoked=record.time)
    for number, text in expiring.items() if isinstance(expiring, dict) else ():
        moment = _moment(text)
        endings[str(number)] = Ending(expires=moment) if moment is not None else Ending(revoked=record.time)
    return endings


def _moment(text: object) -> datetime | None:
    """The time that `text` names with its zone; None where it names none."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _ended(key: ApiKey, ending: Ending) -> ApiKey:
    both = Ending(key.revoked, key.expires).or_sooner(ending)
    return replace(key, revoked=both.revoked, expires=both.expires)


def _replacement(back: ApiKey, here: ApiKey | None) -> str | None:
    return back.replaced_by if here is None or here.replaced_by is None else here.replaced_by


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
