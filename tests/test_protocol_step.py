"""One step of training on the clock: its parts add up, its messages compete, and gradients are really reduced."""

import asyncio

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.on_fabric import OnFabric

GPUS = ("g0", "g1", "g2")


def node(name, kind=hq.HardwareType.NVIDIA_H100, gbps=8, **fields):
    return hq.NodeSignature(name, kind, gbps, 100, **fields)


def fabric():
    times = {"gate_1q_ns": 50, "gate_2q_ns": 200, "readout_ns": 1000, "reset_ns": 500}
    qpus = [
        node(each, hq.HardwareType.QUANTUM_QPU, 1, compute_units=2, communication_qubits=2, **times)
        for each in ("qa", "qb")
    ]
    link = hq.Link("qa", "qb", bandwidth_gbps=1, latency_ns=100, pair_fidelity=0.98, pair_rate_hz=1e6)
    gpus = [node(each, metadata={"flops_per_s": 1e12}) for each in GPUS]
    return hq.Fabric(nodes=[*gpus, *qpus], links=[link])


def protocol(**options):
    return hq.HyperFabricProtocol(fabric(), seed=3, **options)


def ghz(*, measured=True):
    circuit = QuantumCircuit(4, 4 if measured else 0)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    if measured:
        circuit.measure(range(4), range(4))
    return circuit


def parts(split):
    return split.quantum_ps, split.network_ps, split.classical_ps, split.waiting_ps


def test_known_answer_of_one_chain():
    live = protocol()
    with live.step(GPUS) as step:
        assert step.compute("g0", flops=5e6) == 5000
        assert step.compute("g1", ns=700) == 700
        step.send("g0", "g1", bytes(1000))  # 1000 bytes at 8 Gb/s, and 100 ns of latency
        step.compute("g1", ns=50)
    report = step.report
    assert parts(report.split) == (0, 1_100_000, 5_050_000, 0)
    assert (report.start_ns, report.end_ns, report.nbytes) == (0, 6150, 1000)
    assert parts(report.nodes["g0"]) == (0, 0, 5_000_000, 1_150_000)
    assert parts(report.nodes["g1"]) == (0, 1_100_000, 750_000, 4_300_000)
    assert live.now_ns == 6150


def test_parts_add_up_on_every_node_and_steps_follow_one_another():
    live, result = protocol(), protocol().run(ghz(), shots=50)
    ends = []
    for _ in range(2):
        with live.step(GPUS) as step:
            step.compute("g1", ns=300)
            step.ran(result)
            step.send_all([("g0", "qa", bytes(100)), ("qb", "g2", bytes(4000))])
            step.all_reduce([np.ones(500), np.ones((3, 3))])
        report = step.report
        for split in (report.split, *report.nodes.values()):
            assert sum(parts(split)) == report.end_ps - report.start_ps
        assert report.to_dict()["duration_ns"] == report.duration_ns
        ends.append((report.start_ps, report.end_ps))
    assert ends[0][0] == 0
    assert ends[1][0] == ends[0][1]


def test_quantum_time_is_shots_times_shot_time_and_takes_turns_only_on_shared_nodes():
    result = protocol().run(ghz(), shots=80)
    one = result.shot_ns
    wanted = round(1000 * (80 * one.mean + 79 * one.reset))
    with protocol().step(GPUS) as step:
        step.ran([result, result])
    assert parts(step.report.split) == (2 * wanted, 0, 0, 0)
    assert (step.report.shots, step.report.pairs) == (160, 160 * result.ebits)
    assert step.report.pairs_per_link == {("qa", "qb"): 160}
    with protocol().step(GPUS) as step:
        step.ran(result, nodes=["qa"])
        step.ran(result, nodes=["qb"])
    assert step.report.split.quantum_ps == wanted


def test_gradients_and_primitives_charge_what_their_plans_take():
    circuit = ghz(measured=False)
    circuit.ry(Parameter("t"), 0)
    source = OnFabric.of(circuit, ["ZZII"], fabric(), noise="none", seed=1)
    found = gradient(source, [0.3], shots=20, method="parameter_shift", seed=1)
    with protocol().step(["qa", "qb"]) as step:
        step.ran(found, plan=source)
    assert (step.report.shots, step.report.pairs) == (found.shots, found.shots * source.plan.ebits)
    exact = gradient(source, [0.3])
    with protocol().step(["qa", "qb"]) as step:
        assert step.ran(exact, plan=source) == 0
        with pytest.raises(errors.InvalidValue, match="plan"):
            step.ran(exact)
    assert "shots=" in step.report.notes[0]
    answer = hq.FabricSampler(fabric()).run([ghz()], shots=30).result()
    facts = answer[0].metadata
    with protocol().step(["qa", "qb"]) as step:
        lasts = step.ran(answer)
    assert lasts == pytest.approx(30 * facts["makespan_ns"] + 29 * 500)
    assert (step.report.shots, step.report.pairs) == (30, facts["bell_pairs_used"])


def test_all_reduce_takes_what_the_collective_takes_and_never_less_than_its_bound():
    given = {name: np.arange(6000.0) + rank for rank, name in enumerate(GPUS)}

    async def alone():
        return await protocol().all_reduce(list(GPUS), given)

    wanted = hq.run(alone())
    with protocol().step(GPUS) as step:
        mean = step.all_reduce(given)
    assert step.report.split.network_ps == wanted.latency_ps
    assert step.report.bound_ps == wanted.bound_ps
    assert step.report.split.network_ps >= step.report.bound_ps > 0
    assert np.array_equal(mean, np.arange(6000.0) + 1)


