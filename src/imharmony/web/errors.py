"""What clients get when something is wrong: a stable code and a sentence."""

from imharmony import errors

__all__ = ["STATUS", "ApiError", "sentence", "to_api_error"]

STATUS = {
    "bad_request": 400,
    "no_token": 401,
    "wrong_host": 403,
    "wrong_origin": 403,
    "not_found": 404,
    "not_allowed": 405,
    "too_slow": 408,
    "too_large": 413,
    "not_multipart": 415,
    "bad_option": 422,
    "bad_picture": 422,
    "bad_curves": 422,
    "wrong_size": 422,
    "failed": 500,
    "busy": 503,
    "took_too_long": 504,
}
"""HTTP status by code. Codes stay; messages may change."""

_CODES: tuple[tuple[type[errors.HarmonizeError], str], ...] = (
    (errors.ShapeError, "wrong_size"),
    (errors.ImageError, "bad_picture"),
    (errors.CurveError, "bad_curves"),
    (errors.UsageError, "bad_option"),
)


_HINTS = {errors.Hint.RESIZE_MASK: "resize_mask stretches it"}
"""What a client can do about it. Limits are the server's to set."""


class ApiError(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    code : str
        A key of `STATUS`.
    message : str
        As in `imharmony.errors`: lower case, no full stop.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status."""
        return STATUS[self.code]

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return what is sent."""
        return {"error": {"code": self.code, "message": sentence(self.message)}}


def to_api_error(error: errors.HarmonizeError) -> ApiError:
    """Find the code of an error that was raised on purpose.

    Examples
    --------
    >>> to_api_error(errors.CurveError("red channel: expected finite knots")).code
    'bad_curves'
    """
    hint = _HINTS.get(error.hint) if error.hint is not None else None
    message = str(error) if hint is None else f"{error}; {hint}"
    for error_type, code in _CODES:
        if isinstance(error, error_type):
            return ApiError(code, message)
    return ApiError("failed", message)


def sentence(message: str) -> str:
    """Write a message as a sentence.

    Examples
    --------
    >>> sentence("mask: expected 2 pixels, got 3")
    'Mask: expected 2 pixels, got 3.'
    """
    text = message.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
