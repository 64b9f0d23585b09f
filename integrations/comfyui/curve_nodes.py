"""Nodes for the curves themselves: apply, save, load."""

import hashlib
from pathlib import Path

import folder_paths
import numpy as np
import torch
from comfy_api.latest import io

from imharmony import Curves
from imharmony.curve_files import read_curves, write_curves

from .batches import arrays, fit_masks, log_warnings, repeat, steps
from .matching import blend
from .networks import CurvesType, strength_input
from .picture_nodes import CATEGORY

__all__ = ["ApplyCurves", "LoadCurves", "SaveCurves"]

FORMATS = {
    "json": (".json", None, None),
    "cube": (".cube", None, None),
    "cube 3D": (".cube", None, 65),
    "acv": (".acv", None, None),
    "hald": (".png", "hald", None),
}
"""Extension, kind and samples per channel of each format of Save Curves."""

SUFFIXES = {".json", ".cube", ".acv", ".png"}
NO_FILES = "(no curves yet)"


class ApplyCurves(io.ComfyNode):
    """Render curves without the network."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node to ComfyUI."""
        return io.Schema(
            node_id="ImharmonyApplyCurves",
            display_name="Apply Curves",
            category=CATEGORY,
            description="Recolors pictures by curves, without looking at them.",
            inputs=[
                io.Image.Input("image"),
                CurvesType.Input(
                    "curves",
                    tooltip="One for each picture; fewer are repeated.",
                ),
                strength_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where to recolor. Without one, everywhere.",
                ),
            ],
            outputs=[io.Image.Output("recolored", display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        curves: tuple[Curves, ...],
        strength: float,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Recolor each picture of a batch by its curves."""
        pictures = arrays(image)
        recolored = pictures.copy()
        looks = repeat(curves, len(pictures))
        if mask is None:
            masks = np.ones(pictures.shape[:3], np.float32)
        else:
            masks = fit_masks(mask, image)
        for i in steps(len(pictures)):
            color = pictures[i][..., :3]
            changed = np.clip(looks[i].blend(strength)(color), 0, 1)
            recolored[i][..., :3] = blend(color, changed, masks[i])
        return io.NodeOutput(torch.from_numpy(recolored).to(image.device))


class SaveCurves(io.ComfyNode):
    """Write curves for other programs into the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node to ComfyUI."""
        return io.Schema(
            node_id="ImharmonySaveCurves",
            display_name="Save Curves",
            category=CATEGORY,
            description="Writes curves into the output folder, one file for each "
            "picture: as JSON, as .cube for DaVinci Resolve and ffmpeg, as .acv for "
            "Photoshop, or as a HaldCLUT.",
            inputs=[
                CurvesType.Input("curves"),
                io.String.Input(
                    "filename_prefix",
                    default="curves/look",
                    tooltip="Folder and beginning of the names, as for Save Image.",
                ),
                io.Combo.Input(
                    "file_format",
                    options=list(FORMATS),
                    default="json",
                    tooltip="json loses nothing. cube is a 1D table, cube 3D one of 65 "
                    "samples per channel. acv has up to 16 points per channel. hald is "
                    "a picture.",
                ),
            ],
            outputs=[CurvesType.Output("same_curves", display_name="curves")],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, curves: tuple[Curves, ...], filename_prefix: str, file_format: str
    ) -> io.NodeOutput:
        """Write a file for each set of curves."""
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        suffix, kind, size = FORMATS[file_format]
        # The host counts pictures only: go on until a name is free.
        written = []
        with log_warnings():
            for look in curves:
                while (path := _numbered(folder, name, counter, suffix)).exists():
                    counter += 1
                write_curves(look, path, kind=kind, size=size)
                written.append(str(Path(subfolder) / path.name))
        return io.NodeOutput(curves, ui={"text": written})


class LoadCurves(io.ComfyNode):
    """Read curves from the input or the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node to ComfyUI."""
        return io.Schema(
            node_id="ImharmonyLoadCurves",
            display_name="Load Curves",
            category=CATEGORY,
            description="Reads curves from a .json, .cube, .acv or HaldCLUT .png file "
            "in the input or the output folder.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_list_files() or [NO_FILES],
                    tooltip="A file of curves. Press R to read the folders again.",
                )
            ],
            outputs=[CurvesType.Output("curves", display_name="curves")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        """Say before anything runs that a file is gone."""
        if file == NO_FILES or not folder_paths.exists_annotated_filepath(file):
            return f"expected curves in the input or the output folder, got {file}"
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        """Let the node run again when the file has changed."""
        path = Path(folder_paths.get_annotated_filepath(file))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        """Read one set of curves, for any number of pictures."""
        path = Path(folder_paths.get_annotated_filepath(file))
        return io.NodeOutput((read_curves(path),))


def _numbered(folder: str, name: str, counter: int, suffix: str) -> Path:
    return Path(folder) / f"{name}_{counter:05}{suffix}"


def _list_files() -> list[str]:
    """List files that may hold curves; ComfyUI names some "look.json [output]".

    Looks into both folders and into their subfolder "curves", where Save Curves writes.
    A .png is a HaldCLUT there, and a picture elsewhere.
    """
    names = []
    for folder, mark in (
        (Path(folder_paths.get_input_directory()), ""),
        (Path(folder_paths.get_output_directory()), " [output]"),
    ):
        paths = [*folder.glob("*"), *folder.glob("curves/*")]
        for path in sorted(paths):
            is_elsewhere = path.parent == folder
            suffixes = SUFFIXES - {".png"} if is_elsewhere else SUFFIXES
            if path.suffix.lower() in suffixes and path.is_file():
                names.append(path.relative_to(folder).as_posix() + mark)
    return names
