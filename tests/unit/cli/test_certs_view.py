from __future__ import annotations

from rows import each_row

from techsapo_ops.certs.needs import Due, Need
from techsapo_ops.certs.renew import Renewal
from techsapo_ops.cli.certs.certificates_view import renewal_error
from techsapo_ops.errors import OpsError


@each_row("message", ["http-01 needs the stack's nginx", "certificate site: http-01 needs the stack's nginx"])
def test_an_error_names_the_certificate_once(message: str) -> None:
    error = OpsError(message, "`techsapo up` starts it")
    shown = renewal_error(Renewal("site", Due(Need.RENEW, ""), error), error)
    assert shown.message == "certificate site: http-01 needs the stack's nginx"
    assert shown.hint == error.hint
