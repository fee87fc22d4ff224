"""What a request that brought no usable answer means, for the gateways that are asked over HTTP.

`requests` is imported by who needs it: a process that only receives does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sms.gateways.base import Retry, Unknown

if TYPE_CHECKING:
    import requests


def broken(error: requests.RequestException) -> Retry | Unknown:
    """No usable answer. Retry only where it is certain that the provider took nothing, or that it was not it."""
    import requests
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    word = type(error).__name__
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | requests.exceptions.SSLError):
        return Retry(f"no connection: {word}")
    if isinstance(error, requests.ConnectionError):
        cause = error.args[0] if error.args else None
        never_left = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
        # What remains was cut (ProtocolError) or fell silent in mid-answer (ReadTimeoutError): the request had left.
        return Retry("no connection: refused, unreachable or no such host") if never_left else Unknown("connection cut")
    if isinstance(error, requests.Timeout):
        return Unknown("no answer in time")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return Unknown(f"answer cut: {word}")
    # A loop of redirects, a page instead of JSON (a captive portal), or a request that could not even be made.
    return Retry(f"no answer of the provider's: {word}")
