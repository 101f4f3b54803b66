"""Where secrets stand: behind a name, an option or a header, in a URL; and those with a form of their own."""

from __future__ import annotations

import re

from techsapo_ops.wallbounce.masking_rule import VALUE, Rule, rule
from techsapo_ops.wallbounce.secret_forms import FORMS
from techsapo_ops.wallbounce.secret_values import (
    basic_login,
    digits_or_strong,
    long_random,
    possible,
    strong,
)

_WORD = (
    r"(?:pass(?:word|wd|phrase|code)s?|(?<![A-Za-z0-9])pass|(?-i:[a-z]{2}Pass)|pwd|"
    r"(?<![A-Za-z])pw|secret|token|community"
    r"|(?:api|access|secret|private|auth|encryption|encrypt|signing|master|account"
    r"|shared|client|license|app|jwt"
    r"|hmac|cookie|storage|preshared|pre-shared|sharedaccess|unseal|recovery"
    r"|authentication|wpa|wifi|root|cipher)"
    r"[ _-]?key(?:_?base)?|psk|credentials?|requirepass|masterauth|bindpw|rootpw"
    r"|storepass|keypass|_auth|authtoken"
    r"|(?:JSESSION|PHPSESS|ASPSESS)ID|connect\.sid|sasl_passwd|authtok|otp|totp)"
)
_HINTS = (
    "pass pwd pw secret token community key psk credential masterauth _auth authtok sessid connect.sid otp"
)
_JAPANESE_HINTS = "パス 暗証番号 トークン シークレット キー 鍵 コミュニティ名 合言葉 pw pass ｐｗ"
_JAPANESE = (
    r"(?:パスワード|パスフレーズ|パスコード|暗証番号|秘密鍵|(?:アクセス|認証|API)?トークン"
    r"|シークレット(?:キー|アクセスキー)?"
    r"|(?:API|アクセス|認証|共有|事前共有|秘密|ライセンス|暗号化)[ ]?(?:キー|鍵)"
    r"|コミュニティ名|合言葉|(?<![A-Za-z0-9_])(?-i:PW|PASS)|ＰＷ)"
)
_LABEL = (
    r"(?i)(?:^[\s>|#*+・-]*[\"']?(?:[\w.$/-]* ){0,3}[\w.$/-]*|[{,(]\s*\\{0,2}[\"']?[\w.$ -]*|\\n\s*[\w.$-]*)$"
)
"""Before the name of a setting: nothing but the rest of the name, as in YAML, or what JSON has there."""


def _said(value: str) -> bool:
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


