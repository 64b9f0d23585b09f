"""A small stand-in of what ComfyUI gives its nodes, written from its documentation.

https://docs.comfy.org/custom-nodes/v3_migration and /custom-nodes/v3/backend say how
nodes are described, found, called and interrupted. Held here: the loader's rules, the
schema's, those of values before a node runs, and the shapes of what it returns.
"""

import asyncio
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

WIDGETS = {"FLOAT", "STRING", "COMBO", "BOOLEAN"}


@dataclass
class Slot:
    """An input or an output."""

    io_type: str
    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None
    optional: bool = False
    default: Any = None
    options: list[str] | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = None


def slot_type(io_type: str) -> Any:
    """Make a type with `Input` and `Output`, as all of ComfyUI's have them."""

    class Type:
        @staticmethod
        def Input(id: str, **fields: Any) -> Slot:  # noqa: N802
            return Slot(io_type, id, **fields)

        @staticmethod
        def Output(id: str | None = None, **fields: Any) -> Slot:  # noqa: N802
            return Slot(io_type, id, **fields)

    return Type


@dataclass
class Schema:
    """What a node says about itself."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    description: str = ""
    inputs: list[Slot] = field(default_factory=list)
    outputs: list[Slot] = field(default_factory=list)
    is_output_node: bool = False

    def check(self) -> None:
        """Hold the rules that the host holds when it loads a node."""
        inputs = [slot.id for slot in self.inputs]
        outputs = [slot.id for slot in self.outputs]
        assert len(set(inputs)) == len(inputs), self.node_id
        assert len(set(outputs)) == len(outputs), self.node_id
        assert not set(inputs) & set(outputs), self.node_id
        for slot in self.inputs:
            if slot.io_type == "COMBO":
                assert slot.options, slot.id
                assert slot.default in (None, *slot.options), slot.id


class NodeOutput:
    """What a node returns."""

    def __init__(self, *args: Any, ui: dict[str, Any] | None = None) -> None:
        self.args, self.ui = args, ui


class ComfyNode:
    """The base of all nodes; the host never makes one, it calls the class."""


class ComfyExtension:
    """The base of what an entry point returns."""

    async def on_load(self) -> None:
        """Called once."""

    async def get_node_list(self) -> list[Any]:
        """Overridden by the pack."""
        raise NotImplementedError


class InterruptedByUserError(Exception):
    """Cancel was pressed."""


class Host:
    """The modules nodes import, and what happened to them."""

    def __init__(self, folder: Path) -> None:
        self.progress: list[tuple[int, int]] = []
        self.interrupt_after: int | None = None
        self.nodes: dict[str, Any] = {}
        self.input, self.output = folder / "input", folder / "output"
        self.input.mkdir()
        self.output.mkdir()

    def modules(self) -> dict[str, types.ModuleType]:
        """Make the modules that the documentation names."""
        host = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total, self.current = total, 0

            def update(self, value: int) -> None:
                self.current += value
                host.progress.append((self.current, self.total))

        def throw_exception_if_processing_interrupted() -> None:
            limit = host.interrupt_after
            if limit is not None and len(host.progress) >= limit:
                raise InterruptedByUserError

        io = types.SimpleNamespace(
            Schema=Schema,
            ComfyNode=ComfyNode,
            NodeOutput=NodeOutput,
            Custom=slot_type,
            Image=slot_type("IMAGE"),
            Mask=slot_type("MASK"),
            Float=slot_type("FLOAT"),
            String=slot_type("STRING"),
            Combo=slot_type("COMBO"),
            Boolean=slot_type("BOOLEAN"),
        )
        latest = module("comfy_api.latest", io=io, ComfyExtension=ComfyExtension)
        utils = module("comfy.utils", ProgressBar=ProgressBar)
        management = module(
            "comfy.model_management",
            throw_exception_if_processing_interrupted=(
                throw_exception_if_processing_interrupted
            ),
        )
        paths = module(
            "folder_paths",
            get_input_directory=lambda: str(host.input),
            get_output_directory=lambda: str(host.output),
            get_annotated_filepath=lambda name: str(host.path(name)),
            exists_annotated_filepath=lambda name: host.path(name).exists(),
            get_save_image_path=host.save_path,
        )
        return {
            "comfy_api": module("comfy_api", latest=latest),
            "comfy_api.latest": latest,
            "comfy": module("comfy", utils=utils, model_management=management),
            "comfy.utils": utils,
            "comfy.model_management": management,
            "folder_paths": paths,
        }

    def path(self, name: str) -> Path:
        """Resolve "name" in the input folder, "name [output]" in the other."""
        if name.endswith(" [output]"):
            return self.output / name.removesuffix(" [output]")
        return self.input / name

    def save_path(self, prefix: str, folder: str) -> tuple[str, str, int, str, str]:
        """Make the folder of a prefix; numbers start at 1."""
        path = Path(folder) / prefix
        path.parent.mkdir(parents=True, exist_ok=True)
        subfolder = str(path.parent.relative_to(folder))
        return str(path.parent), path.name, 1, subfolder, prefix

    @contextmanager
    def load(self, folder: Path) -> Iterator[types.ModuleType]:
        """Load a folder of nodes by the host's rules, and forget it afterwards."""
        before = set(sys.modules)
        name = str(folder).replace(".", "_x_")
        sys.modules.update(self.modules())
        try:
            spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
            assert spec is not None
            assert spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[name] = loaded
            spec.loader.exec_module(loaded)
            # A legacy mapping keeps the host from calling the entry point.
            assert getattr(loaded, "NODE_CLASS_MAPPINGS", None) is None
            extension = asyncio.run(loaded.comfy_entrypoint())
            assert isinstance(extension, ComfyExtension)
            asyncio.run(extension.on_load())
            listed = asyncio.run(extension.get_node_list())
            assert isinstance(listed, list)
            for node in listed:
                assert issubclass(node, ComfyNode)
                schema = node.define_schema()
                schema.check()
                self.nodes[schema.node_id] = node
            yield loaded
        finally:
            for added in set(sys.modules) - before:
                if not added.startswith(("torch", "numpy", "imharmony")):
                    del sys.modules[added]

    def run(self, node_id: str, **inputs: Any) -> NodeOutput:
        """Check the inputs as the host does, run the node, check what it returns."""
        node = self.nodes[node_id]
        schema = node.define_schema()
        given = dict(inputs)
        for slot in schema.inputs:
            if slot.id not in given and not slot.optional:
                assert slot.io_type in WIDGETS, f"{slot.id} is not connected"
                given[slot.id] = slot.default
            if slot.id in given:
                check_value(slot, given[slot.id])
        assert set(given) <= {slot.id for slot in schema.inputs}
        if validate := getattr(node, "validate_inputs", None):
            names = inspect.signature(validate).parameters
            verdict = validate(**{name: given[name] for name in names})
            if verdict is not True:
                raise ValueError(verdict)
        output = node.execute(**given)
        assert isinstance(output, NodeOutput)
        assert len(output.args) == len(schema.outputs)
        for slot, value in zip(schema.outputs, output.args, strict=True):
            if slot.io_type in ("IMAGE", "MASK"):
                assert value.dtype == torch.float32
                assert value.ndim == (4 if slot.io_type == "IMAGE" else 3)
        return output


