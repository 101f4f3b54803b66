from __future__ import annotations

import re
from pathlib import Path

import pytest
from rows import each_row
from stacks import HOSTILE_FOLDER, THREE_INSTANCES, host, spec, templates, topology

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.apply.steps import RETURN_SECONDS
from techsapo_ops.errors import OpsError
from techsapo_ops.services.nginx.site import nginx_files, quote
from techsapo_ops.spec.models.servers import STAGING_DIRECTORY


def conf(directory: Path, engine: str = "native", facts: HostFacts | None = None, **sections: object) -> str:
    wanted = spec(**sections)
    (file,) = nginx_files(topology(wanted, directory, engine, facts), templates())
    return file.content


def block(text: str, head: str) -> str:
    """The text of the first `head { … }` block."""
    start = text.index(head)
    depth = 0
    for offset, character in enumerate(text[start:], start):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "}" and depth == 0:
            return text[start : offset + 1]
    raise AssertionError(f"{head} is not closed")


def test_the_upstream_holds_the_guides_three_lines_in_their_order(tmp_path: Path) -> None:
    upstream = block(conf(tmp_path, app=THREE_INSTANCES), "upstream techsapo_backend")
    servers = [line.strip() for line in upstream.splitlines() if line.strip().startswith("server ")]
    passed_over = f"fail_timeout={RETURN_SECONDS - 1.5:g}s;"  # waited for by a rolling restart
    assert [server.removesuffix(f" max_fails=1 {passed_over}") for server in servers] == [
        "server 127.0.0.1:4000 weight=3",
        "server 127.0.0.1:4001 weight=2",
        "server 127.0.0.1:4002 weight=1 backup",
    ]


def test_a_stack_with_one_instance_and_no_certificate_has_no_nginx(tmp_path: Path) -> None:
    wanted = spec()
    assert not topology(wanted, tmp_path).has("nginx")


def test_a_known_server_name_stands_in_the_redirect_and_443_needs_no_port(tmp_path: Path) -> None:
    text = conf(
        tmp_path,
        certificates={"site": {"names": ["a.example.com"]}},
        nginx={"server_name": "a.example.com", "tls_listen": 443, "listen": 80},
    )
    assert "return 308 https://a.example.com$request_uri;" in text


HSTS = re.compile(r'Strict-Transport-Security "([^"]*)" always')
ACME = {"source": "acme", "names": ["ops.example.com"]}
FILES = {"source": "files", "certificate_file": "c", "private_key_file": "k"}


@each_row(
    "certificate, nginx, expected",
    [
        (ACME, {}, "max-age=2592000"),
        ({**FILES, "names": ["ops.example.com"]}, {}, "max-age=2592000"),
        (FILES, {"server_name": "ops.example.com"}, "max-age=2592000"),
        (ACME, {"hsts": True}, "max-age=63072000"),
        ({"names": ["ops.example.com"]}, {"hsts": True}, "max-age=63072000"),
        (ACME, {"hsts": False}, "max-age=0"),
        (FILES, {}, None),
        ({"names": ["ops.example.com"]}, {}, None),
        ({**ACME, "directory": STAGING_DIRECTORY}, {}, None),
        ({**ACME, "ca_file": "ca.pem"}, {}, None),
        ({**ACME, "names": ["ops.example.com", "nas.lan"]}, {}, None),
        ({**ACME, "names": ["localhost"]}, {}, None),
        ({**ACME, "names": ["a.local"]}, {}, None),
        ({**ACME, "names": ["a.home.arpa"]}, {}, None),
        ({**ACME, "names": ["192.0.2.7"]}, {}, None),
        (ACME, {"server_name": "ops.internal"}, None),
    ],
)
def test_hsts_is_sent_by_default_where_browsers_can_keep_to_it(
    tmp_path: Path, certificate: dict[str, object], nginx: dict[str, object], expected: str | None
) -> None:
    sections: dict[str, object] = {"certificates": {"site": certificate}, "nginx": nginx}
    (*sent,) = HSTS.findall(conf(tmp_path, **sections))
    assert sent == ([] if expected is None else [expected])


