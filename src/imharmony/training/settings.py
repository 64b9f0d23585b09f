"""What decides a training run: settings, and the configs they are read from."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from imharmony.errors import UsageError
from imharmony.training.architectures import find_architecture, find_dimensions
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.seam import SeamSettings
from imharmony.training.losses import PixelLoss
from imharmony.training.networks.discriminator import MIN_SIZE
from imharmony.training.networks.hdnet import STRIDE
from imharmony.training.networks.refiner import FOLD

__all__ = ["CONFIGS", "TrainSettings", "read_settings"]

CONFIGS = Path(__file__).parent / "configs"
MIN_THUMBNAIL = {"s2crnet": 17, "seamnet": 17, "hdnet": 16, "refiner": 64}
"""Smallest side, in pixels, that leaves the innermost layer a map."""

Count = Annotated[int, Field(ge=1)]
NotNegativeInt = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class TrainSettings:
    """All that decides a training run, besides the pictures."""

    variant: str = "s2crnet-cs"
    dimensions: dict[str, Any] = field(default_factory=dict)
    """Fields of `Dimensions`, or of `HDNetDimensions`, that differ from the
    variant's."""
    looks: LookSettings = field(default_factory=LookSettings)
    """Of synthesized pairs."""
    seam: SeamSettings = field(default_factory=SeamSettings)
    """Of synthesized pairs, for networks that look at it."""
    held_out_sources: tuple[str, ...] = ()
    """Sources whose photographs are used neither to train nor to validate, so that
    they can tell how well unseen kinds of photographs are done."""
    unlabeled_sources: tuple[str, ...] = ()
    """Sources whose label "other" is not believed."""
    batch_norm: bool = False
    """Train the encoder with batch normalization, folded into it when saved."""
    trunk: str | None = None
    """A torchvision SqueezeNet state dict to start the encoder from."""
    base_weights: str | None = None
    """Of a network that looks at the seam: a checkpoint of s2crnet-cs that its base
    starts from; or of such a network, of which all but its cascade with the seam is
    taken."""
    base_rate: NotNegative = 0.1
    """Of such a network: the base's share of the learning rate."""
    plain_rate: NotNegative = 1.0
    """Of such a network: the same share of what else predicts without the seam."""
    base_held_steps: NotNegativeInt = 0
    """Of such a network: steps before the base learns."""
    refines: str = "s2crnet-cs"
    """Of a network that refines curves: the checkpoint of a network that looks at the
    seam, or the bundled one's name."""
    curves_left_out: Share = 0.0
    """Of such a network: share of pairs that it sees without the curves, as where these
    are held back; 1 trains and validates one that never sees curves."""
    scene_unknown: Share = 0.0
    """Of such a network: share of pairs whose seam is not gone by."""
    thumbnail_size: tuple[int, int] = (256, 256)
    """Height and width in pixels."""
    crop_from: tuple[int, int] | None = None
    """Size that pairs read from iHarmony4 are resized to before a random part of
    `thumbnail_size` is taken. Synthesized pairs are always random parts."""
    flip: bool = False
    """Mirror half of the pairs read from iHarmony4; of synthesized ones half are."""
    num_steps: Count = 20_000
    batch_size: Count = 32
    """Pairs per step, on all devices together."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: NotNegative = 8e-4
    """Peak of the optimizer's rate."""
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    """The rate after its rise: a cosine to zero over all steps, held, or a tenth of
    what it was from each of the `drops` on."""
    drops: tuple[float, ...] = ()
    """Shares of the run, from 0 to 1, after which `schedule` "steps" drops."""
    warmup_steps: NotNegativeInt = 500
    """Steps of the rate's linear rise."""
    weight_decay: NotNegative = 1e-2
    max_gradient_norm: NotNegative = 1.0
    """Longer gradients are scaled down to this; 0 for none."""
    average_decay: Share = 0.999
    """Per step, of the running mean of the weights that is kept as the result; 0
    keeps the newest weights."""
    pixel_loss: PixelLoss = "relative_l1"
    """Error inside the mask per unit of mask, absolute or squared (L2), or mean
    absolute error of the whole picture (l1)."""
    pixel_weight: NotNegative = 1.0
    min_area: NotNegative = 100.0
    """Pixels of foreground below which a picture weighs less in `relative_l2`."""
    loss_region: Literal["crop", "thumbnail"] = "crop"
    """Where the loss is measured: in the crop of the foreground, which shows it
    larger, or in the thumbnail of the photo. HDNet sees the thumbnail only."""
    log_offset: NotNegative = 0.0
    """Above 0, the logarithm of the loss is averaged; see `stage_losses`."""
    adversarial_weight: NotNegative = 0.0
    """Of the least-squares loss against a discriminator; 0 trains without one."""
    discriminator_learning_rate: NotNegative = 2e-4
    """Of RMSprop; held."""
    label_dropout: Share = 0.5
    """Share of known labels hidden, so that the network works without one."""
    label_weight: NotNegative = 0.05
    """Of the cross-entropy of the label guess."""
    scene_weight: NotNegative = 0.5
    """Of the cross-entropy of a same scene against a paste."""
    roughness_weight: NotNegative = 0.2
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Of the arithmetic, under Lightning Fabric's names."""
    seed: NotNegativeInt = 0
    log_every: Count = 50
    validate_every: Count = 1000
    """Steps between validations; a checkpoint is written at each."""
    validation_pairs: Count = 512
    checkpoint_every: NotNegativeInt = 0
    """Steps between further checkpoints; 0 for none."""

    def __post_init__(self) -> None:
        _check_values(vars(self), TrainSettings, "setting")
        architecture = find_architecture(self.variant)
        smallest = MIN_THUMBNAIL[architecture]
        if min(self.thumbnail_size) < smallest:
            msg = f"thumbnail_size is at least {smallest} a side, in pixels"
            raise UsageError(f"{msg}, got {self.thumbnail_size}")
        if architecture in ("hdnet", "refiner"):
            self._check_hdnet(architecture)
        looks_at_seam = architecture in ("seamnet", "refiner")
        if looks_at_seam != bool(self.seam.num_pairs):
            msg = "num_pairs of [seam] is above 0 for networks that look at it, 0 for"
            raise UsageError(f"{msg} others; got {self.seam.num_pairs}, {self.variant}")
        if architecture == "seamnet" and (self.batch_norm or self.adversarial_weight):
            msg = f"batch_norm and adversarial_weight are not of {self.variant}"
            raise UsageError(f"{msg}; leave them out")
        if (self.schedule == "steps") != bool(self.drops):
            msg = "drops are of schedule steps, which has at least one"
            raise UsageError(f"{msg}; got {self.drops} with {self.schedule}")
        if not all(0 <= drop <= 1 for drop in self.drops):
            raise UsageError(f"drops are shares from 0 to 1, got {self.drops}")
        if self.crop_from is not None and not all(
            large >= small
            for large, small in zip(self.crop_from, self.thumbnail_size, strict=True)
        ):
            msg = f"crop_from is at least thumbnail_size {self.thumbnail_size}"
            raise UsageError(f"{msg}, got {self.crop_from}")
        if self.adversarial_weight and self.loss_region != "thumbnail":
            raise UsageError("adversarial_weight needs loss_region thumbnail, got crop")
        if self.adversarial_weight and min(self.thumbnail_size) < MIN_SIZE:
            msg = f"adversarial_weight needs a thumbnail_size of at least {MIN_SIZE}"
            raise UsageError(f"{msg} a side, in pixels, got {self.thumbnail_size}")

    def _check_hdnet(self, architecture: str) -> None:
        """Refuse what makes no sense for a network that predicts no curves."""
        default = {f.name: f.default for f in fields(self)}
        for name in _NOT_OF_HDNET:
            if getattr(self, name) != default[name]:
                msg = f"{name} is a setting of S²CRNet, which {self.variant} does not"
                raise UsageError(f"{msg} have; leave it out")
        if self.loss_region != "thumbnail":
            msg = f"{self.variant} sees the thumbnail only: loss_region is thumbnail"
            raise UsageError(f"{msg}, got {self.loss_region}")
        step = STRIDE * FOLD if architecture == "refiner" else STRIDE
        if any(side % step for side in self.thumbnail_size):
            msg = f"thumbnail_size of {self.variant} is in multiples of {step} pixels"
            raise UsageError(f"{msg}, got {self.thumbnail_size}")


