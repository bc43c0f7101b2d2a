"""Training files: TOML in, a checked training with its data out, and each fault named with the line it stands on.

A file names a fabric file, a data set, and the options of ``HybridTraining``. The models below check which keys there
are and the type of each value; what a value may be is decided by ``HybridTraining`` itself.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hyperfabric_q.distribution.background import BackgroundMessages
from hyperfabric_q.errors import FileUnreadable, InputError, InvalidValue, TrainingRejected, UnknownName, nearest
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.lines import Lines, TooDeepError, locate
from hyperfabric_q.fabric.lines import Path as KeyPath
from hyperfabric_q.workloads.learning.hybrid.data_sets import DataSet, data_set
from hyperfabric_q.workloads.learning.hybrid.optimisers import Adam, Sgd
from hyperfabric_q.workloads.learning.hybrid.training import HybridTraining

FORMAT: Final = 1
LARGEST_BYTES: Final = 1024 * 1024


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DataTable(_Table):
    """The ``[data]`` table: what is learnt from.

    ``name`` is a data set that ships with scikit-learn, ``file`` a table of numbers with a heading, the label last.
    """

    name: str | None = None
    file: str | None = None
    classes: list[int] | None = None
    components: int | None = None
    samples: int | None = None
    test_share: float = 0.25


class ModelTable(_Table):
    """The ``[model]`` table: classical layers and the circuit."""

    task: Literal["classification", "regression"] = "classification"
    hidden: list[int] = []
    qubits: int = 4
    layers: int = 2


class NodesTable(_Table):
    """The ``[nodes]`` table: who does what, and how circuits run."""

    gpu: str | None = None
    loader: str | None = None
    parallel: Literal["data", "model", "none"] = "data"
    groups: list[list[str]] | None = None
    noise: str = "none"
    shots: int | None = None
    charged_shots: int | None = None


class OptimizerTable(_Table):
    """The ``[optimizer]`` table."""

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    batch_size: int | None = None
    patience: int | None = None
    min_delta: float = 0.0


class BackgroundTable(_Table):
    """One ``[[background]]`` table: messages of other programs."""

    source: str
    destination: str
    size_bytes: int
    rate_hz: float
    periodic: bool = False


class TrainingFile(_Table):
    """A whole training file."""

    version: int = FORMAT
    fabric: str
    steps: int = 100
    seed: int | None = None
    data: DataTable
    model: ModelTable = ModelTable()
    nodes: NodesTable = NodesTable()
    optimizer: OptimizerTable = OptimizerTable()
    background: list[BackgroundTable] = []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What a training file asks for.

    Attributes:
        training: the pipeline.
        data: what it learns from, and is tested on.
        steps: to be taken.
    """

    training: HybridTraining
    data: DataSet
    steps: int


_TABLES: Final[dict[str, type[_Table]]] = {
    "data": DataTable,
    "model": ModelTable,
    "nodes": NodesTable,
    "optimizer": OptimizerTable,
    "background": BackgroundTable,
}
_WANTED: Final = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def read_file(path: str | os.PathLike[str], *, seed: int | None = None) -> Asked:
    """Return what the training file at ``path`` asks for; paths in it are relative to its folder.

    Args:
        path: of the file.
        seed: instead of the file's.

    Raises:
        FileUnreadable: a file is missing, is no file, or too large.
        TrainingRejected: the file has a fault; the error names its line.
        FabricRejected: its fabric file has one.
        MissingDependency: the data set comes with scikit-learn, which is not installed.
    """
    shown = os.fspath(path)
    text = _text(Path(shown))
    report, document = _parsed(text, str(shown))
    try:
        file = TrainingFile.model_validate(document)
    except ValidationError as fault:
        raise report.first(fault) from None
    if file.version != FORMAT:
        raise report.at(("version",), f"this is format {file.version}, and only format {FORMAT} is known.")
    folder = Path(shown).parent
    fabric = Fabric.from_file(folder / file.fabric)
    options = _options(file, report)
    try:
        training = HybridTraining(fabric=fabric, **(options | ({} if seed is None else {"seed": seed})))
    except InvalidValue as fault:
        raise report.about(fault, fault.field) from None
    except UnknownName as fault:
        raise report.about(fault, _naming(file, fault.name)) from None
    try:
        data = data_set(folder=folder, task=file.model.task, **file.data.model_dump())
    except InvalidValue as fault:
        raise report.at(("data", fault.field), str(fault)) from None
    except UnknownName as fault:
        raise report.at(("data", "name"), str(fault)) from None
    return Asked(training=training, data=data, steps=file.steps)


