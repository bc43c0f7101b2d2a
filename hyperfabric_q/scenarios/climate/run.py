"""Days of weather that are sent around the world, forecast at four centres, and corrected."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Final

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.fabric.location import bound_ns, find_place
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.climate.correction import CENTRES, FEATURES, SHOTS, feature_map, points
from hyperfabric_q.scenarios.climate.model import Array
from hyperfabric_q.scenarios.climate.network import COLLECTED_AT, PLACES, QPU, centre_id, send_to_all, world_network
from hyperfabric_q.scenarios.climate.pieces import (
    Prediction,
    collect_global_atmospheric_data,
    corrections,
    extract_quantum_features,
    merge_climate_predictions,
    run_model,
    weather_to_come,
)
from hyperfabric_q.scenarios.climate.report import BY_CIRCUIT, GAUSSIAN, TOGETHER, verdicts
from hyperfabric_q.scenarios.context import World, current_world
from hyperfabric_q.scenarios.outcome import Figure, Outcome

PAST: Final = {"small": 8, "full": 48}
DAYS: Final = {"small": 4, "full": 40}
ANALYSIS: Final = hq.VirtualTensor((137, 6_599_680, 5), "float32")
"""Five fields on the 137 levels and the octahedral grid of 9 km of the European centre: 18 GB."""


def kernel_ns(protocol: hq.HyperFabricProtocol, seed: int) -> float:
    """Return how long the QPU takes for the shots of one entry of the kernel matrix."""
    turned = feature_map(0.2).assign_parameters([0.3, 0.5, 0.7, 0.9])
    back = feature_map(0.2).assign_parameters([0.4, 0.2, 0.6, 0.8]).inverse()
    circuit = turned.compose(back)
    circuit.measure_all()
    plan = protocol.plan(circuit, homes=[QPU] * FEATURES, time_limit_s=0, seed=seed)
    one, two = (plan.run(shots, noise="none", seed=seed).job_ns or 0.0 for shots in (1, 2))
    return (two - one) * SHOTS  # what another shot adds: gates, readout and reset


def attach_models(protocol: hq.HyperFabricProtocol, entry_ns: float) -> None:
    """Let each centre answer with its forecast, and the QPU with corrections, as late as its shots take."""

    def model(name: str) -> Callable[[hq.Packet], Array]:
        return lambda packet: run_model(name, packet.data)

    async def correct(packet: hq.Packet) -> Array:
        rows = packet.data
        await protocol.sleep_ns(len(rows) * len(corrections().by_shots.rows) * entry_ns)
        return corrections().by_shots(rows)

    for name in CENTRES:
        protocol.attach_handler(centre_id(name), model(name))
    protocol.attach_handler(QPU, correct)


async def _day(protocol: hq.HyperFabricProtocol, analysis: Array) -> tuple[list[hq.TransferResult], hq.TransferResult]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hq.errors.HyperFabricWarning)  # the receipt says it as well
        corrected = protocol.send_data(
            source=centre_id("ncar"),
            destination=QPU,
            data=extract_quantum_features(analysis),
            data_type=hq.DataType.QUANTUM_STATE,
            requires_quantum_entanglement=True,
        )
        forecasts, quantum = await asyncio.gather(send_to_all(protocol, analysis), corrected)
    return forecasts, quantum


def _errors(found: Prediction, rows: Array, truth: Array) -> dict[str, float]:
    """Return the root mean square error of everybody's forecast at the points, in metres."""
    right, mean, own = points(truth), points(found.mean), corrections()
    told = {f"{name} alone": points(each) for name, each in found.centres.items()}
    told[TOGETHER] = mean
    told["corrected by the best plane"] = mean + own.linear(rows)
    told[GAUSSIAN] = mean + own.gaussian(rows)
    told[f"{BY_CIRCUIT} exact"] = mean + own.quantum(rows)
    told[f"{BY_CIRCUIT} by shots"] = mean if found.corrected is None else found.corrected
    return {name: float(np.sqrt(((each - right) ** 2).mean())) for name, each in told.items()}