_NOT_OF_HDNET = (
    "batch_norm",
    "trunk",
    "adversarial_weight",
    "discriminator_learning_rate",
    "label_dropout",
    "label_weight",
    "roughness_weight",
    "scene_weight",
    "base_rate",
    "plain_rate",
    "base_held_steps",
)

_RENAMED = {"transfer": "reinhard", "histogram": "fecker"}
"""Families of looks that older records name otherwise."""


def read_settings(config: str, *, base: str | None = None) -> TrainSettings:
    """Read a TOML file, or one of the configs that come with the package.

    A config may name another as its `base`, a bundled one or a file beside it, and
    then says only what differs from it.

    Parameters
    ----------
    config : str
        A path ending in `.toml`, or the name of a file in `CONFIGS`.
    base : str or None
        A config to use in place of the base that `config` names.

    Raises
    ------
    UsageError
        If there is no such file, a setting does not exist or has a value of the
        wrong type or out of range, or a config is its own base.

    Examples
    --------
    >>> read_settings("s2crnet-cs").variant
    's2crnet-cs'
    >>> read_settings("s2crnet-c-paper").batch_size
    8
    """
    values: dict[str, Any] = {}
    visited: list[Path] = []
    tables: list[tuple[dict[str, Any], Path]] = []
    name: str | None = config
    folder = Path()
    while name is not None:
        path = _find(name, folder)
        if path.resolve() in visited:
            raise UsageError(f"{path}: is its own base")
        table = _read_toml(path)
        parent = table.pop("base", None)
        if parent is not None and not isinstance(parent, str):
            raise UsageError(f"{path}: base is the name of a config, got {parent!r}")
        _check_types(table, path)
        tables.append((table.get("dimensions", {}), path))
        for section in ("dimensions", "looks", "seam"):
            if section in table:
                values[section] = table.pop(section) | values.get(section, {})
        values = table | values
        name, folder = (
            (parent, path.parent) if visited or base is None else (base, Path())
        )
        visited.append(path.resolve())
    try:
        known = find_dimensions(values.get("variant", TrainSettings.variant))
    except UsageError as error:
        raise UsageError(f"{config}: {error}") from error
    for table, path in tables:
        _check_table(table, known, "dimension", path)
    try:
        looks = LookSettings(**values.pop("looks", {}))
        seam = SeamSettings(**values.pop("seam", {}))
        return TrainSettings(looks=looks, seam=seam, **values)
    except UsageError as error:
        raise UsageError(f"{config}: {error}") from error


