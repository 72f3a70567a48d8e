"""What the servers of HTTPS addresses are checked against."""

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """The certificates of the environment, or those that come with httpx. Read once: it takes 20 ms, longer than most calls."""
    return httpx.create_ssl_context()
