"""Logs as people paste them."""

from __future__ import annotations

from collections.abc import Sequence

SECRETIVE = (
    "sshd[{n}]: Failed password for invalid user admin{n} from 203.0.113.{host} port 4{n} ssh2",
    "sshd[{n}]: Accepted publickey for deploy from 10.0.0.{host} port 5{n} ssh2: ED25519 SHA256:Qk{n}",
    "app[{n}]: token refresh failed for user {n}: invalid_grant: refresh token expired",
    "redis[{n}]: WRONGPASS invalid username-password pair or user is disabled.",
    "nginx[{n}]: SSL_do_handshake() failed: bad key share, client: 10.0.0.{host}, server: api",
    "mysqld[{n}]: Access denied for user 'app{n}'@'10.0.0.{host}' (using password: YES)",
    "app[{n}]: login failed: DB_PASSWORD=hunter{n}x API key rejected by upstream",
    "vault[{n}]: secret/data/app: permission denied (token accessor {n}), key shares 3",
)
"""Lines that all speak of secrets; one of them holds one."""
JAPANESE = (
    "app[{n}]: 管理画面へのログインに失敗しました: user{n}（パスワードの誤り {host} 回目）",
    "app[{n}]: エラー: データベースへの接続がタイムアウトしました（host=10.0.0.{host}, 待ち時間 {n} ms）",
    "app[{n}]: 警告: 接続プールが上限に達しました。待機中の要求: {n} 件、上限: 64",
    'nginx[{n}]: upstream timed out (110: 接続がタイムアウトしました) client: 10.0.0.{host}, "GET /注文/{n}"',
    "batch[{n}]: ジョブ「夜間集計」が失敗しました。終了コード {host}、再試行まで 30 秒",
    "app[{n}]: 認証に失敗しました: ユーザー user{n}@example.co.jp、パスワードの期限切れ",
    "kernel: ディスク /dev/sda1 の空き容量が不足しています（残り {host} MB）",
    "app[{n}]: 設定を読み込みました: DB_PASSWORD=hunter{n}x トークンの更新に失敗 (invalid_grant)",
)


USUAL = tuple(line for pair in zip(JAPANESE, SECRETIVE, strict=True) for line in pair)
"""As on a host in Japan: what the services say is English."""


def log(size: int, lines: Sequence[str] = USUAL, first: int = 0) -> str:
    """`size` characters of a log of these lines in turn, whose numbers begin with `first`."""
    made, length, n = [], 0, first
    while length < size:
        text = lines[n % len(lines)].format(n=n, host=n % 250)
        made.append(f"2026-12-01T04:{n // 60 % 60:02}:{n % 60:02}Z {text}")
        length, n = length + len(made[-1]) + 1, n + 1
    return "\n".join(made)[:size]


def pasted(size: int, number: int) -> str:
    """A question with a log, `size` characters together, unlike that of any other number."""
    asked = f"本番のログです。原因と対処を教えてください（{number}）。\n\n"
    return asked + log(size - len(asked), first=number * 7919)
