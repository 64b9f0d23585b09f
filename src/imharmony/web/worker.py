"""The process of a worker: for each job, one line of JSON in, one line out.

A process of its own, because libvips cannot be stopped from outside, and because a
file made to break a decoder then breaks nothing else.
"""

import json
import os
import signal
import sys
import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
import pyvips

from imharmony.errors import HarmonizeError, HarmonizeWarning
from imharmony.web import jobs
from imharmony.web.errors import to_api_error
from imharmony.web.messages import Job

__all__ = ["main"]


def main() -> None:
    """Answer until the server closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    pyvips.cache_set_max(0)  # pictures of one request are of no use to the next
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(json.loads(line))).encode() + b"\n")


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        if request.keys() == {"warm"}:
            return {"models": _warm(request["warm"])}
        return asdict(jobs.run(Job(**request)))
    except HarmonizeError as error:
        answer = to_api_error(error)
        return {"code": answer.code, "message": answer.message}


def _warm(weights: str | None) -> list[dict[str, Any]]:
    """Load the networks and run each once, so that the first request is quick."""
    described = []
    for name in jobs.models(weights):
        harmonizer = jobs.load(name, weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HarmonizeWarning)
            harmonizer(np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=np.bool_))
        contract = harmonizer.contract
        described.append(
            {
                "name": name,
                "labels": list(contract.labels) if contract.has_semantic_label else [],
                "guesses_label": contract.guesses_label,
                "has_curves": harmonizer.has_curves,
            }
        )
    return described


if __name__ == "__main__":
    main()
