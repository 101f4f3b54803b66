"""The certificates' metrics, in a file for node exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.certs.needs import Certificates
from techsapo_ops.certs.status import Status
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

TEXTFILE = "certificates"
"""Not `certs`: that is the file of the job, and two files must not hold the same series."""


def write_metrics(certificates: Certificates, found: Sequence[Status]) -> None:
    """Replace the certificates' metrics by what was `found`.

    A file that can't be written is told and no failure: certificates are renewed all the same, and the
    alert on the job `certs` watches that someone looks.
    """
    folder = certificates.topology.layout.textfiles
    if not certificates.topology.layout.state.is_dir():
        return  # a stack that was never up: there is nothing to watch
    try:
        write_textfile(folder, TEXTFILE, samples(found))
    except OpsError as error:
        certificates.say(msg("the certificates' metrics were not written: {message}", message=error.message))


def samples(found: Iterable[Status]) -> Iterator[Sample]:
    """The samples of `found`. What could not be found out has none."""
    for status in found:
        values = {
            "techsapo_cert_not_before_timestamp_seconds": _timestamp(status.not_before),
            "techsapo_cert_not_after_timestamp_seconds": _timestamp(status.not_after),
            "techsapo_cert_last_renewal_timestamp_seconds": _timestamp(status.renewed_at),
            "techsapo_cert_renewal_failures": float(status.failures),
            "techsapo_cert_served_matches": None if status.served is None else float(status.served),
        }
        labels = {"name": status.name, "source": status.source}
        for metric, value in values.items():
            if value is not None:
                yield Sample(metric, value, labels)


def _timestamp(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
