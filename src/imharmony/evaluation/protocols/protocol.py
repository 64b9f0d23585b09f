"""The protocols by which harmonization is measured, by name.

Published numbers are rarely comparable, because nearly every group measures by rules
of its own. A `Protocol` holds all of one group's rules; `PROTOCOLS` lists them. The
rules were read in the groups' released code. They all average over images, pooled
over the sub-sets.

SSIM is the same in all, and that of PCT-Net's tables: see `metrics.ssim_map`.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError
from imharmony.evaluation.protocols.resampling import Resampling, one_bit, resample
from imharmony.evaluation.protocols.scene import MaskArray, Scene, UInt8Array

__all__ = [
    "DCCF_FULL",
    "DOVENET_256",
    "FULL",
    "HDNET_256",
    "IDIH_256",
    "OURS_256",
    "PCT_FULL",
    "PROTOCOLS",
    "S2CRNET_256",
    "Protocol",
    "choose_protocols",
]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Protocol:
    """How pictures are made ready, and how their difference becomes numbers."""

    name: str
    source: str
    """Whose code the rules were read in."""
    size: int | None
    """Height and width that all pictures are stretched to; None keeps their own."""
    resampling: Resampling
    mask: Literal["> 127", "gray", "1-bit"]
    background: Literal["composite's", "real"]
    """What surrounds the foreground in the composite that is harmonized."""
    rounding: Literal["nearest", "down", "none"]
    """How a prediction becomes 8-bit levels."""
    region: Literal["blended over the composite", "error times mask", "whole image"]
    peak: Literal["255", "the real photo's maximum", "the prediction's range"]
    """Of PSNR."""
    fmse: Literal[
        "over the foreground", "whole image's by area", "masked images' by area"
    ]
    area: Literal["sum of the mask", "pixels not 0"] = "sum of the mask"
    epsilon: float = 0.0
    """What is added to a divisor: to the MSE in PSNR, to the weight in fMSE."""

    @property
    def has_blending(self) -> bool:
        """Whether the composite replaces the prediction outside the mask."""
        return self.region == "blended over the composite"

    @property
    def has_local_error(self) -> bool:
        """Whether what a prediction holds outside the mask does not count."""
        return self.region != "whole image"

    def describe(self) -> str:
        """Say the rules in one line.

        Examples
        --------
        >>> PCT_FULL.describe()
        "native size; mask gray; composite's background; not rounded; error times \
mask; PSNR peak 255; fMSE over the foreground"
        """
        size = f"{self.size}x{self.size}, {self.resampling}"
        rounding = {"nearest": "rounded", "down": "rounded down", "none": "not rounded"}
        background = "real" if self.background == "real" else "composite's"
        return "; ".join(
            (
                "native size" if self.size is None else size,
                f"mask {self.mask}",
                f"{background} background",
                rounding[self.rounding],
                self.region,
                f"PSNR peak {self.peak}",
                f"fMSE {self.fmse}",
            )
        )

    def differences(self, other: "Protocol") -> list[str]:
        """List the rules in which another protocol differs.

        Examples
        --------
        >>> PCT_FULL.differences(DCCF_FULL)
        ["peak: 255 or the real photo's maximum"]
        """
        return [
            f"{field.name}: {ours} or {theirs}"
            for field in fields(self)
            if field.name not in ("name", "source")
            and (ours := getattr(self, field.name) or "none")
            != (theirs := getattr(other, field.name) or "none")
        ]

    def prepare(self, scene: Scene) -> Scene:
        """Resample a scene as stored, and its mask, and rebuild its composite.

        Raises
        ------
        UsageError
            If the resampling needs a package that is not installed.
        """
        mask = self._prepare_mask(scene.mask)
        composite, real = map(self.resample, (scene.composite, scene.real))
        if self.background == "real":
            composite = np.where(mask[..., None] > 0, composite, real)
        return Scene(composite, real, mask)

    def resample(self, picture: UInt8Array) -> UInt8Array:
        """Stretch 8-bit pixels (H, W) or (H, W, 3) to the protocol's size."""
        if self.size is None:
            return picture
        return resample(picture, (self.size, self.size), self.resampling)

    def quantize(self, values: FloatArray) -> FloatArray:
        """Turn predicted levels into levels 0 … 255 by the protocol's rounding."""
        if self.rounding == "nearest":
            values = np.floor(values + 0.5)
        elif self.rounding == "down":
            # 1e-6: a curve that leaves a level alone may miss it by a last bit.
            values = np.floor(values + 1e-6)
        return np.clip(values, 0, 255)

    def measure_area(self, scene: Scene) -> float:
        """Size of a prepared scene's foreground in pixels, by the protocol's count."""
        if self.area == "pixels not 0":
            return float(np.count_nonzero(scene.mask))
        return float(scene.mask.sum(dtype=np.float64)) / 255

    def check_installed(self) -> None:
        """Raise a `UsageError` if a package that the resampling needs is missing."""
        self.resample(np.zeros((1, 1), np.uint8))

    def _prepare_mask(self, stored: MaskArray) -> MaskArray:
        levels = stored.astype(np.uint8, copy=False)
        if self.mask == "> 127":
            return np.where(self.resample(levels) > 127, np.uint8(255), np.uint8(0))
        if self.size is None:
            return levels
        if self.mask == "1-bit":
            return one_bit(levels, (self.size, self.size))
        if self.resampling == "OpenCV linear":
            size = (self.size, self.size)
            return resample(levels.astype(np.float32), size, self.resampling)
        return self.resample(levels)