def test_status_is_for_this_host_alone(tmp_path: Path) -> None:
    status = block(conf(tmp_path, app=THREE_INSTANCES), "location = /nginx-status")
    allowed = [line.strip() for line in status.splitlines() if "allow" in line or "deny" in line]
    assert allowed == ["allow 127.0.0.1;", "allow ::1;", "deny all;"]


def test_an_nginx_on_one_address_of_this_host_lets_that_address_see_its_status(tmp_path: Path) -> None:
    text = conf(tmp_path, app=THREE_INSTANCES, nginx={"host": "192.0.2.7"})
    assert "allow 192.0.2.7;" in block(text, "location = /nginx-status")


@each_row(
    "address, listen",
    [("::1", "[::1]:8080"), ("::", "[::]:8080 ipv6only=off"), ("localhost", "127.0.0.1:8080")],
)
def test_listen_addresses_are_written_as_nginx_takes_them(tmp_path: Path, address: str, listen: str) -> None:
    text = conf(tmp_path, app=THREE_INSTANCES, nginx={"host": address})
    assert f"listen {listen} default_server;" in text


def test_workers_of_root_drop_to_the_service_user_or_stay_root_where_it_can_not_reach_the_state(
    tmp_path: Path,
) -> None:
    able = host(root=True, users=frozenset({"www-data"}))
    assert "user www-data;" in conf(tmp_path, facts=able, app=THREE_INSTANCES)
    assert "user root;" in conf(tmp_path, facts=host(root=True), app=THREE_INSTANCES)
    assert "\nuser " not in conf(tmp_path, app=THREE_INSTANCES)


def test_the_projects_path_is_not_in_the_file(tmp_path: Path) -> None:
    sections = {"app": THREE_INSTANCES, "certificates": {"site": {}}}
    assert conf(tmp_path / HOSTILE_FOLDER, **sections) == conf(Path("/srv/plain"), **sections)


def test_a_certificate_folder_that_nginx_can_not_be_given_is_refused() -> None:
    assert quote('a "b" \\c') == '"a \\"b\\" \\\\c"'
    with pytest.raises(OpsError, match="nginx can't use the path"):
        quote("/srv/$HOME/certs")


SIGN_IN = {"auth": {"required": True, "sign_in": {"address": "http://127.0.0.1:4180", "secret": "s" * 32}}}


@each_row("certificates", [{}, {"site": {"names": ["a.example.com"]}}])
def test_a_key_stands_for_a_sign_in_only_in_places_where_the_app_checks_keys(
    tmp_path: Path, certificates: dict[str, object]
) -> None:
    wanted = spec(app={**THREE_INSTANCES, **SIGN_IN}, certificates=certificates)
    files = {f.path: f.content for f in nginx_files(topology(wanted, tmp_path), templates())}
    text = files["nginx/nginx.conf"]
    asked = dict(
        re.findall(
            r"\n        location ([^{]+) \{(?:(?!\n        \}).)*?auth_request (\S+);", text, re.DOTALL
        )
    )
    by_key = {place for place, asks in asked.items() if asks == "/oauth2/auth-or-key"}
    assert asked["/"] == "/oauth2/auth"
    assert by_key <= {
        "= /api/v1/generate", "= /api/v1/analyze-logs", "= /v1/chat/completions", "@techsapo_again",
        "@techsapo_once", "~ ^/api/v1/(.+/)?stream$", "~ ^/(api|v1|ws|metrics)(/|$)", "^~ /ws/",
    }  # fmt: skip
    assert "~ ^/(api|v1|ws|metrics)(/|$)" in by_key
    # The first regular expression that matches counts: streams are not buffered.
    assert text.index("~ ^/api/v1/(.+/)?stream$") < text.index("location ~ ^/(api|v1|ws|metrics)")
    plain = text[: text.index("ssl_protocols")] if certificates else text
    assert block(plain, "location = /nginx-sign-in").count("deny all;") == 1
