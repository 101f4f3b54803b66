"""Why a connection failed, in the operating system's words."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg


def os_reason(error: BaseException) -> str:
    """The operating system's word for why a connection failed, in lower case; "" when it gave none."""
    import ssl

    for seen in causes(error):
        if isinstance(seen, TimeoutError):
            return msg("timed out")
        if isinstance(seen, ssl.SSLCertVerificationError):
            return msg("its certificate is not to be trusted: {reason}", reason=seen.verify_message)
        if isinstance(seen, ssl.SSLError):
            plain = seen.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
            return (
                msg("does not speak TLS")
                if plain
                else msg("no TLS connection: {reason}", reason=seen.reason or seen)
            )
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
    return ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, what it came of, and so on."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