async def _play(size: Size, world: World) -> Outcome:
    protocol = world_network()
    entry_ns = kernel_ns(protocol, world.seed)
    large = await send_to_all(protocol, ANALYSIS)
    corrections(PAST[size])
    attach_models(protocol, entry_ns)
    errors, spreads = [], []
    for _ in range(DAYS[size]):
        analysis = collect_global_atmospheric_data()
        forecasts, quantum = await _day(protocol, analysis)
        found = merge_climate_predictions([*forecasts, quantum])
        errors.append(_errors(found, extract_quantum_features(analysis), weather_to_come()))
        spreads.append(float(np.sqrt((points(found.spread) ** 2).mean())))
    decided = forecasts[0].receipt.compression
    learnt, rows = len(corrections().quantum.rows), extract_quantum_features(analysis).shape[0]
    figures = (
        Figure(name="days", value=DAYS[size], origin="stated"),
        Figure(name="past days that corrections are learnt from", value=PAST[size], origin="stated"),
        *(
            Figure(name=f"light to {name}", value=_light_ms(place), unit="ms", origin="bound")
            for name, (place, _) in PLACES.items()
        ),
        *(
            Figure(name=f"analysis at {name}", value=each.latency_ns / 1e6, unit="ms")
            for name, each in zip(CENTRES, forecasts, strict=True)
        ),
        *(
            Figure(name=f"18 GB at {name}", value=each.latency_ns / 1e9, unit="s")
            for name, each in zip(CENTRES, large, strict=True)
        ),
        *_compared(errors),
        _mean("spread of the centres", spreads),
        Figure(name="one entry of the kernel by shots", value=entry_ns / 1e6, unit="ms"),
        Figure(name="correction of a day on the QPU", value=entry_ns * rows * learnt / 1e9, unit="s"),
        Figure(name="learning on the QPU", value=entry_ns * learnt * (learnt - 1) / 2e9, unit="s", origin="computed"),
    )
    return Outcome(
        scenario="climate",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=verdicts({each.name: each for each in figures}, list(CENTRES), quantum),
        notes=(
            "Weather of one layer on a grid of 19 by 39 points, two days ahead; errors are of the height of 500 hPa.",
            "Every day is unrelated to all others, so that none that is tested was learnt from.",
            f"Compression of an analysis: {decided.reason}." if decided else "Analyses are not compressed.",
            "Bars are over the days that are tested, after one draw of past days; another draw can swap the kernels.",
            "Shots of kernels are drawn from exact states: a QPU whose gates err does no better.",
            "Forecasts take no time on the clock; those of real centres take an hour of a large machine.",
        ),
    )


def _compared(errors: list[dict[str, float]]) -> list[Figure]:
    """Return the mean errors, and differences day by day."""
    best = min((f"{name} alone" for name in CENTRES), key=lambda name: sum(each[name] for each in errors))
    return [
        *(_mean(name, [each[name] for each in errors]) for name in errors[0]),
        _mean("the mean of all less the best centre", [each[TOGETHER] - each[best] for each in errors]),
        _mean(
            "what shots of the circuit's kernel take away",
            [each[TOGETHER] - each[f"{BY_CIRCUIT} by shots"] for each in errors],
        ),
        *(
            _mean(
                f"the circuit's kernel, {how}, less the Gaussian one",
                [each[f"{BY_CIRCUIT} {how}"] - each[GAUSSIAN] for each in errors],
            )
            for how in ("by shots", "exact")
        ),
    ]


def _light_ms(place: str) -> float:
    return bound_ns(find_place(COLLECTED_AT), find_place(place)) / 1e6


def _mean(name: str, values: list[float]) -> Figure:
    """Return the mean over days, with its standard error.

    Nine digits are kept: further ones depend on how many threads the linear algebra has, and digests should not.
    """
    stderr = np.std(values, ddof=1) / len(values) ** 0.5
    return Figure(name=name, value=float(f"{np.mean(values):.9g}"), unit="m", stderr=float(f"{stderr:.9g}"))


def played(size: Size) -> Outcome:
    """Return what the days show."""
    return hq.run(_play(size, current_world()))