def _options(file: TrainingFile, report: _Report) -> dict[str, Any]:
    """The options of ``HybridTraining`` besides the fabric."""
    given = file.optimizer
    chosen = {name: getattr(given, name) for name in ("learning_rate", "momentum")}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if given.name == "adam" and "momentum" in chosen:
        raise report.at(("optimizer", "momentum"), "only sgd has momentum. Leave it out, or set name = 'sgd'.")
    try:
        made = Adam(**chosen) if given.name == "adam" else Sgd(**chosen)
    except InvalidValue as fault:
        raise report.at(("optimizer", fault.field), str(fault)) from None
    beside = []
    for place, each in enumerate(file.background):
        try:
            beside.append(BackgroundMessages(**each.model_dump()))
        except InputError as fault:
            field = (
                fault.field if isinstance(fault, InvalidValue) and fault.field in BackgroundTable.model_fields else ""
            )
            raise report.at(("background", place, *([field] if field else [])), str(fault)) from None
    return {
        **file.model.model_dump(),
        **file.nodes.model_dump(),
        "optimizer": made,
        "batch_size": given.batch_size,
        "patience": given.patience,
        "min_delta": given.min_delta,
        "background": beside,
        "seed": file.seed,
    }


def _naming(file: TrainingFile, name: str) -> str:
    """The key that holds a node's name."""
    if name in {file.nodes.gpu, file.nodes.loader}:
        return "gpu" if name == file.nodes.gpu else "loader"
    return "groups"


def _text(path: Path) -> str:
    try:
        # A pipe or a device would keep a plain open() waiting, or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileUnreadable(path=str(path), reason="it is no file", remedy="Name a TOML file.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise FileUnreadable(path=str(path), reason=f"it is larger than {LARGEST_BYTES} bytes")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise FileUnreadable(path=str(path), reason="there is no such file", remedy="Check the path.") from None
    except (OSError, ValueError) as fault:
        raise FileUnreadable(path=str(path), reason=str(fault)) from None


def _parsed(text: str, source: str) -> tuple[_Report, dict[str, Any]]:
    try:
        lines = locate(text)
        return _Report(source, lines), tomllib.loads(text)
    except TooDeepError as fault:
        reason = "keys or values are nested too deep."
        raise TrainingRejected(source=source, line=fault.line, where="TOML", reason=reason) from None
    except (ValueError, RecursionError) as fault:
        place = re.search(r" \(at line (\d+), column \d+\)$", str(fault))
        line = int(place.group(1)) if place else None
        reason = str(fault)[: place.start()] if place else str(fault)
        raise TrainingRejected(source=source, line=line, where="TOML", reason=f"{reason}.") from None


class _Report:
    """Where the keys of one file stand, to name the line of a fault."""

    def __init__(self, source: str, lines: Lines) -> None:
        self.source, self.lines = source, lines

    def at(self, path: KeyPath, reason: str) -> TrainingRejected:
        return TrainingRejected(source=self.source, line=self.lines.of(path), where=_dotted(path), reason=reason)

    def about(self, fault: InputError, field: str) -> TrainingRejected:
        """The fault of an option, at the key that it was given by."""
        for table, model in _TABLES.items():
            if field in model.model_fields and table != "data":
                return self.at((table, field), str(fault))
        return self.at((field,), str(fault))

    def first(self, fault: ValidationError) -> TrainingRejected:
        """The fault that stands first in the text."""
        rows = []
        for order, error in enumerate(fault.errors(include_url=False, include_context=False)):
            path: KeyPath = tuple(error["loc"])
            rows.append((self.lines.of(path) or 1, order, path, error))
        _, _, path, error = min(rows, key=lambda row: row[:2])
        return self.at(path, _reason(path, error["type"], error["input"], error["msg"]))


def _reason(path: KeyPath, kind: str, value: object, message: str) -> str:
    key = str(path[-1])
    model = _TABLES.get(str(path[0]), TrainingFile) if len(path) > 1 else TrainingFile
    if kind == "extra_forbidden":
        close = nearest(key, model.model_fields)
        hint = f" Did you mean {close!r}?" if close else f" Known keys: {', '.join(model.model_fields)}."
        return f"there is no key {key!r}.{hint}"
    if kind == "missing":
        return f"the key {key!r} is missing. Add it."
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    if kind == "literal_error":
        return f"{shown} stands here: {message[0].lower()}{message[1:]}."
    return f"{shown} stands where {_WANTED.get(kind, 'another value')} is needed."


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
