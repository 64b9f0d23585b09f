"""The parts of each request and the shape of each answer; OpenAPI is made from them."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from imharmony.inference.choices import SeamUse
from imharmony.labels import Label
from imharmony.web.uploads import Upload

__all__ = [
    "BatchForm",
    "CurvesForm",
    "ErrorAnswer",
    "Form",
    "GridForm",
    "HarmonizeForm",
    "Health",
    "Models",
    "RenderForm",
]


_FORMATS = {"jpeg": "jpg", "jfif": "jpg", "tiff": "tif"}


def _to_format(text: Any) -> Any:
    """Accept a format's other names: JPEG, .jpg, tiff."""
    if not isinstance(text, str):
        return text
    name = text.strip().lower().removeprefix(".")
    return _FORMATS.get(name, name)


def _to_label(text: Any) -> Any:
    return text.strip().lower() if isinstance(text, str) else text


File = Annotated[
    InstanceOf[Upload], WithJsonSchema({"type": "string", "format": "binary"})
]
OptionalFile = File | SkipJsonSchema[None]
Flag = bool
"""From true, yes, on, 1, and their opposites, in any case: what pydantic takes."""
Strength = Annotated[
    float,
    Field(
        ge=0,
        le=10,
        description="How much of the change to apply: 0 none, 1 all, above 1 "
        "exaggerates.",
    ),
]
Seam = Annotated[
    SeamUse,
    Field(
        description="Pixels across the mask's edge: auto lets the network judge "
        "whether the foreground is of the same scene; trust says it is (edited, "
        "inpainted or relit in place); ignore does not look.",
    ),
]
_LENGTH = r"[+-]?(\d{1,7}(\.\d{0,3})?|\.\d{1,3})(px|%)?"


