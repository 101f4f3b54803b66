"""What can be a secret's value, and what only stands where one would: a word, a variable, a path."""

from __future__ import annotations

import base64
import binascii
import re

_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]{2,15}_\d{1,6}\]")

_TEXT = """
a absent accepted access account add added admin_only again algorithm all allowed already also always an and
any argon2 argon2i argon2id argument as ascii at attempts auth authentication authorization available bad
base64 basic bcrypt be bearer because before begin between binary blank both but by can cannot chain change
changed changes changing characters check checks client combination command complexity config configuration
configured contains correct could count created credential credentials crypt data database default defined
deleted denied deprecated detected did different directive disabled do does doesn dont each empty empty.
enabled encoding encrypted encryption end enter entry env environ environment error errors exchange exists
expected expiration expire expired expired. expires expiry extension fail failed fails failure false field
file files flow for format found from generated generation generator given grant group had handling has hash
hashed have header here hex hidden hint history host how http https if ignored illegal in in-memory include
incorrect incorrect. initial input integer interval into invalid invalid. is issued issuer it its json jwt
kerberos key keyring keys known last ldap length less letters lifetime limit line list loaded locked login
long lookup lost manager mandatory manually masked match matches maximum may md5 mechanism method might min
minimum mismatch missing mode must name names needed never new next nil no none not null number oauth oauth2
of off oidc ok okay old omit omitted on only opaque openid option optional options or our out output pam
parameter parse parser pass passed password passwords path pbkdf2 permission permissions phrase plain
plaintext please policy position present previous prompt prompts property protected provided provider public
read reading redacted refresh refused rejected related removed request requested require required required.
requires reset restart result retrieved retry revoked root rotate rotated rotation rules same same-origin
saml saved script scrypt secret secrets section security see sent server service session set setting
settings sha shall should shown size skipped so some special specified ssh ssl state stdin stored string
strong success successful such sudo supplied support supported sync syntax system text than that the their
then there these they this those timeout tls to token tokens too true type types unable unauthorized
undefined under unexpected unknown unset unspecified until up update updated updates use used user username
users using utf-8 utf8 valid validated validation value values variable vault vaults verification verified
verify version via warning was we weak were what when where which while who will with within without would
wrong wrong. yaml yes yescrypt you your yourself
"""
_WORDS = frozenset(_TEXT.split())
_NOT_A_VALUE = re.compile(
    r"""(?ix)
    [$%][\w{(].*                    # $VAR, ${VAR}, $(command), %VAR%, %s
    | [\{<(\[].*                    # {{ template }}, <password>, (empty), [redacted]
    | [!:]\w.*                      # !vault, !Ref, token::get
    | [*xX•・.…_#-]{2,}             # *****, xxxx, …
    | (?:~|\.{1,2})?/(?!/)[\w.@~+-]+(?:/.*)?   # a path
    | [a-z]:\\.*
    | (?-i:[a-z_][a-z\d_.-]*(?:/[a-z_][a-z\d_.-]*)+\#?[a-z_]*)   # secret/data/app, projects/x/secrets/y
    | (?:var|local|data|module|self|this|os|process|env|config|settings|req|request|params|args|opts|options
        |secrets|vault|each|inputs|github|values|ctx|context|app|cfg|conf)(?:\.|\[).*
    | [a-z_]\w*(?:\.\w+)*\(.*       # a call
    | (?:arn|vault|ssm|sm|op|awssm|gcpsm|azkv|keyvault|file|env|docker|secretref|valuefrom|https?)[:].*
    | (?:enc|vault)\[.*
    | (?:sha|md|aes|rsa|hmac|scram|rs|hs|es|ps|utf|base|argon|ed|ecdsa|tls|ssl|oauth|x)[-_]?\d{1,4}
        (?:[-_/](?:sha|gcm|cbc|hashed|encoded|\d)\w*){0,3}
    | sha256:[\w+/=]*
    | (?:\d+:)?\d+(?:\.\d+){1,4}[\w.+~:-]*   # a version
    | your[-_ ]?\w*
    | [-+]?\d{1,3}(?:[.,]\d+)?[%a-z]{0,2}
    """
)
_IDENTIFIERS = re.compile(r"[a-z_]+(?:\.[a-z_]+)+|[a-z]+(?:[-_][a-z]+){1,6}", re.IGNORECASE)
_MARK = re.compile(r"[^\w.,:;/-]|_")


