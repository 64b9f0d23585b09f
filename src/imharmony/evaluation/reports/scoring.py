"""Score methods on pairs, several pairs at once."""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from imharmony.datasets.iharmony4 import PairFiles
from imharmony.errors import ImageError
from imharmony.evaluation.methods.methods import Method
from imharmony.evaluation.protocols.metrics import measure_all
from imharmony.evaluation.protocols.protocol import Protocol
from imharmony.evaluation.protocols.scene import load_scene

__all__ = ["Score", "score_pairs"]


@dataclass(frozen=True)
class Score:
    """One image under one method and protocol."""

    protocol: str
    method: str
    subset: str
    name: str
    mse: float
    psnr: float
    fmse: float
    se: float
    ssim: float
    height: int
    """Of the measured picture, in pixels."""
    width: int
    mask_area: float
    """Of the foreground, in pixels, as the protocol counts them."""

    @property
    def foreground_ratio(self) -> float:
        """Share of the picture that is foreground."""
        return self.mask_area / (self.height * self.width)


def score_pairs(
    pairs: Sequence[PairFiles],
    methods: Mapping[str, Method],
    protocols: Sequence[Protocol],
    *,
    num_threads: int = 1,
    on_failure: Callable[[PairFiles, ImageError], None] | None = None,
) -> Generator[list[Score], None, None]:
    """Score methods image by image.

    Parameters
    ----------
    pairs : sequence of PairFiles
    methods : mapping of str to Method
        By the name of their row.
    protocols : sequence of Protocol
    num_threads : int
        How many images are worked on at once; each is held in memory.
    on_failure : callable or None
        Told of pairs that cannot be used, which are then left out. None raises.

    Yields
    ------
    list of Score
        Of one image, one per protocol and method; images in their order. Empty where
        the pair could not be used.

    Raises
    ------
    ImageError, ShapeError
        If a picture cannot be used and `on_failure` is None.
    """

    def finish(pair: PairFiles, future: Future[list[Score]]) -> list[Score]:
        try:
            return future.result()
        except ImageError as error:
            if on_failure is None:
                raise
            on_failure(pair, error)
            return []

    pool = ThreadPoolExecutor(num_threads)
    waiting: deque[tuple[PairFiles, Future[list[Score]]]] = deque()
    try:
        for pair in pairs:
            waiting.append((pair, pool.submit(_score_pair, pair, methods, protocols)))
            if len(waiting) > num_threads:
                yield finish(*waiting.popleft())
        while waiting:
            yield finish(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _score_pair(
    pair: PairFiles, methods: Mapping[str, Method], protocols: Sequence[Protocol]
) -> list[Score]:
    stored = load_scene(pair)
    scores = []
    for protocol in protocols:
        scene = protocol.prepare(stored)
        recolorings = {
            name: method(pair, scene, protocol) for name, method in methods.items()
        }
        for name, metrics in measure_all(scene, protocol, recolorings).items():
            scores.append(
                Score(
                    protocol=protocol.name,
                    method=name,
                    subset=pair.subset,
                    name=pair.name,
                    **vars(metrics),
                    height=scene.size[0],
                    width=scene.size[1],
                    mask_area=protocol.measure_area(scene),
                )
            )
    return scores
