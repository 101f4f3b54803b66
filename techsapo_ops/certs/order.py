"""A certificate from an ACME server, in steps of which each is on disk before the next begins.

Killed anywhere, the next run goes on with the same key and the same order: what the CA counts against its
limits is not asked for twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from techsapo_ops.adapters.acme import AcmeError, AcmeServer
from techsapo_ops.adapters.acme_messages import Authorization, Challenge, Order, pause
from techsapo_ops.certs.account import Account
from techsapo_ops.certs.challenges import Proof, Responder
from techsapo_ops.certs.material import (
    Pair,
    PrivateKey,
    key_pem,
    signing_request,
)
from techsapo_ops.certs.pending import ANSWERING, FINALIZED, KEYED, ORDERED, Orders, Pending
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import Message, msg, template

_DEADLINE = 300.0
_TRANSIENT = {"", "rateLimited", "serverInternal"}
"""Errors after which the order itself may still be good; "" is no answer at all."""
_NOT_OF_REPLACES = {"", "rateLimited", "accountDoesNotExist"}
"""Errors that a new order without `replaces` would meet as well, and must not be asked for at once.

All others may be of that field, `serverInternal` too: pebble says so of a serial number whose DER encoding
begins with a zero byte (letsencrypt/pebble#550), of which it issues one among 256.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be ordered."""

    name: str
    """Of the certificate in the spec."""
    names: tuple[str, ...]
    replaces: str | None = None
    """ARI id of the certificate that this one takes the place of."""

    def begun_at(self, directory: str) -> Pending:
        """An order of it, begun at the CA of `directory`."""
        return Pending(directory, self.names, KEYED)


def obtain(
    wanted: Wanted,
    account: Account,
    orders: Orders,
    responder: Responder,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Pair:
    """A certificate for `wanted`. The order stays in `orders` until the caller has stored the pair.

    Raises OpsError; an order that can still succeed is then kept for the next call.
    """
    return _Run(wanted, account, orders, responder, say).certificate()


class _Run:
    def __init__(
        self,
        wanted: Wanted,
        account: Account,
        orders: Orders,
        responder: Responder,
        say: Callable[[str], None],
    ) -> None:
        self._wanted = wanted
        self._account = account
        self._orders = orders
        self._responder = responder
        self._say = say
        self._deadline = time.monotonic() + _DEADLINE
        self._pending = wanted.begun_at(account.directory)

    def certificate(self) -> Pair:
        key, order = self._order()
        try:
            chain = self._account.ask(lambda server: self._follow(server, order, key))
        except AcmeError as error:
            if error.code not in _TRANSIENT:
                self._orders.drop(self._wanted.name)
            raise
        where = msg("the certificate from {host}", host=self._account.server.host)
        return Pair(key_pem(key), chain, where)

    def _order(self) -> tuple[PrivateKey, Order]:
        """The order that is under way, or a new one."""
        found = self._orders.load(self._wanted.name)
        if found is not None and self._fits(found[0]):
            self._pending, key = found
            order = self._resume()
            if order is not None:
                self._say(msg("going on with the order {url}", url=order.url))
                return key, order
        else:
            key = self._orders.begin(self._wanted.name, self._pending)
        order = self._account.ask(self._new_order)
        self._reached(ORDERED, url=order.url)
        return key, order

    def _fits(self, pending: Pending) -> bool:
        ours = self._pending
        return (pending.directory, pending.names) == (ours.directory, ours.names)

    def _resume(self) -> Order | None:
        if not self._pending.url:
            return None
        url = self._pending.url
        try:
            order = self._account.ask(lambda server: server.order(url))
        except AcmeError as error:
            if error.code in _TRANSIENT:
                raise
            return None  # another account's, or forgotten
        return order if order.status != "invalid" else None

    def _new_order(self, server: AcmeServer) -> Order:
        """Order anew, as a renewal where it is one.

        That it is one only spares rate limits (RFC 9773, 5): a server that can't make sense of it is asked
        for a plain order, which is as good. What it then refuses is the order itself.
        """
        names, replaces = self._wanted.names, self._wanted.replaces
        if replaces is None:
            return server.new_order(names)
        try:
            return server.new_order(names, replaces)
        except AcmeError as error:
            if error.code in _NOT_OF_REPLACES:
                raise
            refusal = error.message
        order = server.new_order(names)
        self._say(msg("ordered as a new certificate, not as a renewal: {refusal}", refusal=refusal))
        return order

    def _follow(self, server: AcmeServer, order: Order, key: PrivateKey) -> bytes:
        attempt = 0
        while True:
            if order.status == "pending":
                self._authorize(server, order)
            elif order.status == "ready":
                order = server.finalize(order, signing_request(key, self._wanted.names))
                self._reached(FINALIZED)
                attempt = self._wait(server, 0, order.wait, msg("order {status}", status=order.status))
            elif order.status == "valid" and order.certificate is not None:
                return server.certificate(order.certificate)
            elif order.status == "invalid":
                raise AcmeError(
                    msg("{host} gave the order up: {error}", host=server.host, error=order.error),
                    code="invalid",
                )
            else:
                attempt = self._wait(server, attempt, order.wait, msg("order {status}", status=order.status))
            order = server.order(order.url)

    def _authorize(self, server: AcmeServer, order: Order) -> None:
        open_ones = [a for a in map(server.authorization, order.authorizations) if a.status == "pending"]
        try:
            chosen = [self._challenge(server, a) for a in open_ones]
            self._reached(ANSWERING, proofs=self._proofs(server, open_ones, chosen))
            for proof in self._pending.proofs:
                self._responder.place(proof)
            for challenge in chosen:
                if challenge.status == "pending":
                    server.answer(challenge)
            for authorization in open_ones:
                self._wait(
                    server, 0, 0.0, msg("validation of {authorization}", authorization=authorization.name)
                )
                self._validated(server, authorization)
        finally:
            self._clear()

    def _proofs(
        self, server: AcmeServer, authorizations: Sequence[Authorization], chosen: Sequence[Challenge]
    ) -> tuple[Proof, ...]:
        made = (
            Proof(a.name, c.token, server.key_authorization(c.token))
            for a, c in zip(authorizations, chosen, strict=True)
        )
        return tuple(dict.fromkeys((*self._pending.proofs, *made)))

    def _challenge(self, server: AcmeServer, authorization: Authorization) -> Challenge:
        kind = self._responder.kind
        for challenge in authorization.challenges:
            if challenge.kind == kind:
                return challenge
        offered = ", ".join(c.kind for c in authorization.challenges) or "none"
        raise OpsError(
            msg(
                "{host} offers no {kind} for {authorization}, only {offered}",
                host=server.host,
                kind=kind,
                authorization=authorization.name,
                offered=offered,
            ),
            msg("choose another `challenge` in the spec"),
        )

    def _validated(self, server: AcmeServer, authorization: Authorization) -> None:
        attempt = 0
        while True:
            now = server.authorization(authorization.url)
            if now.status == "valid":
                return
            if now.status not in {"pending", "processing"}:
                raise AcmeError(
                    msg(
                        "{host} could not validate {authorization}: {error}",
                        host=server.host,
                        authorization=authorization.name,
                        error=now.error or now.status,
                    ),
                    Message(_VALIDATION_HINTS[self._responder.kind], {"name": authorization.name}),
                    code="validation",
                )
            attempt = self._wait(
                server,
                attempt,
                now.wait,
                msg("validation of {authorization}", authorization=authorization.name),
            )

    def _wait(self, server: AcmeServer, attempt: int, wait: float, what: str) -> int:
        seconds = pause(attempt, wait)
        if time.monotonic() + seconds > self._deadline:
            raise AcmeError(
                msg(
                    "{host}: {what} did not end within {deadline:g} s",
                    host=server.host,
                    what=what,
                    deadline=_DEADLINE,
                ),
                msg("the order is kept: `techsapo certs renew` goes on with it"),
            )
        time.sleep(seconds)
        return attempt + 1

    def _clear(self) -> None:
        left = []
        for proof in self._pending.proofs:
            try:
                self._responder.clear(proof)
            except OpsError as error:
                self._say(
                    msg("could not clear up after {name}: {message}", name=proof.name, message=error.message)
                )
                left.append(proof)
        self._reached(self._pending.phase, proofs=tuple(left))

    def _reached(
        self, phase: str, *, url: str | None = None, proofs: tuple[Proof, ...] | None = None
    ) -> None:
        self._pending = replace(
            self._pending,
            phase=phase,
            url=self._pending.url if url is None else url,
            proofs=self._pending.proofs if proofs is None else proofs,
        )
        self._orders.save(self._wanted.name, self._pending)


_VALIDATION_HINTS = {
    "http-01": template(
        "from outside, http://{name}/ on port 80 must lead to this stack's nginx: check DNS, firewall "
        "and proxies"
    ),
    "dns-01": template(
        "see that dns_hook sets the TXT record of {name} and waits until every name server has it"
    ),
}