class Form(BaseModel):
    """A multipart body; unknown parts are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Pictures(Form):
    """A composite and its mask, or a cut-out and the background it is put on."""

    composite: OptionalFile = Field(
        None, description="JPEG, PNG, WebP, TIFF or AVIF, 8 or 16 bit or float."
    )
    mask: OptionalFile = Field(
        None,
        description="Of the composite: white where the pasted foreground is. Left "
        "out, the composite's alpha is the mask.",
    )
    resize_mask: Flag = Field(
        False, description="Fit a mask of another size to the composite."
    )
    cutout: OptionalFile = Field(None, description="Picture with alpha, to be pasted.")
    background: OptionalFile = Field(
        None, description="Photo that the cut-out is pasted on."
    )
    at: str = Field(
        "0,0",
        pattern=rf"^{_LENGTH},{_LENGTH}$",
        description="X,Y of the cut-out's top left corner: pixels, or percent of the "
        "background's width and height.",
    )
    scale: str = Field(
        "100%",
        pattern=rf"^{_LENGTH}$",
        description="Size of the cut-out: percent of its own, or its width in pixels.",
    )
    rotation: float = Field(
        0,
        ge=-360,
        le=360,
        description="Degrees clockwise by which the scaled cut-out is turned about "
        "its center.",
    )
    flip: Flag = Field(False, description="Mirror the cut-out left to right first.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_pictures()
        return self

    def _check_pictures(self) -> None:
        has_cutout = self.cutout is not None and self.background is not None
        has_both = self.composite is not None and (self.cutout or self.background)
        if has_both or not (self.composite is not None or has_cutout):
            raise ValueError("expected composite, or cutout and background")
        if has_cutout and self.mask is not None:
            raise ValueError("mask is for a composite; a cut-out brings its own alpha")


class _Look(_Pictures):
    """What the network is asked."""

    strength: Strength = 1.0
    label: Annotated[Label, BeforeValidator(_to_label)] | SkipJsonSchema[None] = Field(
        None, description="What the foreground is. Guessed by default."
    )
    model: str | SkipJsonSchema[None] = Field(
        None, max_length=100, description="One of `models`; the first by default."
    )
    seam: Seam = "auto"
    reference: OptionalFile = Field(
        None,
        description="Another photo to fit the foreground to, instead of its own "
        "background.",
    )


class _Written(Form):
    """How the answer is written."""

    format: (
        Annotated[
            Literal["png", "jpg", "webp", "tif", "avif"], BeforeValidator(_to_format)
        ]
        | SkipJsonSchema[None]
    ) = Field(None, description="Format of the answer; the photo's own by default.")
    quality: int | SkipJsonSchema[None] = Field(
        None, ge=1, le=100, description="Of JPEG, WebP or AVIF."
    )


class HarmonizeForm(_Look, _Written):
    """Photo in, harmonized photo out."""


class BatchForm(_Written):
    """Many composites in, a zip of harmonized photos and a report out."""

    composite: list[File] = Field(
        default_factory=list, description="Composites, one part for each."
    )
    mask: list[File] = Field(
        default_factory=list,
        description="Their masks, in the same order. Left out, alpha is the mask.",
    )
    archive: OptionalFile = Field(
        None,
        description="Instead of parts: a zip of composites and masks. A mask is called "
        "NAME_mask, or lies in a folder masks.",
    )
    resize_mask: Flag = Field(
        False, description="Fit masks of another size to their composites."
    )
    strength: Strength = 1.0
    label: Annotated[Label, BeforeValidator(_to_label)] | SkipJsonSchema[None] = Field(
        None, description="What all foregrounds are. Guessed for each by default."
    )
    model: str | SkipJsonSchema[None] = Field(
        None, max_length=100, description="One of `models`; the first by default."
    )
    seam: Seam = "auto"

    @model_validator(mode="after")
    def _check(self) -> Self:
        has_parts = bool(self.composite or self.mask)
        if has_parts == (self.archive is not None):
            raise ValueError("expected composites and their masks, or an archive")
        if has_parts and not self.composite:
            raise ValueError("expected composites, got masks alone")
        return self


class RenderForm(_Pictures, _Written):
    """Photo and curves in, photo out. Without a mask, all of it is recolored."""

    curves: OptionalFile = Field(
        None, description="JSON, .cube, .acv or a HaldCLUT; or else `grid`."
    )
    grid: OptionalFile = Field(
        None, description="What `grid` gave, for the same photo and place."
    )
    alpha_mask: Flag = Field(
        False, description="Without a mask, take the composite's alpha as the mask."
    )
    strength: Strength = 1.0

    def _check_pictures(self) -> None:
        super()._check_pictures()
        if (self.curves is None) == (self.grid is None):
            raise ValueError("expected curves, or a grid")


class GridForm(_Look):
    """Photo in, a change by place out, of a model without curves."""


class CurvesForm(_Look):
    """Photo in, curves out; or curves in, curves in another format out."""

    curves: OptionalFile = Field(
        None, description="Curves to convert, instead of pictures to look at."
    )
    format: Annotated[
        Literal["json", "cube", "acv", "hald"], BeforeValidator(_to_format)
    ] = "json"
    size: int | SkipJsonSchema[None] = Field(
        None,
        ge=2,
        le=256,
        description="Samples per channel: makes a .cube 3D (2 to 65), and sets those "
        "of a HaldCLUT (a square from 4 to 256).",
    )

    def _check_pictures(self) -> None:
        if self.curves is None:
            super()._check_pictures()
        elif self.composite or self.mask or self.cutout or self.background:
            raise ValueError("expected curves or pictures, not both")


class Limits(BaseModel):
    """What a request may hold."""

    max_bytes: int
    max_pixels: int
    work_s: float


class Health(BaseModel):
    """Whether the server works, and its limits."""

    status: Literal["ok"]
    version: str
    limits: Limits


class Model(BaseModel):
    """One network."""

    name: str
    labels: list[str]
    guesses_label: bool
    has_curves: bool = Field(
        description="Whether it predicts curves; where not, it changes colors by place."
    )


class Models(BaseModel):
    """All that can be asked for; the first is the default."""

    models: list[Model]


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="Stable; see docs/web.md.")
    message: str = Field(description="A sentence for people.")


class ErrorAnswer(BaseModel):
    """Every answer that is not the one asked for."""

    error: ErrorDetail