def test_reduced_arrays_have_the_shapes_and_types_that_were_given():
    with protocol().step(GPUS) as step:
        two = step.all_reduce({name: [np.full((2, 3), rank, np.float32), np.ones(4)] for rank, name in enumerate(GPUS)})
        total = step.all_reduce({name: np.float64(rank) for rank, name in enumerate(GPUS)}, op="sum", nodes=GPUS)
        same = step.all_reduce(np.array([1, 2]))
        thrice = step.all_reduce([0.1], op="sum")
    assert [(each.shape, each.dtype) for each in two] == [((2, 3), np.float32), ((4,), np.float64)]
    assert (two[0] == 1).all()
    assert total == 3
    assert same.tolist() == [1, 2]
    assert thrice[0] == 0.1 * 3


def test_parameters_of_pytorch_get_the_mean_in_place():
    torch = pytest.importorskip("torch")
    models = {name: torch.nn.Linear(3, 2) for name in GPUS}
    for rank, model in enumerate(models.values()):
        (model(torch.ones(1, 3)).sum() * (rank + 1)).backward()
    with protocol().step(GPUS) as step:
        step.all_reduce({name: model.parameters() for name, model in models.items()})
        with pytest.raises(errors.InvalidValue, match="backward"):
            step.all_reduce(torch.nn.Linear(3, 2))
    for model in models.values():
        assert all(torch.equal(each.grad, torch.full_like(each.grad, 2.0)) for each in model.parameters())
    assert step.report.nbytes == 4 * 8 * 4  # eight numbers of four bytes, each of which goes to and from two others


def test_other_traffic_lengthens_the_step_and_the_async_form_waits_beside_it():
    async def lasting(messages):
        live = protocol()
        noise = [
            asyncio.ensure_future(live.send_data(source="g2", destination="g1", data=bytes(20_000)))
            for _ in range(messages)
        ]
        async with live.step(["g0", "g1"]) as step:
            step.compute("g0", ns=10)
            found = await step.all_reduce([np.ones(100)])
        await asyncio.gather(*noise)
        assert (found[0] == 1).all()
        return step.report

    idle, busy = hq.run(lasting(0)), hq.run(lasting(5))
    assert busy.split.network_ps > idle.split.network_ps + 19_000_000
    assert busy.split.classical_ps == idle.split.classical_ps == 10_000


def test_the_same_program_has_the_same_report_in_both_forms():
    def sync():
        with protocol().step(GPUS) as step:
            step.compute("g1", ns=40)
            step.send_all([("g0", "g1", bytes(100)), ("g2", "g1", bytes(100))])
            step.all_reduce(np.ones(1000))
        return step.report

    async def awaited():
        async with protocol().step(GPUS) as step:
            step.compute("g1", ns=40)
            await step.send_all([("g0", "g1", bytes(100)), ("g2", "g1", bytes(100))])
            await step.all_reduce(np.ones(1000))
        return step.report

    assert sync() == hq.run(awaited())


def test_scripts_are_refused_on_a_running_loop_and_work_after_it():
    live = protocol()

    async def main():
        with pytest.raises(errors.BusyFabric, match="async with"), live.step(GPUS):
            pass
        async with live.step(GPUS) as step:
            step.compute("g0", ns=5)

    hq.run(main())
    with live.step(GPUS) as step:
        step.compute("g0", ns=7)
    assert step.report.duration_ns == 7


def test_faults_inside_leave_no_report_and_the_protocol_usable():
    live = protocol()
    with pytest.raises(KeyError), live.step(GPUS) as step:  # noqa: PT012
        step.compute("g0", ns=5)
        raise KeyError
    with pytest.raises(errors.InvalidValue, match="report"):
        _ = step.report
    with live.step(GPUS) as step:
        step.compute("g0", ns=5)
    with pytest.raises(errors.InvalidValue, match="ended"):
        step.compute("g0", ns=5)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda live, step: live.step("g0"), errors.InvalidValue, "sequence"),
        (lambda live, step: live.step(["g0", "g0"]), errors.InvalidValue, "once"),
        (lambda live, step: live.step(["g9"]), errors.UnknownName, "g9"),
        (lambda live, step: step.compute("g0"), errors.InvalidValue, "exactly one"),
        (lambda live, step: step.compute("g0", ns=-1), errors.InvalidValue, "at least 0"),
        (lambda live, step: step.compute("qa", flops=1), errors.InvalidValue, "flops_per_s"),
        (lambda live, step: step.ran(3), errors.InvalidValue, "Result"),
        (lambda live, step: step.all_reduce("text"), errors.InvalidValue, "gradients"),
        (lambda live, step: step.all_reduce({"g0": 1.0}), errors.InvalidValue, "entry for each"),
        (lambda live, step: step.all_reduce(np.ones(3), op="max"), errors.InvalidValue, "mean"),
        (
            lambda live, step: step.all_reduce({name: np.ones(k + 1) for k, name in enumerate(GPUS)}),
            errors.InvalidValue,
            "shapes",
        ),
        (lambda live, step: step.send_all([("g0", "g1")]), errors.InvalidValue, "source"),
    ],
)
def test_what_cannot_be_is_refused(call, error, told):
    live = protocol()
    with live.step(GPUS) as step, pytest.raises(error, match=told):
        call(live, step)
