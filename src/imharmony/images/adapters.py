"""Pictures as people have them: to arrays that the core takes, and back.

The one place that guesses. It imports neither Pillow nor torch; what it is given tells
by its methods what it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.errors import ImageError, ShapeError
from imharmony.images.photo import PixelArray, from_array, to_array

__all__ = [
    "Depth",
    "Foreign",
    "ForeignT",
    "MaskLike",
    "Picture",
    "PictureLike",
    "SupportsArray",
    "open_mask",
    "open_picture",
    "to_vips",
]

_DTYPES = ("uint8", "uint16", "float32", "float64")
_PIL_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "P", "1")
_PROFILE, _EXIF = "icc-profile-data", "exif-data"

Depth = TypeVar("Depth", np.uint8, np.uint16, np.float32, np.float64)


class PilImage(Protocol):
    """What is asked of an image of Pillow."""

    @property
    def mode(self) -> str:
        """Kind of its channels."""

    def getbands(self) -> tuple[str, ...]:
        """Names of its channels."""


class Tensor(Protocol):
    """What is asked of a tensor of torch."""

    def detach(self) -> Any:
        """Leave the graph."""

    def cpu(self) -> Any:
        """Move to the processor's memory."""


class SupportsArray(Protocol):
    """Anything that NumPy can make an array of."""

    def __array__(self) -> npt.NDArray[Any]:
        """Make an array."""


Foreign = PilImage | Tensor
"""Pictures that come back as what they were."""
ForeignT = TypeVar("ForeignT", bound=Foreign)
PictureLike = npt.NDArray[Any] | Foreign | SupportsArray | Sequence[Any]
MaskLike = PictureLike


@dataclass(frozen=True)
class Picture:
    """An array, what came with it, and the way back."""

    pixels: PixelArray
    """uint8, uint16, float32 or float64; any number of axes."""
    give_back: Callable[[PixelArray], Any]
    """Turns an array of the same shape and dtype into what the picture was."""
    fields: dict[str, bytes]
    """Color profile and EXIF by libvips's names."""


def open_picture(picture: Any, *, name: str) -> Picture:
    """Take an array, an image of Pillow, a tensor, or anything with `__array__`.

    Parameters
    ----------
    picture
        Values as `photo.from_array` describes them; float64 and lists of floats work
        too. Tensors have their channels last.
    name : str
        What error messages call it.

    Raises
    ------
    ImageError
        If it is none of these, or of another dtype; the message says what to do.

    Examples
    --------
    >>> open_picture([[0.5, 1.0]], name="composite").pixels.dtype
    dtype('float64')
    """
    fields: dict[str, bytes] = {}
    give_back: Callable[[PixelArray], Any] = _keep
    if isinstance(picture, np.ndarray):
        pixels = picture
    elif isinstance(picture, str | bytes | PathLike):
        msg = f"{name}: expected an array or an image, got a path or bytes"
        raise ImageError(f"{msg}; imharmony.harmonize_file takes files")
    elif isinstance(picture, pyvips.Image):
        pixels = to_array(picture)
    elif hasattr(picture, "getbands") and hasattr(picture, "mode"):
        pixels, give_back = _open_pil(picture, name)
        fields = _read_fields(picture.info)
    elif hasattr(picture, "detach") and hasattr(picture, "cpu"):
        pixels = picture.detach().cpu().numpy()
        give_back = picture.new_tensor
    else:
        pixels = _to_array(picture, name)
    if pixels.dtype.name not in _DTYPES:
        msg = f"{name}: expected dtype {', '.join(_DTYPES[:-1])} or {_DTYPES[-1]}, got"
        way = "; astype(np.uint8) makes it one, if its values are 0 to 255"
        whole = np.issubdtype(pixels.dtype, np.integer)
        raise ImageError(f"{msg} {pixels.dtype}{way if whole else ''}")
    return Picture(pixels, give_back, fields)


