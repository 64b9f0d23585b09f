"""A page of results that needs nothing beside it: tables, best and worst pictures."""

import base64
import html
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from imharmony.datasets.iharmony4 import PairFiles
from imharmony.evaluation.methods.methods import BASELINES, COMPOSITE, Method
from imharmony.evaluation.protocols.metrics import Recoloring, cut
from imharmony.evaluation.protocols.protocol import PROTOCOLS, Protocol
from imharmony.evaluation.protocols.scene import Scene, load_scene
from imharmony.evaluation.reports.scoring import Score
from imharmony.evaluation.reports.tables import Grid
from imharmony.images import files, photo
from imharmony.images.pixels import Box

__all__ = ["rank_images", "render_tiles", "report"]

UInt8Array = npt.NDArray[np.uint8]

NUM_PICTURES = 6
PICTURE_PX = 320  # the longer side
QUALITY = 80

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem;
  padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums;
  display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; margin: 0 .5rem .5rem 0; vertical-align: top; }
figcaption { font-size: .85rem; color: #555; }
img { display: block; max-width: 100%; }
"""


def report(
    tables: Mapping[str, Sequence[str | Grid]],
    scores: Sequence[Score],
    pairs: Sequence[PairFiles],
    methods: Mapping[str, Method],
) -> str:
    """Write the page.

    Parameters
    ----------
    tables : mapping of str to sequence of str or Grid
        By protocol, as `protocol_tables` makes them.
    scores : sequence of Score
        Of the same protocols.
    pairs : sequence of PairFiles
        What was scored.
    methods : mapping of str to Method
        Those that are no baselines get their best and worst pictures shown, under the
        first protocol.

    Returns
    -------
    str
        HTML with all pictures in it, without scripts or anything from elsewhere.
    """
    name = next(iter(tables))
    parts = ["<h1>Image harmonization, measured</h1>"]
    for protocol, grids in tables.items():
        parts += [f"<h2>Protocol {html.escape(protocol)}</h2>", *map(_to_html, grids)]
    of_first = [score for score in scores if score.protocol == name]
    places = {(pair.subset, pair.name): pair for pair in pairs}
    for method in (method for method in methods if method not in BASELINES):
        ranked = rank_images(of_first, method)
        num = min(NUM_PICTURES, len(ranked))
        for title, chosen in (("Worst", ranked[:num]), ("Best", ranked[::-1][:num])):
            parts.append(
                f"<h2>{title} of {html.escape(method)}</h2><p>By PSNR over the "
                f"composite's, protocol {html.escape(name)}.</p>"
            )
            for gain, score in chosen:
                pair = places[score.subset, score.name]
                parts.append(
                    _draw_strip(pair, methods[method], PROTOCOLS[name], score, gain)
                )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Image harmonization, measured</title><style>{STYLE}</style></head>"
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def rank_images(scores: Sequence[Score], method: str) -> list[tuple[float, Score]]:
    """Rank a method's images by their PSNR over the composite's, worst first.

    Returns
    -------
    list of (gain in dB, Score)
    """
    untouched = {
        (score.subset, score.name): score.psnr
        for score in scores
        if score.method == COMPOSITE
    }
    ranked = [
        (score.psnr - untouched[score.subset, score.name], score)
        for score in scores
        if score.method == method
    ]
    return sorted(ranked, key=lambda entry: (entry[0], entry[1].name))


def render_tiles(
    scene: Scene, protocol: Protocol, recoloring: Recoloring
) -> UInt8Array:
    """Compute a method's picture as the protocol sees it, (H, W, 3), 8 bit."""
    picture = scene.composite.copy()
    for tile in cut(Box(0, 0, *scene.size)):
        tile_pixels = tile.view(picture)
        levels = np.rint(protocol.quantize(recoloring(tile))).astype(np.uint8)
        if protocol.has_blending:
            levels = np.where(tile.view(scene.mask)[..., None] > 0, levels, tile_pixels)
        tile_pixels[...] = levels
    return picture


def _draw_strip(
    pair: PairFiles, method: Method, protocol: Protocol, score: Score, gain: float
) -> str:
    """Show mask, composite, harmonized and real picture side by side."""
    scene = protocol.prepare(load_scene(pair))
    harmonized = render_tiles(scene, protocol, method(pair, scene, protocol))
    mask = np.rint(scene.mask).astype(np.uint8)
    pictures = {
        "mask": np.repeat(mask[..., None], 3, axis=2),
        "composite": scene.composite,
        f"{score.psnr:.2f} dB ({gain:+.2f}), fMSE {score.fmse:.1f}": harmonized,
        "real": scene.real,
    }
    figures = [
        f'<figure><img src="{_inline(picture)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in pictures.items()
    ]
    return f"<h3>{html.escape(pair.subset)}: {html.escape(pair.name)}</h3>" + "".join(
        figures
    )


def _inline(picture: UInt8Array) -> str:
    """Shrink a picture to fit the page, and write it as a data URL."""
    height, width = picture.shape[:2]
    scale = min(1.0, PICTURE_PX / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = photo.stretch(photo.from_array(picture), size)
    encoded = files.encode_photo(small, ".webp", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode('ascii')}"


def _to_html(part: str | Grid) -> str:
    if not isinstance(part, Grid):
        return f"<p>{html.escape(part)}</p>"
    lines = [
        _join_cells("th", part.head),
        *(_join_cells("td", row) for row in part.rows),
    ]
    return f"<table>{''.join(lines)}</table>"


def _join_cells(tag: str, cells: Sequence[str]) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
