"""Whom to trust over TLS: one answer for requests that are measured and for those that are not."""

import functools
import ssl

import certifi


def tls_context(verify: bool = True, ca_file: str | None = None) -> ssl.SSLContext:
    """The context that all connections of a run share. Raises ssl.SSLError or OSError for a CA file that is none.

    Without a CA file both the system's authorities and Mozilla's are trusted: python.org's Python for macOS has none of
    the former until the user runs a script for it.
    """
    if verify and ca_file is None:
        return _public()
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@functools.cache
def _public() -> ssl.SSLContext:
    """Reading the authorities takes tens of milliseconds: once a process is enough."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
