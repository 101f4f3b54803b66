"""Where secrets stand in SQL, and in lines of configuration that have neither `=` nor `:`."""

from __future__ import annotations

from techsapo_ops.wallbounce.masking_rule import VALUE, WORD_VALUE, Rule, rule
from techsapo_ops.wallbounce.secret_values import digits_or_strong, possible, strong

_Q = r"(?:'((?:[^'\n\\]|\\.){1,1024})'|\"((?:[^\"\n\\]|\\.){1,1024})\")"
_SQL = (
    rule("PASSWORD", r"(?i)\bpassword[ \t]{0,3}=[ \t]{0,3}N'((?:[^'\n]|''){1,256})'", None, "password"),
    rule(
        "PASSWORD",
        r"(?i)\b(?:connect|conn)[ \t]{1,3}\w{1,30}/\"?([^\s\"';@/]{2,128})(?=\"?(?:@|[ \t]" r"|$))",
        possible,
        "conn",
    ),
    rule("PASSWORD", r"(?i)jdbc:oracle:\w{1,8}:\w{1,30}/([^\s\"'@/]{2,128})@", None, "jdbc:oracle"),
    rule(
        "PASSWORD",
        r"(?i)\bsp_(?:addlogin|password)[ \t(]{1,3}N?'[^'\n]{1,64}',[ \t]{0,3}N?'(" r"[^'\n]{1,256})'",
        None,
        "sp_",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\bidentified[ \t]{{1,3}}(?:with[ \t]{{1,3}}[\w'\"`]{{1,64}}[ \t]{{1,3}}|via"
        rf"[ \t]{{1,3}}\w{{1,40}}[ \t]{{1,3}})?(?:by|as|using)[ \t]{{1,3}}(?:password"
        rf"[ \t(]{{0,3}})?{_Q}",
        None,
        "identified",
    ),
    rule(
        "PASSWORD",
        r"\bIDENTIFIED[ \t]{1,3}BY[ \t]{1,3}(?:VALUES[ \t]{1,3})?([^\s\"';,`]{3,256})",
        possible,
        "identified",
    ),
    rule(
        "PASSWORD",
        r"(?i)\b(?:create|alter)[ \t]{1,3}user\b[^\n;]{1,100}\bidentified[ \t]{1,3}by"
        r"[ \t]{1,3}([^\s\"';,`]{3,256})",
        possible,
        "identified",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:password|old_password|encrypt|aes_encrypt|aes_decrypt|des_encrypt"
        rf"|pgp_sym_(?:en|de)crypt)[ \t]{{0,3}}\((?:[^()'\"\n]{{1,100}},[ \t]{{0,3}})?{_Q}",
        None,
        "(",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:encrypted[ \t]{{1,3}}|unencrypted[ \t]{{1,3}})?password[ \t]{{1,3}}(?:="
        rf"[ \t]{{0,3}})?{_Q}",
        possible,
        "password",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\bset[ \t]{{1,3}}password[ \t]{{1,3}}(?:for[ \t]{{1,3}}[^=\n]{{1,200}})?="
        rf"[ \t]{{0,3}}(?:password[ \t(]{{1,3}})?{_Q}",
        None,
        "password",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:requirepass|masterauth|primaryauth|tls-key-file-pass)[\"']?"
        rf"[ \t,]{{1,3}}{WORD_VALUE}(?=[ \t]{{0,8}}(?:$|[#;\n]))",
        possible,
        "requirepass masterauth primaryauth",
    ).after(r"(?i)(?:^[\s#>$]{0,20}|set[ \t]+[\"']?|--|> ?)$"),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:requirepass|masterauth|primaryauth)[\"']?[ \t]{{1,3}}{WORD_VALUE}",
        strong,
        "requirepass masterauth primaryauth",
    ),
    rule(
        "PASSWORD",
        r"(?i)(?:\bsetuser\b|^user)[ \t][^\n]{0,300}?[ \t][\"']?[>#<]([^\s\"']{1,256})",
        None,
        "user",
    ),
    rule(
        "PASSWORD",
        rf"(?m)(?:^|> |-cli )AUTH[ \t]{{1,3}}(?:[\w-]{{1,64}}[ \t]{{1,3}})?{WORD_VALUE}[ \t]{{0,8}}$",
        lambda v: (
            possible(v)
            and v not in {"LOGIN", "PLAIN", "XOAUTH2", "NTLM", "GSSAPI", "TLS"}
            and not v.startswith(("CRAM", "DIGEST", "SCRAM"))
        ),
        "auth",
    ),
)
_LINE = r"(?im)^[ \t]{0,40}"
_LINES = (
    rule(
        "PASSWORD",
        rf"(?i)\b(?:bindpw|rootpw\w{{0,8}}|rootbindpw|auth_pass)[ \t]{{1,8}}{WORD_VALUE}",
        strong,
        "bindpw rootpw rootbindpw auth_pass",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\bset[ \t]{{1,3}}(?:\w{{0,20}}password|passwd|psksecret|secret|key)"
        rf"[ \t]{{1,3}}(?:ENC[ \t]{{1,3}})?{WORD_VALUE}",
        lambda v: possible(v) and v not in {"for", "to"},
        "set ",
    ),
    rule(
        "PASSWORD",
        rf"{_LINE}(?:ppp[ \t]{{1,3}}(?:chap|pap)[^\n]{{0,60}}?password|pp[ \t]{{1,3}}auth"
        rf"[ \t]{{1,3}}(?:username|myname)[ \t]{{1,3}}\S{{1,64}}|(?:login|administrator)"
        rf"[ \t]{{1,3}}password(?:[ \t]encrypted)?|wpa-psk[ \t]{{1,3}}(?:ascii|hex))"
        rf"[ \t]{{1,3}}(?:[0-9][ \t]{{1,3}})?{WORD_VALUE}[ \t]{{0,8}}$",
        possible,
        "ppp pp login administrator wpa-psk",
    ),
    rule(
        "PASSWORD", r"(?i)\bencrypted-password[ \t]{1,3}\"?([^\s\";]{6,256})", possible, "encrypted-password"
    ),
    rule(
        "PASSWORD",
        r"(?im)(?:^[ \t]{0,8}|machine[ \t]{1,8}\S{1,200}[ \t\n]{1,40}|\bdefault"
        r"[ \t]{1,8})login[ \t]{1,8}[^\s]{1,100}[ \t\n]{1,40}password[ \t]{1,8}("
        r"[^\s]{1,256})",
        possible,
        "login",
    ),
    rule(
        "PASSWORD",
        rf"{_LINE}(?:bindpw|rootpw|rootbindpw|auth_pass|ppp_password|smtp_pass|wpa-psk"
        rf"|wpa-passphrase|wireless-key|sasl_password|key-string|[\w.-]{{1,40}}_(?:password"
        rf"|passwd|secret))[ \t]{{1,20}}(?:[0-9][ \t]{{1,3}})?{WORD_VALUE}[ \t]{{0,8}}(?:$"
        rf"|#)",
        possible,
    ),
    rule(
        "PASSWORD",
        rf"{_LINE}(?:password|passwd|secret|passphrase)[ \t]{{1,20}}(?:[0-9]"
        rf"[ \t]{{1,3}})?{WORD_VALUE}[ \t]{{0,8}}(?:$|#)",
        strong,
    ),
    rule(
        "PASSWORD",
        rf"(?i)(?:(?<![\w ] )\benable|(?<![\w ] )\busername[ \t]{{1,3}}[\w.@-]{{1,64}}(?:"
        rf"[ \t]{{1,3}}privilege[ \t]{{1,3}}\d{{1,2}})?)[ \t]{{1,3}}(?:password|secret)"
        rf"[ \t]{{1,3}}(?:(?:level[ \t])?[0-9]{{1,2}}[ \t]{{1,3}})?{WORD_VALUE}",
        possible,
        "enable username",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:neighbor[ \t][^\s]{{1,64}}[ \t]password|(?:radius|tacacs)(?:-server)?"
        rf"[ \t](?:[^\n]{{0,100}}?[ \t])?key|md5-key|message-digest-key[ \t]\d{{1,3}}"
        rf"[ \t]md5|pre-shared-key(?:[ \t]\d{{1,3}})?(?:[ \t](?:address|local|remote|ascii-text|hex|text)"
        rf"[^\n]{{0,60}}?)?|isakmp[ \t]key|standby[ \t]\d{{1,4}}[ \t]authentication(?:"
        rf"[ \t]text)?)[ \t]{{1,3}}(?:[0-9][ \t]{{1,3}})?{WORD_VALUE}",
        lambda v: (possible(v) and len(v) >= 6) or digits_or_strong(v),
        "neighbor radius tacacs md5 pre-shared isakmp standby",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:snmp-server[ \t]{{1,3}}community|r[ow]community6?|snmp"
        rf"[ \t]{{1,3}}community|trap(?:2?sink|community)[ \t]{{1,3}}(?:[\w.-]{{1,100}}"
        rf"[ \t]{{1,3}})?)[ \t]{{0,3}}{WORD_VALUE}",
        possible,
        "communit trap",
    ),
    rule(
        "PASSWORD",
        rf"{_LINE}com2sec6?[ \t]{{1,20}}\S{{1,60}}[ \t]{{1,20}}\S{{1,60}}[ \t]{{1,20}}{WORD_VALUE}",
        None,
        "com2sec",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\bcreateuser[ \t]{{1,8}}[\w.-]{{1,64}}[ \t]{{1,8}}(?:md5|sha\d{{0,3}})"
        rf"[ \t]{{1,8}}{WORD_VALUE}(?:[ \t]{{1,8}}(?:aes|des)\d{{0,3}}"
        rf"[ \t]{{1,8}}{WORD_VALUE})?",
        None,
        "createuser",
    ),
    rule(
        "PASSWORD",
        r"\b(?:PSK|XAUTH|EAP|RSA)[ \t]{1,8}(?:[\w./-]{1,100}[ \t]{1,8})?\"("
        r"[^\"\n]{1,256})\"|\bPSK[ \t]{1,8}(0[sx][\w+/=]{8,400})",
        None,
        "psk xauth eap rsa",
    ),
    rule(
        "PASSWORD",
        rf"(?i)\b(?:stats[ \t]{{1,3}}auth|http-(?:request )?auth)[ \t]{{1,3}}[\w.-]{{1,64}}:{WORD_VALUE}",
        possible,
        "auth",
    ),
    rule(
        "PASSWORD",
        rf"{_LINE}user[ \t]{{1,3}}[\w.-]{{1,64}}[ \t]{{1,3}}(?:insecure-)?password[ \t]{{1,3}}{WORD_VALUE}",
        possible,
        "user",
    ),
    rule(
        "PASSWORD",
        r"(?m)^[ \t]{0,8}(?:\"[\w.@\\-]{1,64}\"|[\w.@-]{1,64})[ \t]{1,20}\*[ \t]{1,20}\"("
        r"[^\"\n]{1,256})\"(?:[ \t]|$)",
        possible,
        '"',
    ),
    rule(
        "PASSWORD",
        r"(?m)^\[?[\w.-]{1,100}\](?::\d{1,5})?[ \t]{1,20}[\w.+@-]{1,100}:([^\s]{3,256})",
        None,
        "]",
    ),
    rule(
        "PASSWORD",
        r"(?m)^(?:smtp|mail|relay)[\w.-]{1,100}(?::\d{1,5})?[ \t]{1,20}[\w.+@-]{1,100}:([^\s]{3,256})",
        strong,
        "smtp mail relay",
    ),
    # .pgpass: host:port:database:user:password
    rule(
        "PASSWORD",
        r"(?m)(?:^|[ \t\"'])(?:\*|localhost|[\w-]{1,60}(?:\.[\w-]{1,60}){0,6}):(?:\*"
        r"|\d{4,5}):(?:\*|[A-Za-z_][\w-]{0,62}):(?:\*|[\w.-]{1,63}):([^\s\"':]{3,256})(?="
        r"[\"']?(?:[ \t]|$))",
        possible,
        ":",
    ),
    rule(
        "PASSWORD",
        r"(?i)\b(?:user(?:name)?|login|ユーザー?)[ \t:=]{1,3}[\w.@-]{1,64}[ \t,;/、]{1,4}(?:and"
        r"[ \t])?(?:pass(?:word|wd)?|pw|パスワード)[ \t]{0,3}[:=：][ \t]{0,3}" + VALUE,
        possible,
        "user login ユーザー",
    ),
)
SECRETS_OF_LINES: tuple[Rule, ...] = (*_SQL, *_LINES)
