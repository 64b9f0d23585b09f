"""Nodes that make a pasted or inpainted region fit its picture, by imharmony."""

from comfy_api.latest import ComfyExtension, io

from .curve_nodes import ApplyCurves, LoadCurves, SaveCurves
from .picture_nodes import Harmonize, HarmonizePaste, MatchInpaintedRegion

__all__ = ["HarmonyExtension", "comfy_entrypoint"]


class HarmonyExtension(ComfyExtension):
    """What ComfyUI asks for the nodes of this folder."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the node classes, in the order of the menu."""
        return [
            Harmonize,
            HarmonizePaste,
            MatchInpaintedRegion,
            ApplyCurves,
            SaveCurves,
            LoadCurves,
        ]


async def comfy_entrypoint() -> HarmonyExtension:
    """Return the extension; ComfyUI calls this once, after the import."""
    return HarmonyExtension()