def module(name: str, **names: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(names)
    return made


def check_value(slot: Slot, value: Any) -> None:
    """Refuse what the host refuses before it runs a node."""
    if slot.io_type == "COMBO" and value not in (slot.options or []):
        raise ValueError(f"{slot.id}: {value!r} not in {slot.options}")
    if slot.io_type == "FLOAT":
        low, high = slot.min, slot.max
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{slot.id}: {value} out of range")


def run_workflow(
    host: Host, workflow: dict[str, Any], own: dict[str, Any]
) -> dict[str, NodeOutput]:
    """Run a workflow as ComfyUI saves it; `own` are functions for the host's own nodes.

    Gives what each node returned, by the node's title or type.
    """
    links = {link[0]: link[1:] for link in workflow["links"]}
    nodes = {node["id"]: node for node in workflow["nodes"]}
    done: dict[int, tuple[Any, ...]] = {}
    outputs = {}

    def compute(number: int) -> tuple[Any, ...]:
        if number in done:
            return done[number]
        node = nodes[number]
        linked: dict[str, Any] = {}
        for slot in node.get("inputs", []):
            if slot.get("link") is not None:
                source, output, target, _, io_type = links[slot["link"]]
                assert target == number
                assert (
                    nodes[source]["outputs"][output]["type"] == io_type == slot["type"]
                )
                linked[slot["name"]] = compute(source)[output]
        values = list(node.get("widgets_values", []))
        if node["type"] in own:
            result = own[node["type"]](*values, **linked)
        else:
            schema = host.nodes[node["type"]].define_schema()
            names = [slot.id for slot in schema.inputs if slot.io_type in WIDGETS]
            given = linked | dict(zip(names, values, strict=True))
            output = host.run(node["type"], **given)
            outputs[node.get("title", node["type"])] = output
            result = output.args
        done[number] = tuple(result)
        return done[number]

    for number in nodes:
        compute(number)
    return outputs