FULL = Protocol(
    name="full",
    source="imharmony",
    size=None,
    resampling="none",
    mask="> 127",
    background="composite's",
    rounding="nearest",
    region="blended over the composite",
    peak="255",
    fmse="over the foreground",
)
"""Ours, the default: what a user gets and sees.

Pictures as stored; foreground where the mask is above 127. The prediction is rounded
to 8 bit and stands for the composite in the foreground only. MSE over all pixels and
channels, PSNR = 10·log10(255² / MSE), at most 100; fMSE = Σ over the foreground of the
squared error / (3 · its pixels).
"""

OURS_256 = Protocol(
    name="256",
    source="imharmony",
    size=256,
    resampling="libvips linear",
    mask="> 127",
    background="composite's",
    rounding="nearest",
    region="blended over the composite",
    peak="255",
    fmse="over the foreground",
)
"""Ours at 256×256: `full` after antialiased bilinear resampling, of the mask too, which
is cut at one half after it. The method sees the small pictures.
"""

PCT_FULL = Protocol(
    name="pct-full",
    source="PCT-Net (J. J. A. Guerreiro et al., CVPR 2023)",
    size=None,
    resampling="none",
    mask="gray",
    background="composite's",
    rounding="none",
    region="error times mask",
    peak="255",
    fmse="over the foreground",
    epsilon=1e-6,
)
"""PCT-Net at full resolution, the one with published per-image tables.

Gray mask m = level / 255, prediction clamped but not rounded. MSE = mean of m·d²,
PSNR = 10·log10(255² / (MSE + 1e-6)), fMSE = Σ m·d² / (3·Σm + 1e-6).
"""

DCCF_FULL = Protocol(
    name="dccf-full",
    source="DCCF (B. Xue et al., ECCV 2022), INR-Harmonization (J. Chen et al., 2023)",
    size=None,
    resampling="none",
    mask="gray",
    background="composite's",
    rounding="none",
    region="error times mask",
    peak="the real photo's maximum",
    fmse="over the foreground",
    epsilon=1e-6,
)
"""DCCF at full resolution: `pct-full` with the real photo's own maximum as the peak."""

IDIH_256 = Protocol(
    name="idih256",
    source="iDIH (K. Sofiiuk et al., WACV 2021), CDTNet (W. Cong et al., CVPR 2022)",
    size=256,
    resampling="OpenCV linear",
    mask="gray",
    background="composite's",
    rounding="none",
    region="whole image",
    peak="the real photo's maximum",
    fmse="over the foreground",
    epsilon=1e-6,
)
"""iDIH: OpenCV's linear resampling, which looks at 2×2 pixels however much it shrinks,
8-bit pictures and the float mask alike. The whole prediction counts, clamped but not
rounded: MSE = mean of d², PSNR = 10·log10(max(real)² / (MSE + 1e-6)), fMSE =
Σ m·d² / (3·Σm + 1e-6).
"""

HDNET_256 = Protocol(
    name="hdnet256",
    source="RainNet (J. Ling et al., CVPR 2021), HDNet (H. Chen et al., 2023)",
    size=256,
    resampling="Pillow bilinear",
    mask="1-bit",
    background="real",
    rounding="down",
    region="whole image",
    peak="255",
    fmse="whole image's by area",
)
"""RainNet and HDNet: Pillow's antialiased bilinear resampling; the mask is made 1-bit
(Pillow's dithering) and takes the nearest pixel. The composite gets the real photo's
background before it is harmonized, so only the foreground differs. 8 bit by cutting
off the fraction. fMSE = MSE · 65,536 / Σm.

Differs from the released code: theirs also sends the stored pictures through
(v − 0.5) / 0.5 and back in single precision before it cuts, which takes one level off
the values 1 to 63 of both pictures.
"""

DOVENET_256 = Protocol(
    name="dovenet256",
    source="DoveNet (W. Cong et al., CVPR 2020), BargainNet (ICME 2021)",
    size=256,
    resampling="Pillow bilinear",
    mask="1-bit",
    background="composite's",
    rounding="down",
    region="whole image",
    peak="the prediction's range",
    fmse="masked images' by area",
)
"""DoveNet and BargainNet: pictures and mask resampled as in `hdnet256`, but the
composite keeps its background and the whole picture counts. PSNR's peak is maximum −
minimum of the prediction, so that PSNR is up to 1.5 dB lower than with 255. fMSE =
MSE(prediction·m, real·m) · 65,536 / Σm. Differs from the released code as `hdnet256`.
"""

S2CRNET_256 = Protocol(
    name="s2crnet256",
    source="S2CRNet (J. Liang et al., ECCV 2022)",
    size=256,
    resampling="Pillow bilinear",
    mask="gray",
    background="composite's",
    rounding="down",
    region="whole image",
    peak="the prediction's range",
    fmse="masked images' by area",
    area="pixels not 0",
)
"""S²CRNet: `dovenet256` but for the mask, which stays gray and is resampled like the
pictures: fMSE = MSE(prediction·m, real·m) · 65,536 / #(m > 0).
"""

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        FULL,
        OURS_256,
        PCT_FULL,
        DCCF_FULL,
        IDIH_256,
        HDNET_256,
        DOVENET_256,
        S2CRNET_256,
    )
}
"""All protocols by name."""


def choose_protocols(names: list[str]) -> list[Protocol]:
    """Look protocols up by name; a name may be several with commas between.

    Raises
    ------
    UsageError
        If there is no such protocol.

    Examples
    --------
    >>> [protocol.name for protocol in choose_protocols(["full,256", "full"])]
    ['full', '256']
    """
    chosen = {}
    for name in (part.strip() for text in names for part in text.split(",")):
        if name not in PROTOCOLS:
            msg = f"protocol is one of {', '.join(PROTOCOLS)}, got {name!r}"
            raise UsageError(msg)
        chosen[name] = PROTOCOLS[name]
    return list(chosen.values())
