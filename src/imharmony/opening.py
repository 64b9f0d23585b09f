"""Pictures in memory: opened for a network, and given back as what they were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips

from imharmony.curves.knots import check_strength
from imharmony.errors import ImageError, ShapeError, UsageError
from imharmony.images import adapters, photo
from imharmony.images.masks import mask_from_array, split_mask
from imharmony.images.pixels import PixelArray
from imharmony.inference.choices import SeamUse
from imharmony.inference.request import Request
from imharmony.inference.seam import Seam
from imharmony.rendering.objects import render_objects
from imharmony.rendering.render import render, render_into
from imharmony.rendering.transform import Transform
from imharmony.results import Predicted, Result

__all__ = [
    "Batch",
    "Opened",
    "OpenedObjects",
    "Options",
    "count_axes",
    "open_batch",
    "open_objects",
    "open_pictures",
    "render_opened",
]


@dataclass(frozen=True)
class Options:
    """The options of a call, besides the pictures."""

    label: str | None
    strength: float
    reference: Any
    premultiplied: bool
    seam: SeamUse | Seam = "auto"


@dataclass(frozen=True)
class Opened:
    """A caller's picture, ready for a network."""

    image: pyvips.Image
    mask: pyvips.Image
    picture: adapters.Picture | None
    """What the caller gave; None for a pyvips image, which is rendered lazily."""
    pixels: PixelArray | None
    """The array behind `image`: the picture's pixels, or float32 of float64."""
    out: PixelArray | None

    def make_request(self, options: Options) -> Request:
        """Make the request to a network."""
        check_strength(options.strength)
        reference = options.reference
        if reference is not None:
            reference = adapters.to_vips(reference, name="reference")
        return Request(
            self.image, self.mask, options.label, reference, seam=options.seam
        )


def open_pictures(
    composite: Any,
    mask: Any,
    options: Options,
    out: PixelArray | None = None,
    *,
    may_be_full: bool | None = None,
) -> Opened:
    """Open composite and mask; without a mask, the composite's alpha is one.

    Parameters
    ----------
    composite, mask, out
        As for calling a `Harmonizer`; no batch.
    options : Options
    may_be_full : bool or None
        Whether that alpha may be opaque everywhere. None allows it with a reference.
    """
    if may_be_full is None:
        may_be_full = options.reference is not None
    if isinstance(composite, pyvips.Image):
        if out is not None:
            raise UsageError("out: expected None with a pyvips image, got an array")
        mask = _open_beside(composite, mask, may_be_full=may_be_full)
        return Opened(composite, mask, None, None, None)
    picture = adapters.open_picture(composite, name="composite")
    adapters.check_channels_last(picture.pixels, "composite")
    pixels = picture.pixels
    if pixels.dtype.name == "float64":
        pixels = pixels.astype(np.float32)
    image = photo.from_array(pixels, name="composite")
    adapters.attach_fields(image, picture.fields)
    if options.premultiplied:
        image.set_type(pyvips.GValue.gint_type, photo.PREMULTIPLIED, 1)
    if mask is not None:
        levels = adapters.open_mask(mask)
    elif image.bands in (2, 4):
        levels = pixels[..., -1]
    else:
        msg = "composite: no mask given and no alpha channel to use as one"
        raise ImageError(msg)
    if out is not None:
        _check_out(out, picture.pixels, [levels])
    mask_image = mask_from_array(levels, size=(image.height, image.width))
    if mask is None and not may_be_full and mask_image.min() == 255:
        msg = "composite: no mask given, and the alpha channel is opaque everywhere"
        raise ImageError(f"{msg}, so it cuts no foreground out")
    return Opened(image, mask_image, picture, pixels, out)


def _open_beside(image: pyvips.Image, mask: Any, *, may_be_full: bool) -> pyvips.Image:
    """Open the mask of a pyvips image. A mask that is ready stays as it is."""
    if mask is None:
        return split_mask(image, name="composite", may_be_full=may_be_full)[1]
    size = image.height, image.width
    if not isinstance(mask, pyvips.Image) or (mask.bands, mask.format) != (1, "uchar"):
        return mask_from_array(adapters.open_mask(mask), size=size)
    if (mask.height, mask.width) != size:
        msg = f"mask: expected {size[0]}x{size[1]} (height x width), the photo's size"
        raise ShapeError(f"{msg}, got {mask.height}x{mask.width}")
    return mask


def render_opened(opened: Opened, predicted: Predicted) -> Result[Any]:
    """Apply a change to an opened picture."""
    image, mask, picture = opened.image, opened.mask, opened.picture
    change, box = predicted.transform, predicted.box
    if picture is None or opened.pixels is None:
        rendered = render(image, mask, change, box=box)
        return Result(rendered, (predicted,))
    composite, out = picture.pixels, opened.out
    if out is None:
        out = np.empty(composite.shape, composite.dtype.newbyteorder("="))
    if not _is_same(out, composite):
        np.copyto(out, composite)
    if opened.pixels is composite:
        render_into(out, image, mask, change, box=box)
    elif box is not None:
        # float64: the change is computed in float32 and added.
        changed = opened.pixels.copy()
        render_into(changed, image, mask, change, box=box)
        difference = (changed - opened.pixels).astype(np.float64)
        is_inside = photo.to_array(mask)[..., 0] > 0
        out[is_inside] += difference[is_inside]
    return Result(picture.give_back(out), (predicted,))


