"""Tasks for the tests of executors and store: a module that worker processes can import."""

import os
import signal
import time
from pathlib import Path

from hyperfabric_q.errors import NotEnoughQubits
from hyperfabric_q.execution.executors import open_engine
from hyperfabric_q.execution.jobs import Job, task


def note(job):
    """Write down that the job was started; one line is written at once, whoever else writes."""
    log = job.arguments.get("log")
    if log:
        with Path(log).open("a") as file:
            file.write("/".join(map(str, job.path)) + "\n")


@task("trial_draw", version=1)
def draw(job):
    note(job)
    time.sleep(job.arguments.get("sleep", 0))
    return {"draws": [float(each) for each in job.stream().random(3)], "path": list(job.path)}


@task("trial_death", version=1)
def death(job):
    note(job)
    os.kill(os.getpid(), signal.SIGKILL)


@task("trial_one_death", version=1)
def one_death(job):
    """Die the first time."""
    note(job)
    mark = Path(job.arguments["mark"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job.subseed()


@task("trial_error", version=1)
def error(job):
    if job.arguments["typed"]:
        raise NotEnoughQubits(needed=3, available={"a": 1})
    raise ZeroDivisionError("by nought")


@task("trial_unplain", version=1)
def unplain(_job):
    return {"file": object()}


@task("trial_threads", version=1)
def threads(_job):
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")} | {"pid": os.getpid()}


@task("trial_interrupt", version=1)
def interrupt(job):
    if job.arguments.get("now"):
        raise KeyboardInterrupt
    return job.subseed()


@task("trial_nested", version=1)
def nested(job):
    """Say where jobs would run that are begun inside this one."""
    engine = open_engine(jobs=[Job.from_bytes(each) for each in job.arguments["jobs"]])
    engine.close()
    return engine.name
