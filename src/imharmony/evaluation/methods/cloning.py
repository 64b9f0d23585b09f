"""Seamless cloning by OpenCV as a baseline; needs the evaluate extra.

P. Pérez, M. Gangnet, A. Blake, "Poisson Image Editing", SIGGRAPH 2003: the foreground
keeps its gradients and takes the background's colors where the two meet.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.errors import ImageError
from imharmony.evaluation.methods.baselines import (
    has_regions,
    recolor_by_picture,
)
from imharmony.evaluation.protocols.metrics import Recoloring, scene_composite
from imharmony.evaluation.protocols.resampling import not_installed
from imharmony.evaluation.protocols.scene import Scene

__all__ = ["clone_seamlessly"]

UInt8Array = npt.NDArray[np.uint8]

ERODED_PX = 3  # what OpenCV takes off the mask on every side before it clones
PADDING_PX = ERODED_PX + 1  # the grown mask does not reach the rim


def clone_seamlessly(scene: Scene) -> Recoloring:
    """Clone the foreground, where the mask is above 127, into its background.

    A composite has no background under its foreground, and cloning it into itself
    would change nothing: its seam is one of its gradients. So OpenCV gets two
    pictures: the foreground, continued outwards by its nearest colors, and the
    background, continued inwards by its nearest. The seam has no gradient in either,
    and is closed. The mask is grown by what OpenCV takes off it. The pictures are
    padded, since OpenCV misplaces or refuses foregrounds that touch the rim; where
    they do, the nearest background's colors hold there too.

    Returns
    -------
    Recoloring
        The composite's where there is no foreground or no background.

    Raises
    ------
    UsageError
        If OpenCV is not installed.
    ImageError
        If OpenCV fails.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise not_installed(error) from error
    is_inside = scene.mask > 127
    if not has_regions(is_inside * np.uint8(255)):
        return scene_composite(scene)
    pad = ((PADDING_PX, PADDING_PX), (PADDING_PX, PADDING_PX))
    padded = np.pad(scene.composite, (*pad, (0, 0)), mode="edge")
    is_padded_inside = np.pad(is_inside, pad)
    source = _continue_colors(cv2, padded, is_padded_inside)
    target = _continue_colors(cv2, padded, ~np.pad(is_inside, pad, mode="edge"))
    kernel = np.ones((2 * ERODED_PX + 1, 2 * ERODED_PX + 1), np.uint8)
    grown = cv2.dilate(is_padded_inside * np.uint8(255), kernel)
    left, top, width, height = cv2.boundingRect(grown)
    center = (left + width // 2, top + height // 2)
    try:
        cloned = cv2.seamlessClone(source, target, grown, center, cv2.NORMAL_CLONE)
    except cv2.error as error:
        msg = f"OpenCV's seamless cloning failed on a composite ({error.err})"
        raise ImageError(msg) from error
    inner = slice(PADDING_PX, -PADDING_PX)
    return recolor_by_picture(scene, np.asarray(cloned, np.uint8)[inner, inner])


def _continue_colors(
    cv2: Any, picture: UInt8Array, is_known: npt.NDArray[np.bool_]
) -> UInt8Array:
    """Give each unknown pixel the color of the nearest known one."""
    _, labels = cv2.distanceTransformWithLabels(
        (~is_known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.flatnonzero(is_known)
    nearest = np.zeros(len(known) + 1, np.intp)
    nearest[labels.ravel()[known]] = known
    colors: UInt8Array = picture.reshape(-1, 3)[nearest[labels.ravel()]]
    return colors.reshape(picture.shape)