@dataclass(frozen=True)
class Batch:
    """Several pictures of one shape, in one array (N, H, W, C)."""

    picture: adapters.Picture
    masks: list[PixelArray | None]
    """One for each picture; None takes its alpha."""
    out: PixelArray

    def open(self, options: Options) -> Iterator[Opened]:
        """Open the pictures one after another."""
        for pixels, mask, out in zip(
            self.picture.pixels, self.masks, self.out, strict=True
        ):
            yield open_pictures(pixels, mask, options, out)

    def give_back(self) -> Any:
        """Return the results in the type that the batch had."""
        return self.picture.give_back(self.out)


def open_batch(composite: Any, mask: Any, out: PixelArray | None) -> Batch:
    """Open pictures (N, H, W, C) with a mask for each or one for all.

    Parameters
    ----------
    composite, mask, out
        As for calling a `Harmonizer`.
    """
    picture = adapters.open_picture(composite, name="composite")
    adapters.check_channels_last(picture.pixels, "composite")
    masks = _split_masks(mask, picture.pixels.shape)
    if out is None:
        native = picture.pixels.dtype.newbyteorder("=")
        out = np.empty(picture.pixels.shape, native)
    else:
        _check_out(out, picture.pixels, masks)
    return Batch(picture, masks, out)


@dataclass(frozen=True)
class OpenedObjects:
    """A composite with a mask for each of several objects."""

    image: pyvips.Image
    masks: list[pyvips.Image]
    picture: adapters.Picture | None
    """What the caller gave as composite; None for a pyvips image."""

    def render(self, changes: Sequence[Transform]) -> Any:
        """Apply each object's change; return the type that the composite had."""
        objects = list(zip(self.masks, changes, strict=True))
        rendered = render_objects(self.image, objects)
        if self.picture is None:
            return rendered
        composite = self.picture.pixels
        changed = photo.to_array(rendered).reshape(composite.shape)
        if changed.dtype != composite.dtype.newbyteorder("="):
            # float64: the change is computed in float32 and added.
            before = photo.to_array(self.image).reshape(composite.shape)
            changed = composite + (changed - before)
        return self.picture.give_back(changed)


def open_objects(composite: Any, masks: Sequence[Any]) -> OpenedObjects:
    """Open a composite and the masks of its objects, as `open_pictures` opens them."""
    if isinstance(composite, pyvips.Image):
        picture, image = None, composite
    else:
        picture = adapters.open_picture(composite, name="composite")
        adapters.check_channels_last(picture.pixels, "composite")
        image = adapters.to_vips(composite, name="composite")
    return OpenedObjects(
        image, [_open_beside(image, mask, may_be_full=True) for mask in masks], picture
    )


def count_axes(picture: Any) -> int:
    """Count the axes of an array, or of nested lists."""
    if isinstance(picture, list | tuple):
        return 1 + (count_axes(picture[0]) if picture else 0)
    return len(getattr(picture, "shape", ()))


def _split_masks(mask: Any, shape: tuple[int, ...]) -> list[PixelArray | None]:
    """Find the mask of each picture of a batch."""
    count, size = shape[0], shape[1:3]
    if mask is None:
        return [None] * count
    levels = adapters.open_mask(mask)
    if levels.shape[:3] == (count, *size) and levels.ndim in (3, 4):
        return list(levels)
    if levels.shape[:2] == size:
        return [levels] * count
    msg = f"mask: expected shape {(count, *size)} or {size}, the batch's, got"
    raise ShapeError(f"{msg} {levels.shape}")


def _check_out(
    out: PixelArray, composite: PixelArray, masks: Sequence[PixelArray | None]
) -> None:
    """Refuse an array that cannot hold the result."""
    if out.shape != composite.shape:
        msg = f"out: expected the composite's shape {composite.shape}, got {out.shape}"
        raise ShapeError(msg)
    if out.dtype != composite.dtype:
        msg = f"out: expected the composite's dtype {composite.dtype}, got {out.dtype}"
        raise ImageError(msg)
    if not out.flags.writeable:
        raise UsageError(
            "out: expected an array that can be written, got a read-only one"
        )
    shares = not _is_same(out, composite) and np.shares_memory(out, composite)
    if shares or any(np.shares_memory(out, mask) for mask in masks if mask is not None):
        msg = "out: expected memory of its own, or the composite itself"
        raise UsageError(f"{msg}, got some of the composite's or of the mask's")


def _is_same(out: PixelArray, composite: PixelArray) -> bool:
    """Whether two arrays of one shape and dtype lie at the same place in memory."""
    keys = ("data", "strides")
    one, other = out.__array_interface__, composite.__array_interface__
    return all(one[key] == other[key] for key in keys)
