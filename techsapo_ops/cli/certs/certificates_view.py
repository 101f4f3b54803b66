"""How `techsapo certs` shows certificates and what was done for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from datetime import datetime

    from techsapo_ops.certs.renew import Renewal
    from techsapo_ops.certs.status import Status
    from techsapo_ops.cli.output import Output

_NEEDS = {
    str(word): word
    for word in (msg("issue"), msg("renew"), msg("take over"), msg("deploy"), msg("finish"), msg("nothing"))
}


def renewal_words(renewal: Renewal, dry_run: bool) -> str:
    """What was done for one certificate, or with `dry_run` would be, in a line."""
    due, name = renewal.due, renewal.name
    then = msg("; next renewal {moment}", moment=_moment(renewal.next)) if renewal.next is not None else ""
    if due.need == "nothing":
        return msg("certificate {name}: nothing is due{then}", name=name, then=then)
    if dry_run:
        return msg(
            "certificate {name}: would {need} ({reason})", name=name, need=_NEEDS[due.need], reason=due.reason
        )
    seen = msg(" and nginx serves it") if renewal.served else ""
    return msg(
        "certificate {name}: {need} done ({reason}); the certificate is in use{seen}{then}",
        name=name,
        need=_NEEDS[due.need],
        reason=due.reason,
        seen=seen,
        then=then,
    )


def renewal_error(renewal: Renewal, error: OpsError) -> OpsError:
    """What is printed of `error`: it names the certificate, as several may be renewed."""
    named = msg("certificate {renewal}", renewal=renewal.name)
    if error.message.startswith(named):
        return error
    return OpsError(msg("{named}: {message}", named=named, message=error.message), error.hint)


def show(statuses: tuple[Status, ...], out: Output) -> None:
    """A row for each certificate, and below what needs someone."""
    rows = [
        (
            s.name,
            "attention" if s.attention else "ok",
            s.source,
            "" if s.days_left is None else f"{s.days_left:.1f}",
            _moment(s.renews_at) if s.renews_at is not None else "",
            {True: "yes", False: "no", None: ""}[s.served],
            "" if s.chain is None else "ok" if s.chain == "ok" else "broken",
            s.key or "",
            s.issuer or "",
            ", ".join(s.names),
        )
        for s in statuses
    ]
    columns = ("name", "state", "source", "days left", "renews", "served", "chain", "key", "issuer", "names")
    out.table(columns, rows, right=("days left",))
    for s in statuses:
        for line in s.attention:
            out.data(msg("{name}: {line}", name=s.name, line=line))


def _moment(time: datetime) -> str:
    return msg("{time:%Y-%m-%d %H:%M} UTC", time=time)
