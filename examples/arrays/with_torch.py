"""torch: a batch (B, 3, H, W) on any device; the network itself runs on the CPU.

python examples/arrays/with_torch.py COMPOSITE MASK OUTPUT
"""

import sys

import numpy as np
import torch
from PIL import Image

from imharmony import Harmonizer

harmonizer = Harmonizer()  # loaded once


def harmonize_batch(composites: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Harmonize (B, 3, H, W) in [0, 1] by masks (B, 1, H, W)."""
    pictures = composites.detach().cpu().movedim(1, -1).contiguous().numpy()
    harmonized = np.empty_like(pictures)
    for picture, mask, out in zip(pictures, masks[:, 0].cpu(), harmonized, strict=True):
        harmonizer(picture, mask.numpy(), out=out)
    return torch.from_numpy(harmonized).movedim(-1, 1).to(composites.device)


composite_path, mask_path, output_path = sys.argv[1:]
picture = np.asarray(Image.open(composite_path).convert("RGB"), np.float32) / 255
mask = np.asarray(Image.open(mask_path).convert("L"), np.float32) / 255
batch = torch.from_numpy(picture).movedim(-1, 0)[None]  # (1, 3, H, W)
after = harmonize_batch(batch, torch.from_numpy(mask)[None, None])
pixels = (255 * after[0].movedim(0, -1).clamp(0, 1)).round().to(torch.uint8)
Image.fromarray(pixels.numpy()).save(output_path)
print(tuple(after.shape))
