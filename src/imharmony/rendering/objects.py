"""Recolor several objects of one photo, each by its own change."""

from collections.abc import Sequence
from functools import reduce

import pyvips

from imharmony.curves import Curves
from imharmony.errors import ShapeError
from imharmony.rendering.render import render_over
from imharmony.rendering.transform import Transform

__all__ = ["join_masks", "render_objects"]


def render_objects(
    photo: pyvips.Image, objects: Sequence[tuple[pyvips.Image, Curves | Transform]]
) -> pyvips.Image:
    """Apply one change of color to each of several objects.

    Computes `I + sum of w_k * (f_k(I) - I)`. The weights w_k are the masks; where the
    masks of soft edges sum to more than 1, they are divided by their sum. So no object
    is recolored twice, and their order does not matter.

    Parameters
    ----------
    photo : pyvips.Image
        As for `render`.
    objects : sequence of (mask, change)
        Of each object, as for `render`.

    Returns
    -------
    pyvips.Image
        Bit-identical to `photo` where all masks are 0, and to `render` where only one
        of them is not. Whole numbers elsewhere are within two steps of the formula.

    Raises
    ------
    ShapeError
        If a mask is not of the photo's size.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.masks import mask_from_array
    >>> from imharmony.images.photo import from_array, to_array
    >>> knots = np.array([0.0, 0.5, 1.0])
    >>> lighter = Curves((knots,) * 3, (np.array([0.0, 0.75, 1.0]),) * 3)
    >>> darker = Curves((knots,) * 3, (np.array([0.0, 0.25, 1.0]),) * 3)
    >>> photo = from_array(np.full((1, 3, 3), 0.5, dtype=np.float32))
    >>> rows = [[1.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]
    >>> masks = [mask_from_array(np.array(row), size=(1, 3)) for row in rows]
    >>> both = list(zip(masks, (lighter, darker)))
    >>> to_array(render_objects(photo, both))[0, :, 0].round(2).tolist()
    [0.75, 0.5, 0.5]
    """
    for mask, _ in objects:
        if (mask.height, mask.width) != (photo.height, photo.width):
            raise ShapeError(
                f"expected masks of the photo's size, {photo.height}x{photo.width} "
                f"(height x width), got {mask.height}x{mask.width}"
            )
    rendered = photo
    masks = _find_opacities([mask for mask, _ in objects])
    for mask, (_, change) in zip(masks, objects, strict=True):
        rendered = render_over(rendered, photo, mask, change)
    return rendered


def join_masks(masks: Sequence[pyvips.Image]) -> pyvips.Image:
    """Mark what any mask marks: the largest of their values."""
    return reduce(lambda one, other: (one > other).ifthenelse(one, other), masks)


def _find_opacities(masks: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    """Find the opacity of each layer so that, laid in order, they weigh as masks do.

    A layer is covered by those after it, so its opacity is its weight divided by what
    they leave.
    """
    if len(masks) == 1:
        return list(masks)
    total = reduce(lambda one, other: one + other, masks)
    scale = (total > 255).ifthenelse(255 / (total > 0).ifthenelse(total, 1), 1)
    light_left = total * 0 + 255
    opacities = []
    for mask in reversed(masks):
        weight = mask * scale
        opacity = (light_left > 0.5).ifthenelse(
            weight * 255 / (light_left > 0.5).ifthenelse(light_left, 1), 0
        )
        opacities.append(opacity.rint().cast("uchar").copy_memory())
        light_left = light_left - weight
    return opacities[::-1]
