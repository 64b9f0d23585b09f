"""Measure whether memory grows over an hour of frames, simulated.

    python benchmarks/frames_memory.py [FRAMES]

An hour of 24 frames a second is 86,400 frames. They are small, 90x160, so that the hour
takes minutes: what would grow is what is kept of each frame. The camera pans, and every
minute there is a new scene. Prints the resident memory of the process ten times.
"""

import sys
from pathlib import Path

import numpy as np

from imharmony import Harmonizer

H, W = 90, 160
RATE = 24
SCENE_FRAMES = 60 * RATE


def resident_mb() -> float:
    """Read the resident memory of this process; Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main(num_frames: int = 3600 * RATE) -> None:
    """Print a table."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:H, : W + SCENE_FRAMES // 8]
    mask = np.zeros((H, W), np.uint8)
    mask[20:70, 50:110] = 255
    stream = Harmonizer("s2crnet-cs", num_threads=1).stream(rate=RATE, every=RATE)
    wide = np.zeros((*x.shape, 3), np.uint8)
    print("| frames | resident MB |\n| --- | --- |")
    for number in range(num_frames):
        within = number % SCENE_FRAMES
        if within == 0:
            waves = [np.sin(x / rng.uniform(9, 30) + y / 20 + c) for c in range(3)]
            wide = (128 + 90 * np.stack(waves, -1)).astype(np.uint8)
        frame = np.ascontiguousarray(wide[:, within // 8 : within // 8 + W])
        frame[mask > 0] = frame[mask > 0] // 2 + 30
        stream(frame, mask, out=frame)
        if (number + 1) % max(1, num_frames // 10) == 0:
            print(f"| {number + 1} | {resident_mb():.1f} |", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
