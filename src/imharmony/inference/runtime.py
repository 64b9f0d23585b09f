"""ONNX Runtime, with its telemetry switched off. No other module imports it.

The Linux wheels from 1.32 on carry a telemetry client. Unless it is switched off, it
keeps a device number in the home folder and a session file in the temporary one, and
contacts a collector of its maker. The variable must be set before the import.
"""

import os
from typing import Any

_VARIABLE = "ORT_DISABLE_TELEMETRY"
os.environ.setdefault(_VARIABLE, "1")

import onnxruntime as ort  # noqa: E402 (after the variable is set)

if os.environ[_VARIABLE] == "1":  # whoever set another value wants the telemetry
    ort.disable_telemetry_events()

__all__ = ["fold_constants", "list_providers", "start_session"]


def list_providers() -> list[str]:
    """List the execution providers of the installed ONNX Runtime.

    Examples
    --------
    >>> "CPUExecutionProvider" in list_providers()
    True
    """
    providers: list[str] = ort.get_available_providers()
    return providers


def start_session(
    model: bytes, *, num_threads: int = 2, provider: str = "CPUExecutionProvider"
) -> Any:
    """Load a network; what comes back is safe to run from several threads.

    Parameters
    ----------
    model : bytes
        An ONNX file.
    num_threads : int
        Threads used within one run.
    provider : str
        One of `list_providers`. Where it does not start, ONNX Runtime takes the
        CPU: ask `get_providers` of the session.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    Exception
        Of a class of ONNX Runtime's own, if the model cannot be loaded.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # Spinning saves 0.6 ms on a quiet machine and costs 12 ms on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # the caller reports failures
    # No fallback: it would print, and take the CPU instead of failing.
    return ort.InferenceSession(model, options, providers=[provider], enable_fallback=0)


def fold_constants(model: bytes, target: str) -> None:
    """Write an ONNX file to `target` with all that is constant worked out.

    These are ONNX Runtime's basic rewrites, which keep to the standard's operators.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = target
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
