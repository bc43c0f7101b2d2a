"""Which circuit families there are, and how to build one by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from qiskit import ClassicalRegister, QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.families.arguments import whole
from hyperfabric_q.registry import Registry

Generator = TypeVar("Generator", bound=Callable[..., QuantumCircuit])
Option = int | float | str


def _same(qubits: int) -> object:
    return qubits


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One circuit family: what it is, where it comes from, and the typed function that builds it.

    ``size`` turns a number of qubits into the first argument of ``build`` (a bit count, a secret); ``example`` holds
    small arguments with which ``build`` works.
    """

    name: str
    description: str
    source: str
    build: Callable[..., QuantumCircuit]
    example: Mapping[str, object]
    size: Callable[[int], object] = _same

    def __post_init__(self) -> None:
        for field in ("name", "description", "source"):
            if not str(getattr(self, field)).strip():
                raise InvalidValue(field=field, value=getattr(self, field), rule="a circuit family must state it")
        parameters = tuple(inspect.signature(self.build).parameters)
        for argument in self.example:
            if argument not in parameters:
                raise UnknownName(kind=f"argument of the circuit family {self.name!r}", name=argument, known=parameters)
        object.__setattr__(self, "example", MappingProxyType(dict(self.example)))

    @property
    def options(self) -> tuple[str, ...]:
        """Return the names that ``generate`` accepts as options: every argument but the seed."""
        return tuple(name for name in inspect.signature(self.build).parameters if name != "seed")

    @property
    def seeded(self) -> bool:
        """Return whether the family draws random numbers."""
        return "seed" in inspect.signature(self.build).parameters


FAMILIES: Final[Registry[Family]] = Registry("circuit family")
"""Every circuit family by name, third parties' included (entry-point group ``hyperfabric_q.circuit_family``)."""


def family(
    name: str,
    description: str,
    *,
    source: str,
    example: Mapping[str, object],
    size: Callable[[int], object] = _same,
) -> Callable[[Generator], Generator]:
    """Return a decorator that registers a function as the circuit family ``name`` and returns it unchanged."""

    def add(build: Generator) -> Generator:
        FAMILIES.register(name)(
            Family(name=name, description=description, source=source, build=build, example=example, size=size)
        )
        return build

    return add


def names() -> tuple[str, ...]:
    """Return the names of all circuit families, sorted."""
    return tuple(sorted(FAMILIES))


def generate(
    name: str,
    qubits: int,
    *,
    seed: int | None = None,
    options: Mapping[str, Option] = MappingProxyType({}),
    measured: bool = False,
) -> QuantumCircuit:
    """Return the circuit of family ``name`` on ``qubits`` qubits; its ``metadata`` says how to build it again.

    Args:
        name: A name out of ``names()``.
        qubits: Width of the circuit, helper qubits included.
        seed: Seed of the draws; None takes a fresh one. Families that draw nothing ignore it.
        options: Further arguments of the family's function. Text is read as the type the function wants, so a command
            line can pass on what it got.
        measured: Measure every qubit into a register ``c``, unless the family measures by itself.

    Raises:
        UnknownName: no such family, or the family has no such option.
        InvalidValue: the size or an option holds a value that the family does not accept.
    """
    chosen = FAMILIES[name]
    width = whole("qubits", qubits, least=1)
    arguments = _arguments(chosen, options)
    first = chosen.options[0]
    if first not in arguments:
        arguments[first] = chosen.size(width)
    used_seed = seeds.resolve(seed) if chosen.seeded else None
    if used_seed is not None:
        arguments["seed"] = used_seed
    circuit = chosen.build(**arguments)
    if circuit.num_qubits != width:
        raise InvalidValue(
            field=first,
            value=arguments[first],
            rule=f"this makes a circuit of {circuit.num_qubits} qubits, and {width} were asked for",
            remedy=f"Leave {first} out, or ask for {circuit.num_qubits} qubits.",
        )
    if measured and not circuit.clbits:
        circuit.add_register(ClassicalRegister(width, "c"))
        circuit.measure(circuit.qubits, circuit.clbits)
    circuit.metadata = {
        "family": name,
        "qubits": width,
        "seed": used_seed,
        "options": dict(options),
        "measured": measured,
    }
    return circuit


def _arguments(chosen: Family, options: Mapping[str, Option]) -> dict[str, Any]:
    known = chosen.options
    hints = get_type_hints(chosen.build)
    arguments: dict[str, Any] = {}
    for name, value in options.items():
        if name == "seed":
            raise InvalidValue(field="options", value=name, rule="the seed is an argument of its own, not an option")
        if name not in known:
            raise UnknownName(kind=f"option of the circuit family {chosen.name!r}", name=str(name), known=known)
        arguments[name] = _read(name, value, hints.get(name, object))
    needed = inspect.signature(chosen.build).parameters
    for name in known[1:]:
        if name not in arguments and needed[name].default is inspect.Parameter.empty:
            raise InvalidValue(
                field="options",
                value=dict(options),
                rule=f"the circuit family {chosen.name!r} needs the option {name!r}",
                remedy=f"Add it, as in {dict(chosen.example)}.",
            )
    return arguments


def _read(field: str, value: Option, hint: Any) -> Any:
    """Return ``value`` as the type ``hint``; only text changes its type, and the family checks the range itself."""
    if get_origin(hint) in {Union, UnionType}:
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is str or get_origin(hint) is Literal:
        if not isinstance(value, str):
            raise InvalidValue(field=field, value=value, rule=f"the option {field!r} is a text")
        return value
    if hint is bool:
        word = str(value).lower()
        if word not in {"true", "false", "1", "0"}:
            raise InvalidValue(field=field, value=value, rule=f"the option {field!r} is true or false")
        return word in {"true", "1"}
    if isinstance(value, str):
        return _from_text(field, value, hint)
    alone = get_origin(hint) is Sequence and not isinstance(value, Sequence)
    return (value,) if alone else value


def _from_text(field: str, value: str, hint: Any) -> Any:
    """Return the number or the numbers that ``value`` spells; a type that has no spelling here passes unread."""
    if get_origin(hint) is Sequence:
        form = "numbers such as 0.4,0.3" if get_args(hint) == (float,) else "pairs such as 0-1,1-2"
    else:
        form = {int: "a whole number", float: "a number"}.get(hint, "")
    if not form:
        return value
    try:
        if hint is int or hint is float:
            return hint(value)
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if get_args(hint) == (float,):
            return tuple(float(part) for part in parts)
        return tuple(tuple(int(end) for end in part.split("-")) for part in parts)
    except ValueError:
        raise InvalidValue(field=field, value=value, rule=f"the option {field!r} is {form}") from None