def settings_record(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings as `settings.json` holds them: no tuples."""
    record: dict[str, Any] = _to_lists(asdict(settings))
    return record


def compare_settings(settings: TrainSettings, stored: dict[str, Any]) -> list[str]:
    """Name the settings that differ from a stored record.

    A record from before a setting existed was made with its default.
    """
    wanted, default = settings_record(settings), settings_record(TrainSettings())
    before = default | stored
    before["looks"] = default["looks"] | stored.get("looks", {})
    before["seam"] = default["seam"] | stored.get("seam", {})
    families = before["looks"]["families"]
    before["looks"]["families"] = {_RENAMED.get(n, n): v for n, v in families.items()}
    return [name for name, value in wanted.items() if before[name] != value]


def _find(config: str, folder: Path) -> Path:
    path = folder / config if config.endswith(".toml") else CONFIGS / f"{config}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
        msg = f"{config}: no such config; known are {known}, or a path to a .toml file"
        raise UsageError(msg)
    return path


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not valid TOML: {error}"
        raise UsageError(msg) from error
    tuples: dict[str, Any] = _to_tuples(values)
    return tuples


def _check_types(values: dict[str, Any], path: Path) -> None:
    """Refuse unknown names, and values of the wrong type.

    Of dimensions only that they are a table: the variant decides which there are.
    """
    _check_table(values, TrainSettings, "setting", path)
    _check_table(values.get("looks", {}), LookSettings, "looks setting", path)
    _check_table(values.get("seam", {}), SeamSettings, "seam setting", path)
    _check_is_table(values.get("dimensions", {}), "dimension", path)


def _check_is_table(values: Any, name: str, path: Path) -> None:
    if not isinstance(values, dict):
        raise UsageError(f"{path}: {name}s are a table, got {values!r}")


def _check_table(values: Any, settings: type, name: str, path: Path) -> None:
    _check_is_table(values, name, path)
    sections = ("looks", "seam", "dimensions")  # tables of their own
    plain = {key: value for key, value in values.items() if key not in sections}
    try:
        _check_values(plain, settings, name)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _check_values(values: Mapping[str, Any], settings: type, name: str) -> None:
    """Refuse unknown names, wrong types and values out of range."""
    model = _make_model(settings)
    try:
        model.model_validate(values)
    except ValidationError as error:
        problems = {str(problem["loc"][0]): problem for problem in error.errors()}
    else:
        return
    hints = get_type_hints(settings)
    if unknown := sorted(problems.keys() - hints.keys()):
        msg = f"unknown {name} {', '.join(unknown)}; known are {', '.join(hints)}"
        raise UsageError(msg)
    key, problem = next(iter(problems.items()))
    if "than_equal" in problem["type"]:
        wanted = _describe_range(model, key)
    else:
        wanted = _describe(hints[key])
    raise UsageError(f"{key} is {wanted}, got {values[key]!r}")


@cache
def _make_model(settings: type) -> type[BaseModel]:
    """Make pydantic's model of a settings class, of which any field may be left out."""
    hints = get_type_hints(settings, include_extras=True)
    parts: dict[str, Any] = {name: (hint, None) for name, hint in hints.items()}
    strict = ConfigDict(strict=True, extra="forbid")
    return create_model(settings.__name__, __config__=strict, **parts)


def _describe_range(model: type[BaseModel], key: str) -> str:
    limits = {
        name: getattr(limit, name)
        for limit in model.model_fields[key].metadata
        for name in ("ge", "le")
        if hasattr(limit, name)
    }
    if "le" in limits:
        return f"{limits['ge']} to {limits['le']}"
    return f"at least {limits['ge']}"


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    return str(hint.__name__ if isinstance(hint, type) else hint)


def _to_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_to_tuples, value))
    if isinstance(value, dict):
        return {key: _to_tuples(part) for key, part in value.items()}
    return value


def _to_lists(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return list(map(_to_lists, value))
    if isinstance(value, dict):
        return {key: _to_lists(part) for key, part in value.items()}
    return value