_NAMED = (
    # name and value on two lines, as in a container's environment
    rule(
        "SECRET",
        rf"(?i)\bname:[ \t]{{0,8}}[\"']?[\w.-]{{0,60}}?{_WORD}[\"']?[ \t]{{0,8}}\n"
        rf"[ \t]{{0,40}}value:[ \t]{{0,8}}{VALUE}",
        possible,
        "value:",
    ),
    # PowerShell, Terraform, and calls that take a name and a password
    rule(
        "SECRET",
        r"(?i)convertto-securestring[ \t]{1,3}(?:-string[ \t]{1,3})?(?:\"("
        r"[^\"\n]{1,256})\"|'([^'\n]{1,256})')",
        possible,
        "securestring",
    ),
    rule(
        "SECRET",
        rf"(?i)variable[ \t]{{1,3}}\"[\w-]{{0,60}}?{_WORD}\""
        rf"[ \t]{{0,3}}\{{[^{{}}]{{0,300}}?\bdefault[ \t]{{0,8}}=[ \t]{{0,8}}\"([^\"\n]{{1,400}})\"",
        possible,
        "variable",
    ),
    rule(
        "SECRET",
        r"(?i)(?:\.(?:login|auth|authenticate|basic_auth|setbasicauth)|basicauth"
        r"|credentials?|mysqli?_connect|auth=)\((?:[\"'][^\"'\n]{1,100}[\"'],"
        r"[ \t]{0,3}){1,2}[\"']([^\"'\n]{1,256})[\"']",
        possible,
        "login auth credential connect",
    ),
    rule(
        "SECRET",
        r"(?i)(?<![\w:/-])([^\s\"'`]{6,64}) as (?:the|a|its|my|our|your) (?:\w{1,20} )?"
        r"(?:password|passphrase|token|secret|api key)\b",
        _said,
        " as ",
    ),
    rule("SECRET", r"(?i)((?:パスワード|パス[はをがも]|PW)[^\n]{0,200})", strong, "パス pw").of_each(
        r"[「『]([!-~]{6,64})[」』]"
    ),
    rule(
        "SECRET",
        r"(?:[「『]([!-~]{4,64})[」』]|(?<![!-~])([!-~]{6,64}))[ 　]?(?:という|って)"
        r"(?:パスワード|トークン|キー"
        r"|パス)",
        _said,
        "という って",
    ),
    rule(
        "SECRET",
        r"(?:パス|ＩＤ／ＰＷ)[ 　]?(?:[:：]|は)[ 　]?(?:[「『]([!-~]{3,64})[」』]|([!-~]{4,64}))",
        _said,
        "パス ｉｄ／ｐｗ",
        quoted=possible,
    ),
    # NAME=value: a file of settings, a variable, an option, a connection string
    rule(
        "SECRET",
        rf"(?i){_WORD}(?:\[[\w-]{{1,40}}\])?\\{{0,2}}[\"'`]?\]?(?:[ \t]{{1,8}}[:?+=]?=>?"
        rf"[ \t]{{0,8}}|[:?+=]?=>?(?:[ \t]{{1,8}}(?=[\"']))?)"
        r"(?:\\{0,2}\"([^\"\\\n]{1,4096})|\\{0,2}'([^'\\\n]{1,4096})|([^\s\"'`;&|,<>（）「」。、]{1,4096}))",
        possible,
        _HINTS,
    ),
    rule("SECRET", rf"(?i){_WORD}=[ \t]{{1,8}}([^\s\"'`;&|,<>]{{1,4096}})", _said, "="),
    # name: value on a line of its own, as in YAML, or in JSON
    rule(
        "SECRET",
        rf"(?im){_WORD}\\{{0,2}}[\"'`]?[ \t]{{0,20}}[:：][ \t]{{0,8}}(?:[|>][+-]?\n[ \t]{{1,40}})?"
        r"(?:\\{0,2}\"([^\"\\\n]{1,4096})\\{0,2}\"|\\{0,2}'([^'\\\n]{1,4096})'"
        r"|([^\s\"'`「」『』]{1,4096})(?=[ \t]{0,8}(?:$|[#,}\\])))",
        possible,
        _HINTS,
    ).after(_LABEL),
    # define('DB_PASSWORD', 'value')
    rule(
        "SECRET",
        rf"(?i){_WORD}[\"'][ \t]{{0,4}},[ \t]{{0,4}}(?:\"([^\"\n]{{1,400}})\"|'([^'\n]{{1,400}})')",
        possible,
        ",",
    ).after(r"\([\"'][\w.-]*$"),
    # … password: value … within a sentence or a line of a log
    rule(
        "SECRET",
        rf"(?i)(?<!unexpected )(?<!invalid )(?<!near )(?<!:){_WORD}(?: \d{{1,2}})?(?:[ \t]{{0,3}}\("
        rf"[^()\n]{{0,40}}\))?\\{{0,2}}[\"'`]?"
        rf"[ \t]{{0,3}}[:：][ \t]{{0,4}}{VALUE}",
        digits_or_strong,
        _HINTS,
        quoted=strong,
    ),
    # the password is value; with password value; password changed to value
    rule(
        "SECRET",
        r"(?i)\b(?:password|passphrase|passcode|passwd|(?:pass|pw)(?= (?:is|was)\b|[:=])"
        r"|secret|token|api[ _-]?key|community(?: string)?|secret key)s?"
        r"(?: (?:for|of) [\w.@'-]{1,60}){0,2}"
        r"(?: (?:is|was|are|to|set|changed|reset|now|still|as|became|with|value|currently|temporarily)){0,4}"
        rf"[ \t]{{1,4}}(?:[:=][ \t]{{0,3}})?{VALUE}",
        _said,
        "pass pw secret token key community",
    ),
    rule(
        "SECRET",
        r"(?i)\b(?:credentials?|creds?|logins?|logged in (?:as|with)|log ?in (?:as|with)"
        r"|ログイン(?:情報|ID)?|認証情報"
        r"|アカウント|ユーザー?(?:名)?|user(?:name)?(?=[^\n]{1,80}[!@#%^&*+~?]))(?![A-Za-z0-9_-])(?="
        r"[ \t:：=はが「『])(?:[ \t]{0,3}(?:[:：=はが]|are|is|as|with))?[ \t]{0,3}[「『\"'`]?"
        r"[\w.@-]{1,64}"
        r"[ \t]?[/:／][ \t]?([^\s\"'`「」『』/]{5,200})",
        _said,
        "cred log ログイン 認証情報 アカウント ユー user",
    ),
    rule(
        "SECRET",
        rf"(?i){_JAPANESE}(?:[ 　]?[（(][^（）()\n]{{0,40}}[)）])?[ \t　]{{0,3}}(?:[:：=＝]|は|が|を"
        rf"|の値は|には)[ \t　]{{0,3}}"
        r"(?:[「『\"'`]([!-~]{3,400}?)[」』\"'`]|([!-~]{4,400}))",
        digits_or_strong,
        _JAPANESE_HINTS,
        quoted=possible,
    ),
    rule(
        "SECRET",
        rf"(?i){_JAPANESE}[ 　]{{0,3}}(?:[:：=＝]|は)[ \t　]{{0,3}}([!-~]{{4,400}})"
        r"(?=[ \t　]{0,3}(?:です|でした|で(?:ログイン|接続|認証|入)|だった|。|$))",
        possible,
        _JAPANESE_HINTS,
    ),
    rule("SECRET", rf"(?i){_JAPANESE}[ 　]{{1,3}}([!-~]{{5,400}})", _said, _JAPANESE_HINTS),
    rule(
        "SECRET",
        r"(?i)(?:password|passwd|passphrase|secret|token|apikey|api-key|pwd)(?: "
        r"[^<>\n]{0,200})?>([^<>\s]{1,1000})</",
        possible,
        "</",
    ),
)
_PAIR = (
    r"(?i)(?!(?:path|domain|expires|max-age|samesite|version|priority)=)(?<![\w.-])"
    r"[\w.!#$%&*+^`|~-]{1,100}=([^\s;\"',]{1,4096})"
)
_HEADERS = (
    rule(
        "TOKEN",
        r"(?i)authorization\\{0,2}[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,2}[\"']?"
        r"(?:(?:basic|bearer|token|apikey|api-key|key|negotiate|ntlm|digest|splunk|sso-key"
        r"|genieKey|bot|aws|ssws|jwt)"
        r"[ \t]{1,4})?([^\s\"',`]{6,8192})",
        lambda v: strong(v) or (len(v) >= 12 and possible(v)),
        "authorization",
    ),
    rule(
        "TOKEN",
        r"(?i)\b(?:response|signature|credential)=\"?([\w+/=-]{16,512})",
        strong,
        "digest signature credential=",
    ),
    rule("TOKEN", r"(?i)\bbearer[ \t]{1,3}([\w.~+/-]{8,8192}={0,2})", strong, "bearer"),
    rule("TOKEN", r"(?i)\bbasic[ \t]{1,3}([A-Za-z0-9+/]{8,1000}={0,2})", basic_login, "basic"),
    rule("TOKEN", r"(?i)\"auth\"[ \t]{0,4}:[ \t]{0,4}\"([A-Za-z0-9+/=]{8,2000})\"", possible, '"auth"'),
    rule("TOKEN", r"(?i)\bauth plain[ \t]{1,3}([A-Za-z0-9+/]{8,400}={0,2})", strong, "auth"),
    rule(
        "COOKIE",
        r"(?i)(?<![\w-])set-cookie2?\\{0,2}[\"']?[ \t]{0,3}[:=][ \t]{0,4}[\"']?([^\s;\"',]{3,8192})",
        None,
        "set-cookie",
    ).of_each(_PAIR),
    rule(
        "COOKIE",
        r"(?i)(?<![\w-])cookie\\{0,2}[\"']?[ \t]{0,3}[:=][ \t]{0,4}[\"']?([^\n\"']{3,16000})",
        None,
        "cookie",
    ).of_each(_PAIR),
    rule(
        "COOKIE",
        r"\b(?:curl|wget|https?)\b[^\n|]{0,400}?[ \t](?:-b|--cookie)[ \t=]{1,3}[\"']?([^\n\"']{3,16000})",
        None,
        "-b --cookie",
    ).of_each(_PAIR),
)
_URLS = (
    rule(
        "PASSWORD",
        r"(?<=://)[^\s/:@\"'<>]{0,128}:([^\s/\"'<>]{1,256})(?=@(?!sha\d{3}:)[\w\[{.$-])",
        possible,
        "://",
    ),
    rule("PASSWORD", r"(?<=://):?([^\s/:@\"'<>]{16,256})(?=@[\w\[.-])", long_random, "://"),
    rule(
        "TOKEN",
        r"(?i)[?&;](?:\w{1,20}_token|token|auth|api[_-]?key|apikey|key|sig|signature"
        r"|\w{0,20}secret|code|x-amz-signature"
        r"|x-amz-security-token|x-amz-credential|x-goog-signature|awsaccesskeyid|password"
        r"|passwd|pass|pwd|session_?id|session|sid|access_key|auth_key|hmac"
        r"|ticket|otp)=([^\s&#\"'<>;]{4,4096})",
        strong,
        "=",
    ),
    rule("TOKEN", r"(?i)\b(?:sig|SharedAccessSignature)=([\w%+/=-]{20,400})", strong, "sig"),
    rule("TOKEN", r"(?i)/bot(\d{6,12}:[\w-]{20,80})", None, "/bot"),
)
SECRETS: tuple[Rule, ...] = (*FORMS, *_HEADERS, *_URLS, *_NAMED)
"""The most telling first: of two that find the same place, the first one names it."""
