"""Secrets with a form of their own: keys, tokens and hashes of passwords, as their makers write them."""

from __future__ import annotations

from techsapo_ops.wallbounce.masking_rule import rule
from techsapo_ops.wallbounce.secret_values import strong

FORMS = (
    # The body only, so that BEGIN and END still tell what it was; cut off half way, too.
    rule(
        "PRIVATE_KEY",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s){0,8}"
        r"([^\s\\](?:(?!-----)[\s\S]){0,20000}?)(?:\\n|\s){0,8}-----END",
        None,
        "private",
    ),
    rule(
        "PRIVATE_KEY",
        # Cut off: the lines that follow, as long as they look like it.
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s){0,8}"
        r"((?:(?:[A-Za-z-]{2,20}: [^\n]{1,80}|[A-Za-z0-9+/=]{16,120})(?:\\n"
        r"|\s){1,8}){0,800}(?:[A-Za-z0-9+/=]{16,4096}|(?<=\n)[A-Za-z0-9+/=]{1,16}$)?)",
        None,
        "private",
    ),
    rule(
        "PRIVATE_KEY",
        # DER and OpenSSH's form in base64, without their first line
        r"(?<![\w+/])((?:MII[A-Z][A-Za-z0-9+/]{2}IB(?:AAK|ADAN)|MII[A-Z][A-Za-z0-9+/]{2}ADANBgk|MHcCAQEE"
        r"|MI[GH][A-Z0-9]AgE[AB]|MC4CAQAw|b3BlbnNzaC1rZXktdjE)[A-Za-z0-9+/=]{8,20000})",
        None,
        "mii mhccaqee mig mih mc4caqaw b3blbnnzac1rzxktdje",
    ),
    rule(
        "PRIVATE_KEY",
        # A PEM file in base64, as Kubernetes keeps it
        r"(LS0tLS1CRUdJTi(?:BQUklW|BSU0Eg|BFQyBQ|BPUEVO|BFTkNS|BEU0Eg)[A-Za-z0-9+/=]{8,20000})",
        None,
        "ls0tls1crudjti",
    ),
    rule("PRIVATE_KEY", r"(?i)private-(?:lines|mac):[ \t]{0,3}([0-9a-f]{16,128})", None, "private-"),
    rule("PRIVATE_KEY", r"(AGE-SECRET-KEY-1[A-Z0-9]{30,80})", None, "age-secret-key"),
    rule(
        "TOKEN",
        r"(?<![\w-])(eyJ[\w-]{8,8192}\.[\w-]{4,8192}(?:\.[\w-]{0,8192}){0,3}|eyJrIjoi[\w=-]{20,400})",
        None,
        "eyj",
    ),
    rule(
        "API_KEY",
        r"(?<![\w-])(tsk_[0-9a-f]{12}_[\w-]{43}|sk-(?:ant-|or-|proj-|svcacct-)?[\w-]{16,300}|AIza[\w-]{30,60}"
        r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?!\w)|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}"
        r"|gl(?:pat|rt|dt|ptt|cbt|ft|soat)-[\w.-]{16,300}|xox[abeoprs]-[\w-]{10,300}|xapp-[\w-]{10,300}"
        r"|hf_[A-Za-z0-9]{30,60}|pypi-[\w-]{40,400}|[sr]k_(?:live|test)_"
        r"[A-Za-z0-9]{10,200}|whsec_[\w+/=]{16,100}"
        r"|SG\.[\w-]{16,100}\.[\w-]{16,100}|hv[sbr]\.[\w-]{16,300}|ya29\.[\w-]{20,400}|1//0[\w-]{20,200}"
        r"|GOCSPX-[\w-]{16,60}|do[opr]_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|npm_[A-Za-z0-9]{36}"
        r"|dckr_(?:pat|oat)_[\w-]{20,100}|lin_api_\w{20,60}|AT[AC]TT3[\w=-]{20,400}|sq0[a-z]{3}-[\w-]{22,60}"
        r"|NRAK-[A-Z0-9]{27}|gl(?:sa|c)_[\w=]{30,400}|PMAK-[0-9a-f-]{50,70}|sntrys_[\w+/=]{20,400}"
        r"|gsk_[A-Za-z0-9]{40,60}|r8_[A-Za-z0-9]{30,50}|pplx-[0-9a-zA-Z]{40,60}|xai-[\w]{60,100}"
        r"|tskey-[a-z]{3,12}-[\w-]{16,100}|dapi[0-9a-f]{32}|LTAI[A-Za-z0-9]{12,24}|key-[0-9a-f]{32}"
        r"|[0-9a-f]{32}-us\d{1,2}(?!\w)|SK[0-9a-f]{32}(?!\w)|\d{8,10}:AA[\w-]{33}(?!\w)"
        r"|(?:atlasv1|[A-Za-z0-9]{14}\.atlasv1)\.[\w-]{20,100})",
        None,
    ),
    rule(
        "WEBHOOK",
        r"(https://(?:hooks\.slack\.com|(?:\w{1,20}\.)?discord(?:app)?\.com/api/webhooks|"
        r"[\w.-]{1,80}\.webhook\.office\.com"
        r"|outlook\.office\.com/webhook|chat\.googleapis\.com/v1/spaces|"
        r"[\w.-]{1,80}\.logic\.azure\.com)/[^\s\"'<>]{1,1000})",
        None,
        "https://",
    ),
    # Hashes of passwords: a weak password is found from its hash.
    rule(
        "PASSWORD_HASH",
        r"((?<![\w$])\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|sha1|md5|argon2(?:id|i|d)|scrypt"
        r"|pbkdf2[\w-]{0,16}|bcrypt-sha256|P|H|8|9)"
        r"\$[./A-Za-z0-9$,=+-]{8,400})",
        None,
        "$",
    ),
    rule(
        "PASSWORD_HASH", r"((?:pbkdf2_sha(?:1|256|512)|scrypt|bcrypt_sha256)\$[\w./+=$-]{16,400})", None, "$"
    ),
    rule(
        "PASSWORD_HASH",
        r"(?i)(\{(?:S?SHA\d{0,3}|S?MD5|CRYPT|PBKDF2[\w-]{0,10}|ARGON2)\}[\w./+=$,-]{8,400})",
        None,
        "{",
    ),
    rule("PASSWORD_HASH", r"(SCRAM-SHA-\d{1,3}\$[\w./+=$:]{30,400})", None, "scram-sha"),
    rule("PASSWORD_HASH", r"(?<![\w*])(\*[0-9A-F]{40})(?![0-9A-Fa-f])", None, "*"),
    rule("PASSWORD_HASH", r"(?<![0-9a-f])([0-9a-f]{32}:[0-9a-f]{32}:::)", None, ":::"),
    rule("PASSWORD_HASH", r"(?<![\w])(md5[0-9a-f]{32})(?!\w)(?=['\"])", None, "md5"),
    rule(
        "PASSWORD_HASH",
        r"(?m)^[\w.@-]{1,64}:([./A-Za-z0-9]{13})$",
        lambda v: strong(v) and v.lower() != v,
        ":",
    ),
)
