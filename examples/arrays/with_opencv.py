"""OpenCV: arrays are BGR, so turn the channels around before and after.

python examples/arrays/with_opencv.py COMPOSITE MASK OUTPUT
"""

import sys

import cv2

from imharmony import harmonize

composite_path, mask_path, output_path = sys.argv[1:]
composite = cv2.imread(composite_path, cv2.IMREAD_UNCHANGED)  # BGR, 8 or 16 bit
mask = cv2.imread(mask_path, cv2.IMREAD_GRAYSCALE)
if composite is None or mask is None:
    sys.exit("expected two pictures that OpenCV can read")
result = harmonize(cv2.cvtColor(composite, cv2.COLOR_BGR2RGB), mask)
cv2.imwrite(output_path, cv2.cvtColor(result.image, cv2.COLOR_RGB2BGR))
print(result.curves)
