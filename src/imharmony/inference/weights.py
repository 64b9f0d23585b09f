"""Weights files: opened by ONNX Runtime, and checked against their own metadata."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError, WeightsError
from imharmony.inference import runtime
from imharmony.inference.contract import Contract

__all__ = ["Weights"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Weights:
    """An opened weights file; safe to use from several threads."""

    source: Path
    session: Any
    """Of ONNX Runtime."""
    contract: Contract
    sha256: str
    """Of the file."""

    @classmethod
    def open(
        cls, source: Path, *, num_threads: int = 2, provider: str | None = None
    ) -> "Weights":
        """Open an `.onnx` file written by `imharmony export`.

        Parameters
        ----------
        source : Path
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
        provider = provider or "CPUExecutionProvider"
        if provider not in (known := runtime.list_providers()):
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
            session = runtime.start_session(
                data, num_threads=num_threads, provider=provider
            )
        except Exception as error:  # ONNX Runtime's own classes derive from Exception
            got = f"one that cannot be loaded ({error})"
            if data[8:9] == b"{":
                got = "a safetensors checkpoint; 'imharmony export' makes .onnx of it"
            msg = f"{source}: expected an .onnx weights file, got {got}"
            raise WeightsError(msg) from error
        if provider not in session.get_providers():
            # ONNX Runtime takes the CPU when a provider's own libraries are missing.
            msg = f"provider {provider} is installed but does not start on this machine"
            raise UsageError(msg)
        contract = Contract.from_metadata(
            session.get_modelmeta().custom_metadata_map, name=str(source)
        )
        return cls(source, session, contract, hashlib.sha256(data).hexdigest())

    @cached_property
    def _input_names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.session.get_inputs())

    def check_shapes(
        self, inputs: Mapping[str, list[int]], outputs: Mapping[str, list[int]]
    ) -> None:
        """Compare the graph's inputs and outputs with those that will be used.

        Parameters
        ----------
        inputs : mapping of list of int
            Shapes without the batch by name; a graph may do without some.
        outputs : mapping of list of int
            Likewise; the graph must have all.

        Raises
        ------
        WeightsError
            If they differ.
        """
        fed, results = self.session.get_inputs(), self.session.get_outputs()
        for nodes, known in ((fed, inputs), (results, outputs)):
            for node in nodes:
                if known.get(node.name) != node.shape[1:]:
                    msg = (
                        f"{self.source}: {node.name} has shape {node.shape[1:]}, the "
                        f"metadata say {known.get(node.name, 'there is none')}"
                    )
                    raise WeightsError(msg)
        missing = outputs.keys() - {node.name for node in results}
        if missing:
            msg = f"the network has no output {' or '.join(sorted(missing))}"
            raise WeightsError(f"{self.source}: {msg}")

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, FloatArray]
    ) -> list[FloatArray]:
        """Run the network on what it takes of some inputs."""
        used_feeds = {name: feeds[name] for name in self._input_names}
        results: list[FloatArray] = self.session.run(list(outputs), used_feeds)
        return results
