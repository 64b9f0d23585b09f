"""XMP as text; only what a new picture makes untrue is changed."""

import re

__all__ = ["drop_gain_map", "make_upright"]

# Adobe's XMP specification, part 2, 3.2: as an attribute, or as an element.
_ORIENTATION = re.compile(
    rb"""(\btiff:Orientation\s*(?:=\s*["']|>\s*))[2-8](?=\s*["'<])"""
)
_GAIN_MAP = re.compile(
    rb"""\s+hdrgm:\w+\s*=\s*(?:"[^"]*"|'[^']*')"""
    rb"""|<(Container:Directory|hdrgm:\w+)\b.*?(?:/>(?!.*</\1>)|</\1>)""",
    re.DOTALL,
)
"""What XMP says of a gain map: Google's Ultra HDR image format 1.1."""


def make_upright(xmp: bytes) -> bytes:
    """Reset the orientation, for pixels that have been turned.

    Examples
    --------
    >>> make_upright(b"<rdf:Description tiff:Orientation='6'/>")
    b"<rdf:Description tiff:Orientation='1'/>"
    """
    return _ORIENTATION.sub(rb"\g<1>1", xmp)


def drop_gain_map(xmp: bytes) -> bytes:
    """Take out what promises a gain map, for a file that has none."""
    return _GAIN_MAP.sub(b"", xmp)
