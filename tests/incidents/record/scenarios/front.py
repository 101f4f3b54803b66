"""What customers reach first: nginx, certificates, names."""

from __future__ import annotations

import signal

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import World

_TLS = {"https://shop.example/healthz": "http"}


@scenario(
    "nginx-out-of-connections",
    alert="ProbeFailing",
    service="nginx",
    services=("reviews", "mailer"),
    nginx={"worker_connections": 64},
    cause="A client holds dozens of unfinished requests open, and nginx has only 64 worker_connections.",
    chain=(
        "the recording opened 90 connections that send half a header and wait",
        "nginx has no connection left: 64 worker_connections are not enough",
        "customers and the probe are dropped",
    ),
    decisive=(("logs", ("worker_connections are not enough",)),),
    distractors=("the shop itself is idle and healthy",),
)
def connections(world: World) -> None:
    servers.outside(world, "crawler", "idle", "shop.example", "90")


@scenario(
    "certificate-ended",
    alert="ProbeFailing",
    service="nginx",
    services=("stock", "reviews", "mailer"),
    probes=_TLS,
    https=True,
    cause="The certificate of shop.example ended, since its renewal job has failed.",
    chain=(
        "the recording began with a certificate that ends within minutes, and ran a renewal job without its account's key",
        "the job fails, so the certificate ends",
        "clients refuse the front: certificate has expired",
    ),
    decisive=(("logs", ("certificate has expired",)),),
    distractors=("the shop answers from inside", "the renewal of another certificate went well"),
    prepare=lambda world: (
        servers.certificate("/etc/shop/front", "shop.example", "www.shop.example", ends_in=125),
        world.signal("nginx", signal.SIGHUP),
    ),
)
def ended(world: World) -> None:
    world.job(
        "renew-certificates",
        "sh",
        "-c",
        "cat /etc/shop/acme-account.key || { echo 'ERROR no account key'; exit 1; }",
        service="nginx",
    )


@scenario(
    "certificate-for-another-name",
    alert="ProbeFailing",
    service="nginx",
    services=("payments", "reviews", "mailer"),
    probes=_TLS,
    https=True,
    cause="The renewed certificate of the front is for www.shop.example alone and lacks shop.example.",
    chain=(
        "the recording renewed the certificate with one of its two names",
        "clients of shop.example refuse it: valid for www.shop.example, not shop.example",
        "the probe and customers fail",
    ),
    decisive=(("logs", ("certificate is valid for www.shop.example",)),),
    distractors=("the certificate is new and far from its end", "the shop answers from inside"),
)
def wrong_name(world: World) -> None:
    servers.certificate("/etc/shop/front", "www.shop.example")
    world.signal("nginx", signal.SIGHUP)
    world.change("certificate", "renewed the certificate /etc/shop/front.pem", "nginx")


@scenario(
    "front-misrouted-by-an-apply",
    alert="ProbeFailing",
    service="nginx",
    cause="An apply pointed nginx's upstream to port 8084, where reviews listens and not the shop.",
    chain=(
        "the recording changed the upstream's port in /etc/nginx/conf.d/shop.conf and reloaded nginx",
        "requests of customers arrive at reviews, which knows none of their paths",
        "the probe gets 404",
    ),
    decisive=(("changes", ("server 127.0.0.1:8084",)),),
    distractors=("reviews answers many requests with 404", "the shop is up and gets no traffic"),
)
def misrouted(world: World) -> None:
    world.rewrite(
        "/etc/nginx/conf.d/shop.conf", lambda text: text.replace("127.0.0.1:8080", "127.0.0.1:8084"), "nginx"
    )
    world.signal("nginx", signal.SIGHUP)


@scenario(
    "reload-refused-for-a-typo",
    alert="ProbeFailing",
    service="nginx",
    services=("reviews", "mailer"),
    cause="The shop moved to port 8090, but nginx refused its new configuration for a typo and still uses the old port.",
    chain=(
        "the recording changed nginx's upstream with a misspelt directive, reloaded it, and moved the shop to port 8090",
        "nginx refuses the file and goes on with the old one: unknown directive",
        "requests go to port 8080, where nothing listens",
    ),
    decisive=(("logs", ('unknown directive "proxy_pas"',)),),
    distractors=("the shop was deployed and runs", "nginx logs connection refused for each request"),
)
def typo(world: World) -> None:
    def change(text: str) -> str:
        return text.replace("127.0.0.1:8080", "127.0.0.1:8090").replace("proxy_pass http", "proxy_pas http")

    world.rewrite("/etc/nginx/conf.d/shop.conf", change, "nginx")
    world.signal("nginx", signal.SIGHUP)
    world.rewrite("/etc/shop/shop.toml", lambda text: text.replace("port = 8080", "port = 8090"), "shop")
    world.deploy("shop", "v42")


@scenario(
    "resolver-does-not-answer",
    alert="CheckoutFailing",
    service="payments",
    probes={"http://shop.example/healthz": "http", "https://api.psp.example/": "reach"},
    cause="The first resolver of the host does not answer, so each look-up of an outside name waits two seconds for the second one.",
    chain=(
        "the recording stopped the resolver at 127.0.0.53 with SIGSTOP",
        "the C library waits two seconds before it asks the next one",
        "payments takes four seconds for a charge, of which the provider needs a tenth of one",
        "the shop gives up after three seconds",
    ),
    decisive=(
        ("logs", ("looking up the name api.psp.example",)),
        ("metrics", ("dependency_lookup_seconds_total",)),
    ),
    distractors=("the shop says that payments does not answer", "the provider looks slow"),
)
def resolver(world: World) -> None:
    world.signal("dns1", signal.SIGSTOP)
