"""One analysis of the weather for four centres around the world, a forecast from each, and one of them all.

The weather is that of one layer of air on a turning sphere with mountains; each centre's model is wrong about these in
its own way. What is wrong with the mean of all is learnt from past days, by the kernel of a circuit on a QPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.climate.correction import (
    CENTRES,
    FEATURES,
    SPHERE,
    Corrections,
    came_true,
    observed,
    points,
    predicted,
    weathers,
)
from hyperfabric_q.scenarios.climate.model import Array, Waves
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.outcome import Outcome

PAST_DAYS = 16


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """Heights of the 500 hPa surface in metres, two days ahead, but for their mean.

    Attributes:
        centres: of each that took part, (latitude, longitude).
        mean: of all of them.
        spread: their standard deviation.
        corrected: the mean with its correction, at ``climate_correction.points``; None if nothing corrected it.
    """

    centres: dict[str, Array]
    mean: Array
    spread: Array
    corrected: Array | None

    def __repr__(self) -> str:
        what = "not corrected" if self.corrected is None else f"corrected at {len(self.corrected)} points"
        return f"<Prediction of {', '.join(self.centres)}: {self.spread.mean():.3g} m apart, {what}>"


def collect_global_atmospheric_data() -> Array:
    """Return the analysed vorticity on the grid, (latitude, longitude), in units of the Earth's; each call another day.

    What the weather will really do is kept: ``weather_to_come``.
    """
    world = current_world()
    rng = world.stream("climate")
    truth = weathers(1, rng)[0]
    world.replace_state("climate truth", truth)
    return SPHERE.grid(observed(truth, rng))


def weather_to_come() -> Array:
    """Return the heights two days after the day that was collected last.

    Raises:
        InvalidValue: none was.
    """
    truth: Waves = current_world().state("climate truth", _no_weather)
    if not truth.size:
        rule = "there is a day whose weather is to come"
        raise InvalidValue(field="weather", value=None, rule=rule, remedy="Call collect_global_atmospheric_data first.")
    return came_true(truth)


def _no_weather() -> Waves:
    return np.zeros(0, dtype=np.complex128)


def corrections(past_days: int = PAST_DAYS) -> Corrections:
    """Return the corrections of this world; they are learnt from so many past days when they are first asked for."""
    world = current_world()
    return world.state("climate corrections", lambda: Corrections(past_days, world.stream("climate past")))


def extract_quantum_features(x: object) -> Array:
    """Return what the QPU needs: four angles at each point, (points, 4); see ``climate_correction.raw_features``.

    Args:
        x: an analysis, or the result of sending it.
    """
    return corrections().angles(SPHERE.waves(np.asarray(_given(x), dtype=np.float64)))


def run_model(centre: str, analysis: Array) -> Array:
    """Return the heights that the model of a centre ("ncar", "ecmwf", "jma", "bom") predicts two days ahead."""
    return np.asarray(predicted(SPHERE.waves(analysis), (centre,))[0])


def merge_climate_predictions(results: Sequence[object]) -> Prediction:
    """Return the forecast of all centres together.

    Args:
        results: of sending the analysis to centres ("climate-ncar") and features to the QPU. What their handlers
            answered is taken; where nothing answers, the work of that node is done here. Or plain arrays: heights of
            the centres, in the order of ``CENTRES``, and corrections or features at the points.

    Raises:
        InvalidValue: there is no forecast among them.
    """
    found: dict[str, Array] = {}
    correction: Array | None = None
    for each in results:
        answered = isinstance(each, hq.TransferResult) and each.response is not None
        value: Array = np.asarray(each.response if answered and isinstance(each, hq.TransferResult) else _given(each))
        if value.shape != SPHERE.shape:
            correction = corrections().quantum(value) if value.shape[-1:] == (FEATURES,) and value.ndim == 2 else value
        elif isinstance(each, hq.TransferResult):
            name = each.receipt.destination.removeprefix("climate-")
            found[name] = value if answered else run_model(name, value)
        else:
            found[list(CENTRES)[len(found)]] = value
    if not found:
        raise InvalidValue(field="results", value=len(results), rule="at least one of them is of a centre")
    every = np.array(list(found.values()))
    mean = every.mean(axis=0)
    return Prediction(
        centres=found,
        mean=mean,
        spread=every.std(axis=0),
        corrected=None if correction is None else points(mean) + correction,
    )


def _given(x: object) -> Any:
    return x.value if isinstance(x, hq.TransferResult) else x


def play(*, size: Size) -> Outcome:
    """Return how well four centres predict the weather together, with and without a QPU."""
    from hyperfabric_q.scenarios.climate.run import played  # noqa: PLC0415 - it is made of these pieces

    return played(size)
