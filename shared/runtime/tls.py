"""The one TLS context of a process: making it reads every certificate of the store, and takes 20 ms each time."""

import ssl
from functools import cache

import httpx

__all__ = ["tls"]


@cache
def tls() -> ssl.SSLContext:
    """What httpx makes by itself for each transport."""
    return httpx.create_ssl_context(trust_env=False)