def open_mask(mask: Any, *, name: str = "mask") -> PixelArray:
    """Take a mask in any of the forms that `open_picture` takes.

    Returns
    -------
    ndarray of any dtype
        Of three equal channels, only one is left.

    Raises
    ------
    ImageError
        If it is no array, or its channels differ.

    Examples
    --------
    >>> open_mask([[0, 1]]).tolist(), open_mask(np.ones((1, 2, 3), bool)).shape
    ([[0, 1]], (1, 2))
    """
    if isinstance(mask, pyvips.Image):
        mask = to_array(mask)
    elif hasattr(mask, "getbands") and hasattr(mask, "mode"):
        mask = np.asarray(mask.convert("L") if mask.mode == "P" else mask)
    elif hasattr(mask, "detach") and hasattr(mask, "cpu"):
        mask = mask.detach().cpu().numpy()
    pixels = _to_array(mask, name)
    if pixels.ndim >= 3 and pixels.shape[-1] == 3:
        first = pixels[..., :1]
        if (pixels != first).any():
            msg = f"{name}: expected one channel or three equal ones, got three that"
            raise ImageError(f"{msg} differ")
        pixels = pixels[..., 0]
    return pixels


def to_vips(picture: Any, *, name: str) -> pyvips.Image:
    """Turn a picture into what `files.write_photo` writes, with profile and EXIF."""
    if isinstance(picture, pyvips.Image):
        return picture
    opened = open_picture(picture, name=name)
    pixels = opened.pixels
    if pixels.dtype.name == "float64":
        pixels = pixels.astype(np.float32)
    return attach_fields(from_array(pixels, name=name), opened.fields)


def attach_fields(image: pyvips.Image, fields: dict[str, bytes]) -> pyvips.Image:
    """Write color profile and EXIF on a picture that is in no other use."""
    for field, data in fields.items():
        image.set_type(pyvips.GValue.blob_type, field, data)
    return image


def check_channels_last(pixels: PixelArray, name: str) -> None:
    """Refuse channels before height and width, as networks have them."""
    if pixels.ndim in (3, 4) and pixels.shape[-3] in (1, 3, 4) and pixels.shape[-1] > 4:
        msg = f"{name}: expected shape (H, W, C), got {pixels.shape}, which looks like"
        raise ShapeError(f"{msg} channels first; permute them to the end")


def _open_pil(
    picture: Any, name: str
) -> tuple[PixelArray, Callable[[PixelArray], Any]]:
    """Turn an image of Pillow into an array; palettes become RGB."""
    from PIL import Image

    if picture.mode not in _PIL_MODES:
        msg = f"{name}: expected an image of mode {', '.join(_PIL_MODES[:5])}, got"
        raise ImageError(f"{msg} {picture.mode}; convert it first")
    info = dict(picture.info)
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in info else "RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    # What these say was about the old channels.
    info = {key: info[key] for key in info if key != "transparency"}

    def give_back(pixels: PixelArray) -> Any:
        image = Image.fromarray(pixels)
        image.info = info
        return image

    return np.asarray(picture), give_back


def _read_fields(info: dict[Any, Any]) -> dict[str, bytes]:
    named = {_PROFILE: info.get("icc_profile"), _EXIF: info.get("exif")}
    return {field: data for field, data in named.items() if isinstance(data, bytes)}


def _to_array(picture: Any, name: str) -> PixelArray:
    """Let NumPy make an array of lists and of what offers itself as one."""
    offers = ("__array__", "__array_interface__")
    if not isinstance(picture, list | tuple) and not any(
        hasattr(picture, way) for way in offers
    ):
        msg = f"{name}: expected an array, a Pillow image or a tensor, got"
        raise ImageError(f"{msg} {type(picture).__name__}")
    try:
        array = np.asarray(picture)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{name}: no array can be made of it ({error})") from error
    if array.dtype == object:
        raise ImageError(f"{name}: expected rows of one length, got a ragged list")
    return array


def _keep(pixels: PixelArray) -> PixelArray:
    return pixels
