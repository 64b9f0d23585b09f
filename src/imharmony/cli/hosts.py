"""What the commands that serve share: addresses, names, prefixes, other sites."""

import re
from collections.abc import Sequence

from imharmony.errors import UsageError

__all__ = [
    "describe_address",
    "is_local",
    "name_hosts",
    "parse_origin",
    "parse_root_path",
]

_LOCAL = ("127.0.0.1", "localhost", "::1")


def is_local(host: str) -> bool:
    """Whether only programs of this computer can reach an address."""
    return host in _LOCAL


def name_hosts(host: str, others: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names browsers may use for a server.

    Examples
    --------
    >>> name_hosts("0.0.0.0", ["photos.example"])
    ('127.0.0.1', 'localhost', '[::1]', '0.0.0.0', 'photos.example')
    """
    names = dict.fromkeys((*_LOCAL, host, *(others or ())))
    return tuple(f"[{n}]" if ":" in n and n[0] != "[" else n for n in names)


def describe_address(host: str, port: int) -> str:
    """Write the address to open in a browser of this computer.

    Examples
    --------
    >>> describe_address("0.0.0.0", 8000), describe_address("::1", 8000)
    ('http://127.0.0.1:8000', 'http://[::1]:8000')
    """
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def parse_origin(text: str) -> str:
    """Check the address of another site.

    Raises
    ------
    UsageError
        If it is something else.

    Examples
    --------
    >>> parse_origin("https://Photos.example/")
    'https://photos.example'
    """
    origin = text.lower().rstrip("/")
    if not re.fullmatch(r"https?://[^/\s?#@*]+", origin):
        expected = "a site such as https://photos.example.org"
        raise UsageError(f"--allow-origin: expected {expected}, got {text!r}")
    return origin


def parse_root_path(text: str) -> str:
    """Check a proxy's prefix.

    Raises
    ------
    UsageError
        If it is no path.

    Examples
    --------
    >>> parse_root_path("/harmonize/"), parse_root_path("/")
    ('/harmonize', '')
    """
    prefix = text.rstrip("/")
    if prefix and not re.fullmatch(r"(/[\w.~-]+)+", prefix, re.ASCII):
        expected = "a path such as /harmonize"
        raise UsageError(f"--root-path: expected {expected}, got {text!r}")
    return prefix
