"""A loaded weights file: thumbnails in, slopes or a picture out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError, WeightsError
from imharmony.inference import runtime
from imharmony.inference.contract import Contract
from imharmony.inference.thumbnails import Thumbnails
from imharmony.labels import LABELS, label_index

__all__ = ["Network", "Prediction"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Prediction:
    """What the network says about one composite."""

    curve_params: FloatArray
    """(N, 3, K) float32: slopes of each stage."""
    label: str | None
    """The label used: the one given, the guessed one, or None without labels."""


class Network:
    """A loaded weights file; safe to call from several threads.

    Parameters
    ----------
    source : Path
        An `.onnx` file written by `imharmony export`.
    num_threads : int
        Threads ONNX Runtime uses within one call.
    provider : str or None
        An ONNX Runtime execution provider such as "CUDAExecutionProvider"; None
        takes the CPU.

    Raises
    ------
    WeightsError
        If the file is absent, not ONNX, or not written for imharmony.
    UsageError
        If the provider is not installed.
    """

    def __init__(
        self, source: Path, *, num_threads: int = 2, provider: str | None = None
    ) -> None:
        provider = provider or "CPUExecutionProvider"
        if provider not in (known := runtime.available_providers()):
            msg = f"provider is one of {', '.join(known)}, got {provider!r}"
            raise UsageError(msg)
        if num_threads < 1:
            msg = f"num_threads is at least 1, got {num_threads}"
            raise UsageError(msg)
        try:
            data = source.read_bytes()
        except OSError as error:
            msg = f"{source}: cannot read weights: {error.strerror or error}"
            raise WeightsError(msg) from error
        try:
            self._session = runtime.start_session(
                data, num_threads=num_threads, provider=provider
            )
        except Exception as error:  # ONNX Runtime's own classes derive from Exception
            got = f"one that cannot be loaded ({error})"
            if data[8:9] == b"{":
                got = "a safetensors checkpoint; 'imharmony export' makes .onnx of it"
            msg = f"{source}: expected an .onnx weights file, got {got}"
            raise WeightsError(msg) from error
        if provider not in self._session.get_providers():
            # ONNX Runtime takes the CPU when a provider's own libraries are missing.
            msg = f"provider {provider} is installed but does not start on this machine"
            raise UsageError(msg)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.contract = Contract.from_metadata(
            self._session.get_modelmeta().custom_metadata_map, name=str(source)
        )
        self._check_shapes(source)

    def _check_shapes(self, source: Path) -> None:
        """Compare the graph's inputs and outputs with the metadata."""
        height, width = self.contract.thumbnail_size
        gives_picture = self.contract.output == "picture"
        if gives_picture and self.contract.contexts != (0.0,):
            msg = (
                f"{source}: networks that give a picture see the whole photo, the "
                f"metadata say contexts {self.contract.contexts}"
            )
            raise WeightsError(msg)
        expected = {
            "composite": [3, height, width],
            "mask": [1, height, width],
            "foreground": [3, height, width],
            "foreground_mask": [1, height, width],
            "semantic_label": [len(self.contract.labels)],
        }
        self._inputs = [node.name for node in self._session.get_inputs()]
        shape = [self.contract.num_stages, 3, self.contract.num_pieces]
        outputs = {"curve_params": shape, "label_logits": expected["semantic_label"]}
        if gives_picture:
            expected = {name: expected[name] for name in ("composite", "mask")}
            outputs = {"harmonized": expected["composite"]}
        for node in (*self._session.get_inputs(), *self._session.get_outputs()):
            known = expected if node.name in self._inputs else outputs
            if known.get(node.name) != node.shape[1:]:
                msg = (
                    f"{source}: {node.name} has shape {node.shape[1:]}, the metadata "
                    f"say {known.get(node.name, 'there is none')}"
                )
                raise WeightsError(msg)
        missing = outputs.keys() - {node.name for node in self._session.get_outputs()}
        if missing:
            msg = f"{source}: the network has no output {' or '.join(sorted(missing))}"
            raise WeightsError(msg)

    def predict(self, thumbnails: Thumbnails, *, label: str | None) -> Prediction:
        """Run the network on one composite.

        Parameters
        ----------
        thumbnails : Thumbnails
            Of the size in `contract.thumbnail_size`.
        label : str or None
            One of `LABELS`; None lets the network guess, or takes "others" where
            it cannot.

        Returns
        -------
        Prediction

        Raises
        ------
        UsageError
            If the label is unknown.
        """
        one_hot = np.zeros((1, len(self.contract.labels)), np.float32)
        if label is None and not self.contract.guesses_label:
            label = LABELS[-1]
        if label is not None:
            one_hot[0, label_index(label, self.contract.labels)] = 1
        feeds = {
            "composite": thumbnails.composite,
            "mask": thumbnails.mask,
            "foreground": thumbnails.foreground[None],
            "foreground_mask": thumbnails.foreground_mask[None],
            "semantic_label": one_hot,
        }
        curve_params, logits = self._session.run(
            ["curve_params", "label_logits"], {k: feeds[k] for k in self._inputs}
        )
        if not self.contract.has_semantic_label:
            label = None
        elif label is None:
            label = self.contract.labels[int(logits[0].argmax())]
        return Prediction(curve_params[0], label)

    def repaint(self, thumbnails: Thumbnails) -> FloatArray:
        """Run a network that gives a picture on one composite.

        Parameters
        ----------
        thumbnails : Thumbnails
            Of the size in `contract.thumbnail_size`, one view.

        Returns
        -------
        ndarray of float32, shape (3, h, w)
            The harmonized thumbnail, sRGB-encoded, nominally in [0, 1]; where the
            mask is at most one half it is the composite.
        """
        feeds = {"composite": thumbnails.composite, "mask": thumbnails.mask}
        (harmonized,) = self._session.run(
            ["harmonized"], {k: feeds[k] for k in self._inputs}
        )
        picture: FloatArray = harmonized[0]
        return picture
