"""Calls between services and to outside: keys, rates, limits of time, clocks."""

from __future__ import annotations

import signal

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import FAKETIME, PYTHON, World


@scenario(
    "payment-key-revoked",
    alert="CheckoutFailing",
    service="payments",
    cause="The payment provider revoked the shop's API key.",
    chain=(
        "the recording removed the key at the provider's stand-in",
        "the provider answers each charge with 401",
        "payments answers 502, and checkouts fail",
    ),
    decisive=(("logs", ("was revoked",)),),
    distractors=("the shop logs that payments failed", "the provider's occasional 503 is older"),
)
def revoked(world: World) -> None:
    servers.write_json("/etc/psp/psp.json", {"keys": ["key-of-the-shop-2"], "rate": 20, "seconds": 0.06})


@scenario(
    "provider-limits-the-rate",
    alert="CheckoutFailing",
    service="payments",
    cause="The job reconcile uses the shop's key to ask the provider for all orders and exhausts the rate it allows.",
    chain=(
        "the recording ran the job reconcile, which sends the provider dozens of requests a second with the same key",
        "the provider's stand-in answers 429 to both",
        "payments answers 502, and checkouts fail",
    ),
    decisive=(("logs", ("rate limit of",)), ("changes", ("reconcile",))),
    distractors=("the shop's own traffic is as always", "the shop logs that payments failed"),
    prepare=lambda world: servers.write_json(
        "/etc/psp/psp.json", {"keys": ["key-of-the-shop-1"], "rate": 8, "seconds": 0.06}
    ),
)
def rate(world: World) -> None:
    script = (
        "import http.client, ssl, threading, time\n"
        "def ask(n):\n"
        "    ends = time.time() + 50\n"
        "    while time.time() < ends:\n"
        "        c = http.client.HTTPSConnection('api.psp.example', timeout=9, context=ssl.create_default_context(cafile='/etc/shop/ca.pem'))\n"
        "        try:\n"
        "            c.request('POST', '/v1/charges?dry=1', b'', {'Authorization': 'Bearer key-of-the-shop-1'})\n"
        "            c.getresponse().read()\n"
        "        except OSError: pass\n"
        "        c.close()\n"
        "        time.sleep(0.12)\n"
        "threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]\n"
        "print('WARNING 3 orders without a charge')\n"
    )
    world.later(lambda: world.job("reconcile", PYTHON, "-c", script, service="payments", user="www-data"))


@scenario(
    "time-limit-made-too-short",
    alert="CheckoutFailing",
    service="shop",
    cause="An apply cut the shop's time limit for other services from 3 s to 0.05 s.",
    chain=(
        "the recording changed timeout in /etc/shop/shop.toml and had the shop read it",
        "the shop gives up on charges that take a tenth of a second, as they always do",
        "checkouts fail",
    ),
    decisive=(("changes", ("timeout = 0.05",)),),
    distractors=("the log says that payments does not answer", "payments logs clients that leave"),
)
def timeout(world: World) -> None:
    world.rewrite("/etc/shop/shop.toml", lambda text: text.replace("timeout = 3.0", "timeout = 0.05"), "shop")
    world.signal("shop", signal.SIGHUP)


@scenario(
    "clock-of-auth-is-ahead",
    alert="LoginsRefused",
    service="auth",
    services=("stock", "reviews", "mailer"),
    cause="The clock of auth is 90 seconds ahead, and the shop refuses its tokens as not valid yet.",
    chain=(
        "the recording restarted auth with a clock 90 s ahead (libfaketime)",
        "auth signs tokens that were issued in the future",
        "the shop refuses them with 401",
    ),
    decisive=(("logs", ("s in the future",)),),
    distractors=("bots that guess passwords get 403", "auth itself reports no errors"),
)
def clock(world: World) -> None:
    world.stop("auth")
    unit = world.units["auth"]
    unit.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+90s", "DONT_FAKE_MONOTONIC": "1"}
    world.start(unit)
    world.event("moved auth to its new container image", "auth")


@scenario(
    "provider-is-slow",
    alert="ShopSlow",
    service="payments",
    cause="The payment provider takes two seconds for a charge instead of a tenth of one.",
    chain=(
        "the recording made the provider's stand-in answer after some 1.9 s",
        "payments waits for it",
        "checkouts take two seconds and more",
    ),
    decisive=(("metrics", ('dependency_seconds_total{dependency="psp"',)),),
    distractors=("checkouts that time out name payments", "MariaDB and Redis answer as always"),
)
def slow(world: World) -> None:
    servers.write_json("/etc/psp/psp.json", {"keys": ["key-of-the-shop-1"], "rate": 20, "seconds": 1.8})


@scenario(
    "password-rotated-for-one-of-two",
    alert="CheckoutFailing",
    service="stock",
    cause="The database password was rotated, but stock still has the old one in its own file.",
    chain=(
        "the recording changed the password of the database user and the shop's file, and restarted both services",
        "stock reads /etc/shop/stock.password, which nobody changed: Access denied",
        "reservations and with them checkouts fail",
    ),
    decisive=(("logs", ("Access denied for user",)),),
    distractors=("the shop, restarted at the same time, works", "the deploy of stock looks guilty"),
    limits={"stock": {"settings": {"password_file": "/etc/shop/stock.password"}}},
)
def password(world: World) -> None:
    servers.sql("ALTER USER shop@'%' IDENTIFIED BY 'second-password'")
    world.set_secret("/etc/shop/database.password", "second-password")
    world.restart("shop")
    world.event("rotated the password of the database", "mariadb")
    world.deploy("stock", "v42")
