"""The API against its own description, with requests made up by schemathesis."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.transport.serialization import Binary

from imharmony import Curves
from imharmony.curve_files.files import Record, encode
from imharmony.results import NO_CHANGE, Predicted
from imharmony.web.app import create_app
from imharmony.web.grids import write_grid
from tests.web.servers import EXAMPLES, Server

REAL = {
    "composite": (EXAMPLES / "composite.png").read_bytes(),
    "mask": (EXAMPLES / "mask.png").read_bytes(),
    "cutout": (EXAMPLES / "astronaut.png").read_bytes(),
    "background": (EXAMPLES / "launchpad.jpg").read_bytes(),
    "reference": (EXAMPLES / "launchpad.jpg").read_bytes(),
    "curves": encode(Record(Curves.identity()), "json"),
    "grid": write_grid(Predicted(NO_CHANGE), model="hdnet-lite").encode(),
}

# Which requests of the right shape are taken cannot be told from a schema: none says
# what a picture is. And real files in place of made up ones look wrong to schemathesis.
EXCLUDED = {
    GenerationMode.POSITIVE: {"positive_data_acceptance", "negative_data_rejection"},
    GenerationMode.NEGATIVE: {"positive_data_acceptance"},
}

SCHEMA = schemathesis.openapi.from_dict(create_app().openapi())
OPERATIONS: list[Any] = [result.ok() for result in SCHEMA.get_all_operations()]  # type: ignore[union-attr]
POSTS = [operation for operation in OPERATIONS if operation.method == "post"]
CASES = [
    *((operation, GenerationMode.POSITIVE) for operation in OPERATIONS),
    *((operation, GenerationMode.NEGATIVE) for operation in POSTS),
]


@strategies.composite
def unbroken(draw: strategies.DrawFn, cases: strategies.SearchStrategy[Any]) -> Any:
    """Pass over cases that schemathesis itself cannot make: some wrong files."""
    try:
        return draw(cases)
    except ValueError:
        reject()


@pytest.mark.parametrize(
    ("operation", "mode"), CASES, ids=[f"{o.label} {mode.value}" for o, mode in CASES]
)
def test_api_keeps_to_its_description(
    operation: Any, mode: GenerationMode, server: Server
) -> None:
    @given(case=unbroken(operation.as_strategy(generation_mode=mode)))
    @settings(
        max_examples=40,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def keeps(case: Any) -> None:
        # With real files the rest of the request counts.
        if mode == GenerationMode.POSITIVE and isinstance(case.body, dict):
            names = REAL.keys() & case.body.keys()
            case.body |= {name: Binary(REAL[name]) for name in names}
        response = case.call(base_url=server.address)
        excluded = [c for c in CHECKS.get_all() if c.__name__ in EXCLUDED[mode]]
        case.validate_response(response, excluded_checks=excluded)

    keeps()
    assert server.leftovers() == []