def placeholder_in(value: str) -> bool:
    """Whether `value` holds what masking puts in a secret's place."""
    return _PLACEHOLDER.search(value) is not None


def possible(value: str) -> bool:
    """Whether a value that stands where a secret belongs can be one: no word, variable, path or call."""
    word = value.strip(".,:;!?)]}。、").casefold()
    if not word or word in _WORDS or placeholder_in(value):
        return False
    return len(value) > 1 and not _NOT_A_VALUE.fullmatch(value)


def strong(value: str) -> bool:
    """Whether `value` looks like a secret by itself: not like a word, a number, a name or an identifier."""
    bare = value.strip(".,:;!?。、*_")
    if len(bare) < 5 or not possible(bare) or _IDENTIFIERS.fullmatch(bare):
        return False
    lower, upper = any(c.islower() for c in bare), any(c.isupper() for c in bare)
    digit, mark = any(c.isdigit() for c in bare), _MARK.search(bare) is not None
    if (lower or upper) and (digit or mark):
        return True
    return lower and upper and not bare.istitle() and not re.fullmatch(r"(?:[A-Z]?[a-z]+){1,4}", bare)


def digits_or_strong(value: str) -> bool:
    """Whether `value` is `strong`, or a number long enough for one."""
    return strong(value) or (value.isdecimal() and len(value) >= 4)


def long_random(value: str) -> bool:
    """Whether `value` is made by a machine: 16 characters and more, of letters and digits."""
    return len(value) >= 16 and strong(value) and any(c.isdigit() for c in value)


def basic_login(value: str) -> bool:
    """Whether `value` is base64 of `user:password`."""
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in decoded and all(32 <= byte < 127 or byte >= 0x80 for byte in decoded)


def in_a_sentence(value: str) -> bool:
    """Whether a sentence's word is a secret: no assignment, path or variable."""
    bare = value.strip(".,:;!?。、*_")
    if value[0] in "-*" or any(mark in value for mark in "=/$(<`|") or not strong(bare):
        return False
    if re.search(r"[!@#%^&*+~?]", bare):
        return True
    return (
        re.fullmatch(r"(?=.*[a-z])(?=.*\d)[A-Za-z0-9]{6,}|(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[\w-]{8,}", bare)
        is not None
    )


def mixed_case(value: str) -> bool:
    """Whether `value` is `strong` and has capitals, as a hash of crypt(3) does."""
    return strong(value) and value.lower() != value


def credential(value: str) -> bool:
    """Whether `value` can be what an Authorization header holds: `strong`, or long."""
    return strong(value) or (len(value) >= 12 and possible(value))


def long_or_strong(value: str) -> bool:
    """Whether `value` can be the key of a router: of 6 characters and more, or `digits_or_strong`."""
    return (possible(value) and len(value) >= 6) or digits_or_strong(value)


def strong_word(value: str) -> bool:
    """Whether `value` is `strong`, and neither an assignment nor a path."""
    return strong(value) and "=" not in value and "/" not in value


def possible_password(value: str) -> bool:
    """Whether the part behind the last colon of `user:password` is `possible`."""
    return possible(value.rpartition(":")[2])


def no_mechanism(value: str) -> bool:
    """Whether `value` is `possible`, and no mechanism of SASL, which follows AUTH in SMTP."""
    if value in {"LOGIN", "PLAIN", "XOAUTH2", "NTLM", "GSSAPI", "TLS"}:
        return False
    return possible(value) and not value.startswith(("CRAM", "DIGEST", "SCRAM"))
