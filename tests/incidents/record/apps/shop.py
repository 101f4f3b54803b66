"""The services of the recorded shop: `shop.py NAME` runs one of them.

shop is the front that customers use; auth signs tokens; stock reserves goods; payments charges cards at an
outside provider; reviews decorates product pages; mailer and invoicer work in the background.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import base  # type: ignore[import-not-found]
import redis
from base import LOG, METRICS, Database, Fault, Settings, call

T = TypeVar("T")
DATA = Path("/var/lib/shop")
AUDIT = Path("/var/log/shop/audit.log")
HELD: list[bytes] = []


def sign(user: str, secret: str) -> str:
    """A token that says who it is for and when it was issued."""
    claims = base64.urlsafe_b64encode(json.dumps({"user": user, "issued": time.time()}).encode()).decode()
    return f"{claims}.{hmac.new(secret.encode(), claims.encode(), hashlib.sha256).hexdigest()}"


def claims_of(token: str, secret: str) -> dict[str, Any]:
    """What a token claims. Raises Fault 401 where it is forged, too old, or issued in the future."""
    claims, _, signature = token.partition(".")
    if not hmac.compare_digest(
        signature, hmac.new(secret.encode(), claims.encode(), hashlib.sha256).hexdigest()
    ):
        raise Fault(401, "the token's signature does not match")
    values: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims))
    age = time.time() - values["issued"]
    if age < -5:
        raise Fault(401, f"the token is not valid yet: it was issued {-age:.0f} s in the future")
    if age > 3600:
        raise Fault(401, f"the token has expired: it was issued {age:.0f} s ago")
    return values


class Store:
    """Redis, each call counted."""

    def __init__(self, settings: Settings) -> None:
        timeout = float(settings.get("redis_timeout", 2))
        self._redis = redis.Redis(
            settings.get("redis", "127.0.0.1"), int(settings.get("redis_port", 6379)),
            socket_timeout=timeout, socket_connect_timeout=timeout, decode_responses=True,
        )  # fmt: skip

    def run(self, work: Callable[[redis.Redis], T]) -> T:
        began = time.monotonic()
        try:
            return work(self._redis)
        except redis.RedisError as error:
            METRICS.add("dependency_errors_total", dependency="redis", reason=type(error).__name__)
            raise
        finally:
            METRICS.spent("redis", began)


class Shop:
    def __init__(self, settings: Settings) -> None:
        self.settings, self.store, self.database = settings, Store(settings), Database(settings)
        self._images = 0
        self.routes: dict[str, base.Handler] = {
            "products": self.product, "search": self.search, "cart": self.cart, "checkout": self.checkout,
            "login": self.login, "images": self.image, "healthz": self.health,
        }  # fmt: skip

    def product(self, number: str, fields: dict[str, str]) -> Any:
        stored = self.store.run(lambda client: client.get(f"product:{number}"))
        METRICS.add("cache_requests_total", result="hit" if stored else "miss")
        if stored is None:
            with self.database.cursor() as cursor:
                cursor.execute("SELECT name, price FROM products WHERE id = %s", (number,))
                stored = json.dumps(cursor.fetchone(), default=str)
            self.store.run(lambda client: client.set(f"product:{number}", str(stored), ex=600))
        if int(number) % 7 == 0 and "reviews" in self.settings["urls"]:
            try:
                call("reviews", f"{self.settings['urls']['reviews']}/reviews/{number}", 2.0)
            except Fault as fault:
                LOG.warning("product page without reviews: %s", fault)
        return json.loads(stored)

    def search(self, _: str, fields: dict[str, str]) -> Any:
        with self.database.cursor() as cursor:
            sold = "(SELECT COUNT(*) FROM sales WHERE product = products.id)"
            cursor.execute(f"SELECT id, name, {sold} FROM products WHERE maker = %s", (fields["maker"],))
            return cursor.fetchall()

    def cart(self, session: str, fields: dict[str, str]) -> Any:
        def put(client: redis.Redis) -> None:
            client.rpush(f"cart:{session}", fields["body"])
            client.expire(f"cart:{session}", 1800)

        self.store.run(put)
        return "stored"

    def login(self, _: str, fields: dict[str, str]) -> Any:
        try:
            return call("auth", f"{self.settings['urls']['auth']}/login", 3.0, fields["body"].encode())
        except Fault as fault:
            if "answered 403" in str(fault):
                raise Fault(403, "wrong password") from None
            raise

    def checkout(self, session: str, fields: dict[str, str]) -> Any:
        urls, timeout = self.settings["urls"], float(self.settings["timeout"])
        buyer = claims_of(fields["token"], Path("/etc/shop/token.secret").read_text())["user"]
        if "stock" in urls:
            call("stock", f"{urls['stock']}/reserve/{random.randint(1, 40)}", timeout, b"")
        if "payments" in urls:
            call("payments", f"{urls['payments']}/charge?order={session}", timeout, b"")
        with self.database.cursor() as cursor:
            cursor.execute("INSERT INTO orders (buyer, session) VALUES (%s, %s)", (buyer, session))
            order = cursor.lastrowid
        mail = json.dumps({"order": order, "to": buyer, "total": random.randint(5, 400)})
        self.store.run(lambda client: client.rpush("mails", mail))
        with AUDIT.open("a") as file:
            file.write(f"{time.time():.3f} order {order} by {buyer}\n")
        METRICS.add("orders_total")
        return order

    def image(self, _: str, fields: dict[str, str]) -> Any:
        self._images = (self._images + 1) % 30
        (DATA / "images" / f"{self._images}.jpg").write_bytes(fields["body"].encode("latin-1"))
        return "stored"

    def health(self, _: str, fields: dict[str, str]) -> Any:
        self.store.run(lambda client: client.ping())
        return "Welcome to the shop"


class Auth:
    def __init__(self, settings: Settings) -> None:
        self.routes: dict[str, base.Handler] = {"login": self.login}

    def login(self, _: str, fields: dict[str, str]) -> Any:
        given = dict(urllib.parse.parse_qsl(fields["body"]))
        if given.get("password") != "correct horse":
            raise Fault(403, f"wrong password for {given.get('user')}")
        token = sign(given["user"], Path("/etc/shop/token.secret").read_text())
        (DATA / "sessions" / hashlib.sha256(token.encode()).hexdigest()[:24]).write_text(given["user"])
        return token


class Stock:
    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings)
        self.routes: dict[str, base.Handler] = {"reserve": self.reserve}

    def reserve(self, number: str, fields: dict[str, str]) -> Any:
        with self.database.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute("SELECT amount FROM stock WHERE id = %s FOR UPDATE", (number,))
            (amount,) = cursor.fetchone()
            cursor.execute("UPDATE stock SET amount = amount - 1 WHERE id = %s", (number,))
            cursor.execute("COMMIT")
        return int(amount)


class Payments:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.routes: dict[str, base.Handler] = {"charge": self.charge}

    def charge(self, _: str, fields: dict[str, str]) -> Any:
        key = Path("/etc/shop/psp.key").read_text().strip()
        url = f"{self.settings['psp']}/v1/charges?order={fields['order']}"
        try:
            return call("psp", url, float(self.settings["timeout"]), b"", key)
        except Fault as fault:
            if "answered 503" not in str(fault):
                raise
            LOG.warning("charge %s is tried again: %s", fields["order"], fault)
            return call("psp", url, float(self.settings["timeout"]), b"", key)


class Reviews:
    def __init__(self, settings: Settings) -> None:
        self._count = 0
        self.routes: dict[str, base.Handler] = {"reviews": self.reviews}

    def reviews(self, number: str, fields: dict[str, str]) -> Any:
        self._count += 1
        if self._count % 9 == 0:
            raise Fault(503, "the index is being compacted")
        if self._count % 23 == 1:
            LOG.warning("render_v1 is deprecated and will be removed in version 12, use render_v2")
        time.sleep(0.01)
        return [f"{number} is fine"]


class Mailer:
    """Sends what waits in the queue `mails`; for the recording, a mail is a file."""

    def __init__(self, settings: Settings) -> None:
        self.store, self.routes = Store(settings), dict[str, base.Handler]()
        METRICS.gauge("queue_length", self._length)
        threading.Thread(target=self.work, daemon=True).start()

    def _length(self) -> float:
        try:
            return float(self.store.run(lambda client: client.llen("mails")))
        except redis.RedisError:
            return float("nan")

    def work(self) -> None:
        while True:
            try:
                taken: Any = self.store.run(lambda client: client.blpop(["mails"], timeout=1))
            except redis.RedisError as error:
                LOG.error("cannot take a mail from the queue: %s", error)
                time.sleep(1)
                continue
            if taken:
                self.send(json.loads(taken[1]))

    def send(self, mail: dict[str, Any]) -> None:
        amount = f"{int(mail['total']):,}"
        (DATA / "mails" / f"{mail['order'] % 200}.eml").write_text(
            f"To: {mail['to']}\n\nThank you: {amount}\n"
        )
        time.sleep(0.02)
        METRICS.add("mails_sent_total")


class Invoicer:
    """Renders an invoice each second, and removes those that were fetched."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.routes = settings, dict[str, base.Handler]()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        folder = DATA / "invoices"
        for number in range(10**9):
            try:
                with (folder / f"{number}.pdf").open("wb") as file:
                    METRICS.add("invoice_bytes_total", file.write(os.urandom(int(self.settings["bytes"]))))
            except OSError as error:
                LOG.error("invoice %d was not written: %s", number, error)
            if number >= int(self.settings["retained"]):
                (folder / f"{number - int(self.settings['retained'])}.pdf").unlink(missing_ok=True)
            time.sleep(float(self.settings["pause"]))


ROLES: dict[str, Callable[[Settings], Any]] = {
    "shop": Shop, "auth": Auth, "stock": Stock, "payments": Payments, "reviews": Reviews, "mailer": Mailer,
    "invoicer": Invoicer,
}  # fmt: skip


def main() -> None:
    name = sys.argv[1]
    settings = base.set_up(name)
    base.serve(settings, ROLES[name.rstrip("0123456789")](settings).routes)


if __name__ == "__main__":
    main()
