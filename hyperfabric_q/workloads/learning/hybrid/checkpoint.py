"""The state of a training on disk: one file, which is whole or not there, and belongs to one training.

The file is JSON with a check sum; arrays are in it as the very bytes of their numbers, so that training goes on to the
last bit as if it had not stopped. It is written beside the old one, forced to the disk, and then takes its place in one
move: a process that is killed leaves the old state or the new one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hyperfabric_q.errors import InvalidValue, StoreUnreadable
from hyperfabric_q.workloads.learning.hybrid.history import TrainingRow
from hyperfabric_q.workloads.learning.turns import Floats

SCHEMA: Final = "hyperfabric_q/checkpoint/1"
NAME: Final = "training.json"
LARGEST_BYTES: Final = 1 << 30

_AFRESH: Final = "Name another folder, or delete the file to begin anew."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Where a training stands after some steps.

    Attributes:
        fingerprint: of the training and its data, which must be the same to go on.
        seed: of the training.
        step: how many steps were taken.
        parameters: after them.
        moments: of the optimiser.
        best_loss: the least so far; infinite before the first.
        best_step: the step before which it was found.
        best_parameters: that had it.
        clock_ps: of the virtual clock.
        rows: of the history.
        notes: of the history.
        ended: why it ended, if it has.
    """

    fingerprint: str
    seed: int
    step: int
    parameters: Floats
    moments: Mapping[str, Floats]
    best_loss: float
    best_step: int
    best_parameters: Floats
    clock_ps: int
    rows: tuple[TrainingRow, ...] = ()
    notes: tuple[str, ...] = ()
    ended: bool = False


def file_in(folder: str | os.PathLike[str]) -> Path:
    """Return the path of the state in a folder, which is made if it is not there.

    Raises:
        InvalidValue: it is no path.
        StoreUnreadable: the folder cannot be made.
    """
    try:
        place = Path(folder)
    except TypeError:
        raise InvalidValue(field="checkpoint", value=folder, rule="it is the path of a folder") from None
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        reason = f"the folder cannot be made: {fault.strerror}"
        raise StoreUnreadable(path=str(place), reason=reason, remedy="Name another folder.") from None
    return place / NAME


def save(path: Path, state: State) -> None:
    """Write a state; afterwards it is on the disk.

    Raises:
        StoreUnreadable: it cannot be written.
    """
    body = json.dumps(_plain(state), allow_nan=False, separators=(",", ":"))
    text = json.dumps({"schema": SCHEMA, "sum": _sum(body), "state": body}, indent=1)
    beside = path.with_suffix(f".{os.getpid()}.part")
    try:
        with beside.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _settle(path.parent)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise StoreUnreadable(path=str(path), reason=f"it cannot be written: {fault.strerror}") from None


def load(path: Path, fingerprint: str, *, seed: int | None) -> State | None:
    """Return the state in a file; None where there is no file.

    Args:
        path: of the file.
        fingerprint: that it must have.
        seed: the same; None = any.

    Raises:
        StoreUnreadable: it is damaged, of another version, or of another training or other data.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise StoreUnreadable(path=str(path), reason="it is larger than any state", remedy=_AFRESH)
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise StoreUnreadable(path=str(path), reason=f"it cannot be read: {fault}", remedy=_AFRESH) from None
    state = _read(path, text)
    if state.fingerprint != fingerprint or seed not in {None, state.seed}:
        reason = "it belongs to a training with other options, another fabric, seed or data"
        raise StoreUnreadable(path=str(path), reason=reason, remedy=_AFRESH)
    return state


def _read(path: Path, text: str) -> State:
    try:
        outer = json.loads(text)
        found, said, body = outer["schema"], outer["sum"], outer["state"]
        if found != SCHEMA:
            reason = f"it is of the kind {str(found)[:60]!r}, and only {SCHEMA!r} is known"
            raise StoreUnreadable(path=str(path), reason=reason, remedy=_AFRESH)
        if said != _sum(body):
            raise StoreUnreadable(path=str(path), reason="it is damaged: its check sum is wrong", remedy=_AFRESH)
        return _state(json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
        if isinstance(fault, StoreUnreadable):
            raise
        raise StoreUnreadable(path=str(path), reason="it is no state of a training", remedy=_AFRESH) from None


def _plain(state: State) -> dict[str, Any]:
    return {
        "fingerprint": state.fingerprint,
        "seed": state.seed,
        "step": state.step,
        "parameters": _packed(state.parameters),
        "moments": {name: _packed(each) for name, each in state.moments.items()},
        "best_loss": None if state.best_loss == float("inf") else state.best_loss,
        "best_step": state.best_step,
        "best_parameters": _packed(state.best_parameters),
        "clock_ps": state.clock_ps,
        "rows": [row.to_dict() for row in state.rows],
        "notes": list(state.notes),
        "ended": state.ended,
    }


def _state(plain: Mapping[str, Any]) -> State:
    return State(
        fingerprint=plain["fingerprint"],
        seed=plain["seed"],
        step=plain["step"],
        parameters=_unpacked(plain["parameters"]),
        moments={name: _unpacked(each) for name, each in plain["moments"].items()},
        best_loss=float("inf") if plain["best_loss"] is None else plain["best_loss"],
        best_step=plain["best_step"],
        best_parameters=_unpacked(plain["best_parameters"]),
        clock_ps=plain["clock_ps"],
        rows=tuple(TrainingRow.from_dict(row) for row in plain["rows"]),
        notes=tuple(plain["notes"]),
        ended=plain["ended"],
    )


def _packed(array: Floats) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f8").tobytes()).decode("ascii")


def _unpacked(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64)


def _sum(body: str) -> str:
    return hashlib.blake2b(body.encode("ascii"), digest_size=32).hexdigest()


def _settle(folder: Path) -> None:
    """Force the move itself to the disk, where folders can be opened for that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
