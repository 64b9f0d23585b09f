"""Nodes that look at a picture and recolor a region of it."""

import logging

import numpy as np
import torch
from comfy_api.latest import io

from imharmony.errors import UsageError
from imharmony.images import compositing, photo

from .batches import FloatArray, arrays, fit_masks, log_warnings, repeat, steps
from .matching import match_region
from .networks import (
    CurvesType,
    choices,
    label_input,
    load,
    model_input,
    seam_input,
    strength_input,
)

__all__ = ["CATEGORY", "Harmonize", "HarmonizePaste", "MatchInpaintedRegion"]

CATEGORY = "image/harmonize"

log = logging.getLogger("imharmony")


class Harmonize(io.ComfyNode):
    """Recolor what the mask covers so that it fits the rest of the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node to ComfyUI."""
        return io.Schema(
            node_id="ImharmonyHarmonize",
            display_name="Harmonize",
            category=CATEGORY,
            description="Recolors what the mask covers so that it looks as if it had "
            "been photographed in the rest of the picture. The rest stays as it is, "
            "bit for bit. Works on batches.",
            inputs=[
                io.Image.Input("image", tooltip="Pictures with something pasted in."),
                io.Mask.Input(
                    "mask",
                    tooltip="1 where the pasted object is. Soft edges are blended. Of "
                    "any size; one mask serves a whole batch.",
                ),
                strength_input(),
                label_input(),
                seam_input(),
                model_input(),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="Another photo to fit the object to, instead of the "
                    "picture's own background.",
                ),
            ],
            outputs=[
                io.Image.Output("harmonized", display_name="image"),
                CurvesType.Output(
                    "curves",
                    display_name="curves",
                    tooltip="What was applied to each picture.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        mask: torch.Tensor,
        strength: float,
        label: str,
        seam: str,
        model: str,
        reference: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Harmonize each picture of a batch."""
        pictures, masks = arrays(image), fit_masks(mask, image)
        options = choices(label, seam)
        others: list[FloatArray | None] = [None] * len(pictures)
        if reference is not None:
            others = repeat(list(arrays(reference)), len(pictures))
        harmonized = np.empty_like(pictures)
        curves = []
        with log_warnings():
            for i in steps(len(pictures)):
                result = load(model)(
                    pictures[i],
                    masks[i],
                    strength=strength,
                    reference=others[i],
                    out=harmonized[i],
                    **options,
                )
                curves.append(result.curves)
        return io.NodeOutput(
            torch.from_numpy(harmonized).to(image.device), tuple(curves)
        )


class HarmonizePaste(io.ComfyNode):
    """Put a cut-out on a background and recolor it so that it fits."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node to ComfyUI."""
        return io.Schema(
            node_id="ImharmonyPaste",
            display_name="Harmonize Paste",
            category=CATEGORY,
            description="Puts a cut-out on a background and recolors it so that it "
            "looks as if it had been photographed there.",
            inputs=[
                io.Image.Input("background", tooltip="The scene; it sets the size."),
                io.Image.Input("cutout", tooltip="The object to paste."),
                io.Mask.Input(
                    "mask",
                    tooltip="1 where the object is. Load Image gives the opposite for "
                    "a picture with alpha: put Invert Mask between.",
                ),
                io.String.Input(
                    "at",
                    default="0,0",
                    tooltip="Where the cut-out's top left corner goes, as X,Y: pixels, "
                    "such as 120,80, or percent of the background, such as 6%,24%.",
                ),
                io.String.Input(
                    "scale",
                    default="100%",
                    tooltip="Size of the cut-out: percent of its own size, or its "
                    "width in pixels.",
                ),
                strength_input(),
                label_input(),
                model_input(),
            ],
            outputs=[
                io.Image.Output("harmonized", display_name="image"),
                io.Mask.Output(
                    "place",
                    display_name="mask",
                    tooltip="Where the object is in the picture.",
                ),
                CurvesType.Output("curves", display_name="curves"),
            ],
        )

    @classmethod
    def validate_inputs(cls, at: str = "0,0", scale: str = "100%") -> bool | str:
        """Say what is wrong about a position or a size before anything runs."""
        try:
            compositing.parse_point(at)
            compositing.parse_length(scale)
        except UsageError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        background: torch.Tensor,
        cutout: torch.Tensor,
        mask: torch.Tensor,
        at: str,
        scale: str,
        strength: float,
        label: str,
        model: str,
    ) -> io.NodeOutput:
        """Paste on and harmonize each picture of a batch of backgrounds or cut-outs."""
        count = max(len(background), len(cutout))
        scenes = repeat(list(arrays(background)), count)
        masks = fit_masks(mask, cutout)[..., np.newaxis]
        cutouts = np.concatenate([arrays(cutout)[..., :3], masks], axis=-1)
        objects = repeat(list(cutouts), count)
        options = choices(label, "auto")
        pictures, places, curves = [], [], []
        with log_warnings():
            for i in steps(count):
                pasted = compositing.paste(
                    photo.from_array(objects[i], name="cutout"),
                    photo.from_array(scenes[i], name="background"),
                    at=compositing.parse_point(at),
                    scale=compositing.parse_length(scale),
                )
                place = photo.to_array(pasted.mask)[..., 0]
                composite = photo.to_array(pasted.composite)
                # Scaling overshoots at hard edges; whole numbers are clipped by paste.
                clipped = np.clip(composite, 0, 1)
                composite = np.where(place[..., np.newaxis] > 0, clipped, composite)
                result = load(model)(
                    composite,
                    place,
                    strength=strength,
                    **options,
                )
                pictures.append(result.image)
                places.append(place.astype(np.float32) / 255)
                curves.append(result.curves)
        device = background.device
        return io.NodeOutput(
            torch.from_numpy(np.stack(pictures)).to(device),
            torch.from_numpy(np.stack(places)).to(device),
            tuple(curves),
        )


class MatchInpaintedRegion(io.ComfyNode):
    """Give an inpainted region the colors of the picture around it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node to ComfyUI."""
        return io.Schema(
            node_id="ImharmonyMatchInpainted",
            display_name="Match Inpainted Region",
            category=CATEGORY,
            description="Puts the inpainted region into the original and gives it the "
            "colors of what is around it. Everything else is the original, bit for "
            "bit.",
            inputs=[
                io.Image.Input("original", tooltip="The picture before inpainting."),
                io.Image.Input(
                    "inpainted", tooltip="The picture after it, of the same size."
                ),
                io.Mask.Input("mask", tooltip="The mask that was inpainted."),
                strength_input(),
                label_input(),
                model_input(),
                io.Boolean.Input(
                    "undo_drift",
                    default=True,
                    tooltip="Encoding and decoding change the colors of the whole "
                    "picture. Measure that where nothing was inpainted, and undo it.",
                ),
            ],
            outputs=[
                io.Image.Output("matched", display_name="image"),
                CurvesType.Output("curves", display_name="curves"),
            ],
        )

    @classmethod
    def execute(
        cls,
        original: torch.Tensor,
        inpainted: torch.Tensor,
        mask: torch.Tensor,
        strength: float,
        label: str,
        model: str,
        undo_drift: bool,
    ) -> io.NodeOutput:
        """Match each picture of a batch of inpainted ones with its original."""
        if original.shape[1:3] != inpainted.shape[1:3]:
            height, width = original.shape[1:3]
            got_height, got_width = inpainted.shape[1:3]
            msg = f"inpainted: expected the original's size, {width} x {height}, got "
            hint = "; crop or resize the original before inpainting"
            raise UsageError(f"{msg}{got_width} x {got_height}{hint}")
        pictures = arrays(inpainted)[..., :3]
        originals = repeat(list(arrays(original)[..., :3]), len(pictures))
        masks = fit_masks(mask, inpainted)
        options = choices(label, "auto")
        if "seam" in options:
            options["seam"] = "trust"
        else:
            log.warning("the installed imharmony cannot look at the seam; update it")
        matched = np.empty_like(pictures)
        curves = []
        with log_warnings():
            for i in steps(len(pictures)):
                matched[i], applied = match_region(
                    originals[i],
                    pictures[i],
                    masks[i],
                    load(model),
                    strength=strength,
                    undo_drift=undo_drift,
                    **options,
                )
                curves.append(applied)
        return io.NodeOutput(
            torch.from_numpy(matched).to(inpainted.device), tuple(curves)
        )
