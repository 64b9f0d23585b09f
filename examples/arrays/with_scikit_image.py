"""scikit-image: floats in [0, 1], as its functions give them.

python examples/arrays/with_scikit_image.py COMPOSITE MASK OUTPUT
"""

import sys

import numpy as np
from skimage import filters, io, util

from imharmony import harmonize

composite_path, mask_path, output_path = sys.argv[1:]
composite = util.img_as_float32(io.imread(composite_path))
mask = util.img_as_float32(io.imread(mask_path))
soft = filters.gaussian(mask, sigma=1).astype(np.float32)  # feather the edge
result = harmonize(composite[..., :3], soft)
io.imsave(output_path, util.img_as_ubyte(np.clip(result.image, 0, 1)))
print(result.curves)
