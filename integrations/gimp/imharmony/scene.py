"""The scene of a layer as files for the command, and the recolored layer back.

GIMP writes and reads TIFF, with the image's profile, at 8 or 16 bit or in floats.
Nothing is changed in the image until the result goes in.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, Gio  # noqa: E402

__all__ = ["Scene", "SceneError", "export", "insert"]

P = Gimp.Precision
EIGHT_BIT = {P.U8_LINEAR, P.U8_NON_LINEAR, P.U8_PERCEPTUAL}
SIXTEEN_BIT = {P.U16_LINEAR, P.U16_NON_LINEAR, P.U16_PERCEPTUAL}

PREVIEW_PX = 420


class SceneError(Exception):
    """The layer cannot be harmonized; the message is for the user."""


@dataclass(frozen=True)
class Scene:
    """Files of a layer and of what it lies on."""

    composite: Path
    """What is seen of the layer and of everything below it, flattened."""
    mask: Path
    """White where the layer is seen: alpha, layer mask and selection."""
    layer: Path
    """The layer alone, of its own size, with alpha."""
    selection: Path | None
    """What of the layer is selected, of its size; None if nothing is."""
    small_composite: Path
    small_mask: Path


def export(image: Gimp.Image, layer: Gimp.Layer, folder: Path) -> Scene:
    """Write the files.

    Raises
    ------
    SceneError
        If the layer is a group, covers everything, is not seen, or lies on nothing.
    """
    if layer.is_group():
        raise SceneError("Choose a layer, not a group of layers.")
    copy = image.duplicate()
    try:
        twin = _find_twin(copy, layer, image)
        if not _hide_above(copy, twin):
            raise SceneError("There is nothing visible below this layer to fit it to.")
        selected = None
        if not Gimp.Selection.is_empty(copy):
            selected = Gimp.Selection.save(copy)
        selection = _write_selection(selected, twin, folder / "selection.png")
        copy.select_item(Gimp.ChannelOps.REPLACE, twin)
        if twin.get_mask() is not None and twin.get_apply_mask():
            copy.select_item(Gimp.ChannelOps.INTERSECT, twin.get_mask())
        if selected is not None:
            copy.select_item(Gimp.ChannelOps.INTERSECT, selected)
            copy.remove_channel(selected)
        pixels = _bytes_of(
            copy.get_selection(), 0, 0, copy.get_width(), copy.get_height()
        )
        _check_mask(pixels)
        mask = _write_png(
            folder / "mask.png", copy.get_width(), copy.get_height(), pixels
        )
        layer_file = _write_layer(image, layer, folder / "layer.tif")
        copy.flatten()
        is_8_bit = copy.get_precision() in EIGHT_BIT
        _convert(copy, P.U8_NON_LINEAR if is_8_bit else P.U16_NON_LINEAR)
        composite = _write_tiff(copy, folder / "composite.tif")
        small, small_mask = _write_small(copy, pixels, folder)
        return Scene(composite, mask, layer_file, selection, small, small_mask)
    finally:
        copy.delete()


def insert(image: Gimp.Image, layer: Gimp.Layer, recolored: Path) -> Gimp.Layer:
    """Put the recolored layer above the one it was made from, and hide that.

    All in one step of undo. Mask, mode, opacity, place and size are the layer's own.
    """
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, _gio(recolored))
    _convert(loaded, image.get_precision())
    (source,) = loaded.get_layers()
    image.undo_group_start()
    try:
        result = layer.copy()
        result.set_name(f"{layer.get_name()} harmonized")
        position = image.get_item_position(layer)
        image.insert_layer(result, layer.get_parent(), position)
        result.merge_filters()
        width, height = result.get_width(), result.get_height()
        whole = Gegl.Rectangle.new(0, 0, width, height)
        buffer = result.get_buffer()
        source.get_buffer().copy(whole, Gegl.AbyssPolicy.NONE, buffer, whole)
        buffer.flush()
        result.update(0, 0, width, height)
        layer.set_visible(False)
        image.set_selected_layers([result])
        return result
    finally:
        image.undo_group_end()
        loaded.delete()


def _find_twin(copy: Gimp.Image, layer: Gimp.Layer, image: Gimp.Image) -> Gimp.Layer:
    """Find the layer in a duplicate of its image."""
    path = []
    item = layer
    while item is not None:
        path.append(image.get_item_position(item))
        item = item.get_parent()
    siblings = copy.get_layers()
    for position in reversed(path):
        twin = siblings[position]
        siblings = twin.get_children() if twin.is_group() else []
    return twin


def _hide_above(copy: Gimp.Image, twin: Gimp.Layer) -> bool:
    """Hide what lies above; say whether something visible lies below."""
    has_scene = False
    item = twin
    while item is not None:
        item.set_visible(True)
        parent = item.get_parent()
        siblings = copy.get_layers() if parent is None else parent.get_children()
        position = copy.get_item_position(item)
        for above in siblings[:position]:
            above.set_visible(False)
        has_scene |= any(below.get_visible() for below in siblings[position + 1 :])
        item = parent
    return has_scene


def _check_mask(pixels: bytes) -> None:
    """Refuse a mask that leaves no object or no scene."""
    if not any(pixels):
        raise SceneError(
            "Nothing of this layer is seen: it is transparent, masked, or not selected."
        )
    if pixels.count(255) == len(pixels):
        raise SceneError(
            "This layer covers everything. Cut the object out, give the layer a mask, "
            "or select the object."
        )


def _write_selection(
    selected: Gimp.Channel | None, twin: Gimp.Layer, path: Path
) -> Path | None:
    """Write what of a layer is selected."""
    if selected is None:
        return None
    _, left, top = twin.get_offsets()
    width, height = twin.get_width(), twin.get_height()
    return _write_png(
        path, width, height, _bytes_of(selected, left, top, width, height)
    )


def _write_layer(image: Gimp.Image, layer: Gimp.Layer, path: Path) -> Path:
    """Write a layer as it is, without its mask, at the depth that TIFF has for it."""
    precision = image.get_precision()
    # A duplicate keeps every bit; a new image with a copied layer would convert colors.
    alone = image.duplicate()
    try:
        twin = _find_twin(alone, layer, image)
        if twin.get_mask() is not None:
            twin.remove_mask(Gimp.MaskApplyMode.DISCARD)
        twin.merge_filters()
        twin.set_mode(Gimp.LayerMode.NORMAL)
        twin.set_opacity(100)
        twin.set_visible(True)
        alone.reorder_item(twin, None, 0)
        for other in alone.get_layers()[1:]:
            alone.remove_layer(other)
        _, left, top = twin.get_offsets()
        alone.resize(twin.get_width(), twin.get_height(), -left, -top)
        if precision in EIGHT_BIT:
            _convert(alone, P.U8_NON_LINEAR)
        elif precision in SIXTEEN_BIT:
            _convert(alone, P.U16_NON_LINEAR)
        else:
            _convert(alone, P.FLOAT_NON_LINEAR)
        return _write_tiff(alone, path)
    finally:
        alone.delete()


def _write_small(copy: Gimp.Image, mask: bytes, folder: Path) -> tuple[Path, Path]:
    """Write the composite and its mask at the size of the preview."""
    width, height = copy.get_width(), copy.get_height()
    scale = min(1.0, PREVIEW_PX / max(width, height))
    small_width, small_height = (
        max(1, round(width * scale)),
        max(1, round(height * scale)),
    )
    columns = [x * width // small_width for x in range(small_width)]
    rows = [y * height // small_height for y in range(small_height)]
    small_mask = bytes(mask[y * width + x] for y in rows for x in columns)
    _convert(copy, P.U8_NON_LINEAR)
    copy.scale(small_width, small_height)
    return (
        _write_tiff(copy, folder / "small.tif"),
        _write_png(folder / "small-mask.png", small_width, small_height, small_mask),
    )


def _convert(image: Gimp.Image, precision: Gimp.Precision) -> None:
    """Convert a precision; GIMP calls it an error if there is nothing to do."""
    if image.get_precision() != precision:
        image.convert_precision(precision)


def _bytes_of(
    channel: Gimp.Channel, left: int, top: int, width: int, height: int
) -> bytes:
    """Read a part of a channel at 8 bit, 0 beyond its edges."""
    part = Gegl.Rectangle.new(left, top, width, height)
    return bytes(channel.get_buffer().get(part, 1.0, "Y u8", Gegl.AbyssPolicy.NONE))


def _write_png(path: Path, width: int, height: int, pixels: bytes) -> Path:
    """Write one channel of 8 bit."""
    rows = b"".join(b"\0" + pixels[y * width : (y + 1) * width] for y in range(height))

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )
    return path


def _write_tiff(image: Gimp.Image, path: Path) -> Path:
    """Let GIMP write an image of one layer, with its profile."""
    procedure = Gimp.get_pdb().lookup_procedure("file-tiff-export")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_property("file", _gio(path))
    config.set_property("save-transparent-pixels", True)
    config.set_property("include-color-profile", True)
    config.set_property("include-thumbnail", False)
    result = procedure.run(config)
    if result.index(0) != Gimp.PDBStatusType.SUCCESS or not path.is_file():
        raise SceneError(f"GIMP could not write {path.name} into the temporary folder.")
    return path


def _gio(path: Path) -> Gio.File:
    return Gio.File.new_for_path(str(path))
