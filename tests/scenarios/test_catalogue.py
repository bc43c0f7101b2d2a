"""What all scenarios have in common: their catalogue, the form of what they find, their worlds, and the command."""

import asyncio
import importlib
import json
import math
import time as wall

import numpy as np
import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

import hyperfabric_q as hq
from hyperfabric_q import cli, scenarios
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.scenarios import SCENARIOS, Figure, Outcome, Verdict, play, world
from hyperfabric_q.scenarios.context import current_world


def run(*words):
    return CliRunner().invoke(cli.app, ["scenario", *map(str, words)])


def test_every_public_name_resolves_and_each_scenario_can_be_played():
    for name in scenarios.__all__:
        assert getattr(scenarios, name) is not None
    assert len(SCENARIOS) == 10
    for name in SCENARIOS:
        assert callable(importlib.import_module(f"hyperfabric_q.scenarios.{name}").play)


def test_the_command_lists_plays_and_refuses():
    listed = run("--json")
    assert set(json.loads(listed.stdout)["scenarios"]) == set(SCENARIOS)
    told = run("vehicle_swarm", "--size", "small", "--json")
    found = json.loads(told.stdout)
    assert found.pop("schema") == "hyperfabric_q/scenario/1"
    digest = found.pop("digest")
    read = TypeAdapter(Outcome).validate_python(found, strict=False)
    assert read.digest == digest == play("vehicle_swarm", size="small").digest
    assert run("vehicle_swarms").exit_code == cli.WRONG_INPUT


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(UnknownName, match="climate"):
        play("climat")
    with pytest.raises(UnknownName, match="full"):
        play("climate", size="ful")


def test_figures_are_plain_finite_numbers():
    figure = Figure(name="n", value=np.float32(0.5), stderr=np.float64(0.1))
    assert type(figure.value) is type(figure.stderr) is float
    assert type(Verdict(asked="a", holds=np.bool_(1), because="b").holds) is bool
    with pytest.raises(InvalidValue):
        Figure(name="n", value=math.nan)
    outcome = Outcome(scenario="s", size="small", seed=0, figures=(figure,))
    assert outcome["n"] == 0.5
    with pytest.raises(KeyError):
        outcome["m"]


def test_each_run_and_each_block_has_a_world_of_its_own():
    async def draw():
        first = current_world().stream("x").random()
        return first, current_world().stream("x").random()

    current_world().stream("x").random()  # outside, it is nobody else's
    one, two = hq.run(draw()), hq.run(draw())
    assert one == two
    assert one[0] != one[1]
    with world(seed=7):
        inside = current_world()
        other = hq.run(draw())
        with world(seed=8):
            assert current_world() is not inside
        assert current_world() is inside
    assert other != one


def test_time_is_the_fabrics_under_its_clock_and_the_walls_elsewhere():
    async def measured():
        began = scenarios.time.time()
        await asyncio.sleep(3600)
        return scenarios.time.time() - began

    began = wall.monotonic()
    assert hq.run(measured()) == pytest.approx(3600)
    assert wall.monotonic() - began < 60
    assert abs(scenarios.time.time() - wall.time()) < 60
    assert abs(scenarios.time.perf_counter() - wall.perf_counter()) < 60
