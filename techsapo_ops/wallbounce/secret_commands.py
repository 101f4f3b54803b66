"""Where secrets stand on command lines: behind an option of a program, or piped into it."""

from __future__ import annotations

import re

from techsapo_ops.wallbounce.masking_rule import WORD_VALUE, Check, Rule, rule
from techsapo_ops.wallbounce.secret_values import possible, strong

_NAME = re.compile(r"[a-z0-9_-]{2,}")


def _given(programs: str, options: str, value: str = WORD_VALUE, check: Check = possible) -> Rule:
    """The value of one of `options` of `programs`, whose names are hints as well."""
    hints = " ".join(max(names, key=len) for part in programs.split("|") if (names := _NAME.findall(part)))
    found = rule("PASSWORD", rf"(?<![\w-])(?:{programs})\b([^\n|]{{1,600}})", check, hints)
    return found.of_each(rf"(?<=[ \t])(?:{options}){value}")


_NEXT = r"[ \t=]{1,3}"
_OPTIONS = (
    _given("ssh-keygen", rf"-[NP]{_NEXT}"),
    _given("slappasswd", rf"-s{_NEXT}"),
    _given("doveadm", rf"(?:-p|-u \S{{1,64}} -p){_NEXT}"),
    _given("openssl", r"passwd[ \t]{1,3}(?:-[\w-]{1,20}[ \t]{1,3}){0,4}"),
    _given(r"mysqladmin", r"password[ \t]{1,3}"),
    _given(
        r"consul|etcdctl|vault",
        r"(?:kv )?put[ \t]\S{0,100}(?:password|secret|token|key)\S{0,40}[ \t]{1,3}",
        check=strong,
    ),
    _given(r"net", r"use[ \t]{1,3}(?:\S{1,3}[ \t]{1,3})?\S{3,200}[ \t]{1,3}(?!/)"),
    _given(
        r"mysql\w{0,12}|mariadb[\w-]{0,16}|mycli|xtrabackup|innobackupex|mariabackup"
        r"|mydumper|myloader|pt-[\w-]{1,30}",
        r"-p",
        r"(?:\"([^\"\n]{1,256})\"|'([^'\n]{1,256})'|([^\s\"'`;|&<>-][^\s\"'`;|&<>]{0,255}))",
    ),
    _given(r"\w{3,8}-cli", rf"(?:-a|--pass|--askpass){_NEXT}"),
    _given("sshpass", r"-p[ \t]{0,3}"),
    _given(
        r"docker|podman|helm|buildah|skopeo|nerdctl|crane|oras|oc|az|docker-compose|cf|regctl",
        rf"login\b[^\n|]{{0,300}}?[ \t](?:-p|-t|--token){_NEXT}",
    ),
    _given(
        r"curl|wget|https?|xh|lwp-request|ab|wrk|siege",
        rf"(?:-u|-U|--user|--proxy-user|-a|--auth){_NEXT}",
        r"(?:\"[^\s:\"]{1,128}:([^\"\n]{1,256})\"|'[^\s:']{1,128}:([^'\n]{1,256})'|"
        r"[^\s:\"']{1,128}:([^\s\"'`;|&<>]{1,256}))",
    ),
    _given(r"curl|wget", r"-u[\"']?[^\s:\"'-][^\s:\"']{0,127}:", r"([^\s\"'`;|&<>]{1,256})"),
    _given(r"ldap[a-z]{3,12}", rf"-w{_NEXT}"),
    _given(r"ldappasswd", rf"-[as]{_NEXT}"),
    _given(
        r"mongo\w{0,12}|cqlsh|cypher-shell|clickhouse-client|arangosh|sshpass"
        r"|rabbitmqadmin|influx|xfreerdp|rdesktop|ncftp\w{0,4}|tsm|ydbd",
        rf"-{{1,2}}p(?:assword)?{_NEXT}",
    ),
    _given(
        r"ipmitool|sqlcmd|bcp|tsql|isql|osql|zip|unzip|zipcloak|mosquitto_\w{3}|curlftpfs|wpscan",
        rf"-P{_NEXT}",
    ),
    _given(r"unzip|zip|mosquitto_\w{3}|ipmitool", r"-P"),
    _given(
        r"7z\w?|rar|unrar",
        r"-h?p",
        r"(?:\"([^\"\n]{1,256})\"|'([^'\n]{1,256})'|([^\s\"'`;|&<>-][^\s\"'`;|&<>]{0,255}))",
    ),
    _given(
        r"smbclient|rpcclient|net|wmic|winexe|smbmap|crackmapexec|smbget|nmblookup",
        rf"-U{_NEXT}[\"']?[^\s%\"']{{1,100}}%",
        r"([^\s\"'`;|&<>]{1,256})",
    ),
    _given(r"snmp\w{3,12}", rf"-[cAX]{_NEXT}"),
    _given(r"openssl", r"(?:pass:|-(?:k|K|macopt key:)[ \t]{1,3})"),
    _given(
        r"htpasswd",
        r"-[a-zA-Z]{0,6}b[a-zA-Z]{0,6}[ \t]{1,3}(?:[^\s-][^\s]{0,200}[ \t]{1,3}){1,2}",
        r"(?:\"([^\"\n]{1,256})\"|'([^'\n]{1,256})'|([^\s\"'`;|&<>]{1,256}))(?=[ \t]{0,8}(?:$|[;&|#\n`)]))",
    ),
    _given(r"user(?:add|mod)", rf"(?:-p|--password){_NEXT}"),
    _given(r"rabbitmqctl", r"(?:add_user|change_password|authenticate_user)[ \t]{1,3}[^\s]{1,100}[ \t]{1,3}"),
    _given(r"wpa_passphrase", r"(?:\"[^\"\n]{1,64}\"|'[^'\n]{1,64}'|[^\s\"']{1,64})[ \t]{1,3}"),
    _given(r"nmcli", r"(?:password|(?:802-11-wireless-security|wifi-sec)\.psk|psk)[ \t]{1,3}"),
    _given(r"vault", r"login[ \t]{1,3}(?:-[\w=-]{1,60}[ \t]{1,3}){0,4}", check=strong),
    _given(r"vault", r"(?:operator )?unseal[ \t]{1,3}", check=strong),
    _given(r"kadmin(?:\.local)?|kinit|ktutil", rf"-(?:w|pw){_NEXT}"),
    _given(
        r"keytool|jarsigner|apksigner",
        r"-(?:store|key|new|srcstore|deststore|srckey|destkey)pass(?:word)?[ \t]{1,3}",
    ),
    _given(r"net", r"(?:use|user)\b[^\n|]{0,200}?/user:[^\s]{1,100}[ \t]{1,3}"),
    _given(r"net", r"user[ \t]{1,3}[\w.-]{1,64}[ \t]{1,3}(?!/)"),
    _given(r"lftp|ftp|sftp", rf"-u{_NEXT}[^\s,]{{1,100}},", r"([^\s\"'`;|&<>]{1,256})"),
    _given(
        r"etcdctl|nats|cockroach|elasticsearch-\w{3,20}|kubectl|logstash|filebeat",
        rf"--?(?:user|u|auth){_NEXT}[\w.-]{{1,64}}:",
        r"([^\s\"'`;|&<>]{1,256})",
    ),
    _given(
        r"sqlplus|expdp|impdp|rman|sqlldr",
        r"(?:target )?[\"']?\w{1,30}/",
        r"\"?([^\s\"'`;|&<>@/]{1,128})(?=[\"']?(?:@|[ \t]|$))",
    ),
    _given(r"psexec\w{0,4}|cmdkey|runas|schtasks|mstsc|wmic", r"(?:-p[ \t]{1,3}|/p(?:ass(?:word)?)?:)"),
    _given(
        r"aws",
        r"configure[ \t]{1,3}set[ \t]{1,3}(?:profile\.)?(?:[\w-]{1,64}\.)?"
        r"aws_(?:secret_access_key|session_token)[ \t]{1,3}",
    ),
    _given(
        r"sentinel",
        r"(?:set[ \t]{1,3}\S{1,64}[ \t]{1,3}auth-pass|auth-pass[ \t]{1,3}\S{1,64})[ \t]{1,3}",
    ),
    _given(
        r"mc|mcli",
        r"(?:alias[ \t]{1,3}set|config[ \t]{1,3}host[ \t]{1,3}add)[ \t]{1,3}\S{1,64}[ \t]{1,3}"
        r"[\"']?https?://\S{1,200}[ \t]{1,3}\S{1,128}[ \t]{1,3}",
    ),
    _given(r"plink|pscp|psftp|putty", rf"-pw{_NEXT}"),
    _given(r"xfreerdp\w?|wlfreerdp|sdl-freerdp", r"/p:"),
    _given(
        r"impacket-\w{3,20}|psexec\.py|secretsdump(?:\.py)?|evil-winrm",
        r"(?:[\w.-]{1,60}/)?[\w.-]{1,64}:",
        r"([^\s\"'`;|&<>@]{1,128})(?=@)",
    ),
    # --password value of any program
    rule(
        "PASSWORD",
        r"(?i)(?<![\w-])--?(?!ask|no-|prompt|read-|use-|show|enable|disable|require-)(?:"
        r"[\w-]{0,30}?[-_])?(?:password|passwd|passphrase|pass|pwd|token|api-?key|"
        r"(?:client|shared|app|jwt|hmac|secret|consumer)-secret"
        rf"|secret-(?:access-)?key|access-key|auth-?key|psk|requirepass|masterauth)"
        rf"[ \t]{{1,3}}(?!-){WORD_VALUE}",
        possible,
        "-",
    ),
    rule(
        "PASSWORD",
        rf"(?i)(?<![\w-])--secret[ \t]{{1,3}}{WORD_VALUE}",
        lambda v: strong(v) and "=" not in v and "/" not in v,
        "--secret",
    ),
    # echo value | what reads it
    rule(
        "PASSWORD",
        r"\b(?:echo|printf)[ \t]{1,3}(?:-[ne]{1,2}[ \t]{1,3}){0,2}(?:\"([^\"\n]{1,256})\""
        r"|'([^'\n]{1,256})'|([^\s\"'`;|&<>-][^\s\"'`;|&<>]{0,255}))"
        r"[ \t]{0,3}\|[ \t]{0,3}(?:sudo[ \t]{1,3}(?:-S|--stdin)|(?:sudo[ \t]{1,3})?"
        r"(?:passwd[ \t][^\n|]{0,40}--stdin|kinit|cryptsetup|smbpasswd|smbclient|gpg"
        r"[^\n|]{0,100}passphrase-fd"
        r"|ecryptfs|openconnect|vpnc|chpasswd|saslpasswd2|pdbedit|ldappasswd|gocryptfs"
        r"|restic|borg|(?:docker|podman|helm|nerdctl|gh|glab|skopeo|buildah|oras|crane)"
        r"[^\n|]{1,100}(?:--password-stdin|--with-token|--stdin)))",
        lambda v: possible(v.rpartition(":")[2]),
        "|",
    ).of_each(r"(?:^|[\w.@-]{1,64}:|)([^\n]{1,256})"),
    rule(
        "PASSWORD",
        r"\b(?:chpasswd|kinit|cryptsetup|passwd|sudo|su|gpg|openssl)\b[^\n|]{0,200}?<<<"
        r"[ \t]{0,3}(?:[\"']?[\w.-]{1,64}:)?" + WORD_VALUE,
        possible,
        "<<<",
    ),
    rule("PASSWORD", r"\bsend[ \t]{1,3}(?:--[ \t]{1,3})?\"([^\"\n\\$]{4,200})\\r", strong, "send"),
)
SECRETS_OF_COMMANDS: tuple[Rule, ...] = _OPTIONS
