"""Pillow: pictures to arrays and back; the profile goes along.

python examples/arrays/with_pillow.py COMPOSITE MASK OUTPUT
"""

import sys

import numpy as np
from PIL import Image

from imharmony import harmonize

composite_path, mask_path, output_path = sys.argv[1:]
with Image.open(composite_path) as composite, Image.open(mask_path) as mask:
    profile = composite.info.get("icc_profile")
    result = harmonize(
        np.asarray(composite.convert("RGB")), np.asarray(mask.convert("L"))
    )
Image.fromarray(result.image).save(output_path, icc_profile=profile)
print(result.curves)
