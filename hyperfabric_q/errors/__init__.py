"""Every exception this package raises, sorted by who is at fault.

::

    HyperFabricError
    ├─ InputError (ValueError)        what you gave us is wrong
    │  ├─ InvalidValue                a field holds a value it must not hold
    │  ├─ UnknownName                 a node, preset, family or plug-in that does not exist
    │  ├─ DuplicateName               the name is taken
    │  ├─ CircuitRejected             a circuit file that cannot be read safely, or at all
    │  ├─ UnsupportedOperation        a valid instruction that we cannot distribute
    │  │  └─ ConversionRefused        an operation without a counterpart in the other framework, with a report
    │  ├─ FabricRejected              a fabric file with a fault, named with its line
    │  ├─ TrainingRejected            the same of a training file
    │  ├─ FileUnreadable              a file that is missing or is not what it should be
    │  ├─ BusyFabric                  a call that must not be made while an event loop runs
    │  ├─ PairSpent                   a Bell pair or a quantum state that is used a second time
    │  ├─ OutcomesUnfit               measured outcomes that are not those of the subexperiments, each once
    │  └─ StoreUnreadable             a store of outcomes that is damaged, or is another program's file
    ├─ Infeasible                     no solution exists on this fabric
    │  ├─ NotEnoughQubits
    │  ├─ NotEnoughCommunicationQubits
    │  ├─ NoQuantumPath
    │  ├─ NoRoute                     two groups of nodes that no classical channel joins
    │  ├─ DeadlineImpossible          a latency constraint below what an idle fabric needs
    │  ├─ NotEnoughMemory             a payload larger than the memory of its destination
    │  ├─ EntanglementUnavailable     a transfer that demands entanglement which its ends cannot share
    │  ├─ FidelityUnreachable         a fidelity that no swapping and purifying reaches on this hardware
    │  ├─ NoCutFound                  a circuit that cannot be cut into pieces of the widths asked for
    │  ├─ ProblemTooLarge             a problem that does not fit the annealer it is sent to
    │  ├─ OverheadTooHigh             cuts that need more shots than the precision asked for can be given
    │  └─ BudgetTooSmall              no way to run a circuit within its shots, pairs and time
    ├─ MissingDependency (ImportError) an optional package that is not installed
    ├─ ExecutorUnreachable            a cluster or pool that does not answer, or whose workers cannot run our jobs
    ├─ JobPoisoned                    a job that ended every worker it was given to
    ├─ DeadlineMissed                 bytes that arrived, but later than they had to
    ├─ EntanglementMissed             Bell pairs that were not there when they had to be
    ├─ Undeliverable                  bytes that did not arrive
    ├─ VirtualDeadlock                every task waits for something that nothing will bring about
    ├─ SimulationRefused              too large for the simulator that was asked for
    ├─ SecurityRefused                a key or a sealed message that must not be used
    │  ├─ SealBroken                  the message is not what was sealed, or not under this key
    │  ├─ ReplayRejected              the message was opened before, or is too old to tell
    │  ├─ KeySpent                    the key was released, is used up, or serves something else
    │  ├─ InsufficientKey             a distillation that gave no key which may be used
    │  ├─ QuantumKeyUnavailable       two nodes that share too little key from quantum key distribution
    │  └─ IsolationViolated           a transfer that a zone's isolation forbids
    └─ InternalError                  our bug, please report it
       └─ VerificationFailed          the emitted circuit is not the circuit you gave us

The text of each error is derived from its fields and follows one pattern: what was asked, what was found, what to do.
All of them pickle, so they survive a process pool. Warnings of this package are ``HyperFabricWarning``.
"""

from hyperfabric_q.errors.base import (
    BacklogWarning,
    EndedEarly,
    HyperFabricError,
    HyperFabricWarning,
    ImplicitEndpointWarning,
    nearest,
)
from hyperfabric_q.errors.bugs import InternalError, VerificationFailed
from hyperfabric_q.errors.infeasible import (
    BudgetTooSmall,
    DeadlineImpossible,
    EntanglementUnavailable,
    FidelityUnreachable,
    Infeasible,
    NoCutFound,
    NoQuantumPath,
    NoRoute,
    NotEnoughCommunicationQubits,
    NotEnoughMemory,
    NotEnoughQubits,
    OverheadTooHigh,
    ProblemTooLarge,
)
from hyperfabric_q.errors.inputs import (
    BusyFabric,
    CircuitRejected,
    ConversionRefused,
    DuplicateName,
    FabricRejected,
    FileUnreadable,
    InputError,
    InvalidValue,
    OutcomesUnfit,
    PairSpent,
    StoreUnreadable,
    TrainingRejected,
    UnknownName,
    UnsupportedOperation,
)
from hyperfabric_q.errors.outcomes import (
    DeadlineMissed,
    EntanglementMissed,
    ExecutorUnreachable,
    JobCancelled,
    JobPoisoned,
    MissingDependency,
    SimulationRefused,
    Undeliverable,
    VirtualDeadlock,
)
from hyperfabric_q.errors.security import (
    InsufficientKey,
    IsolationViolated,
    KeySpent,
    QuantumKeyUnavailable,
    ReplayRejected,
    SealBroken,
    SecurityRefused,
)

__all__ = [
    "BacklogWarning",
    "BudgetTooSmall",
    "BusyFabric",
    "CircuitRejected",
    "ConversionRefused",
    "DeadlineImpossible",
    "DeadlineMissed",
    "DuplicateName",
    "EndedEarly",
    "EntanglementMissed",
    "EntanglementUnavailable",
    "ExecutorUnreachable",
    "FabricRejected",
    "FidelityUnreachable",
    "FileUnreadable",
    "HyperFabricError",
    "HyperFabricWarning",
    "ImplicitEndpointWarning",
    "Infeasible",
    "InputError",
    "InsufficientKey",
    "InternalError",
    "InvalidValue",
    "IsolationViolated",
    "JobCancelled",
    "JobPoisoned",
    "KeySpent",
    "MissingDependency",
    "NoCutFound",
    "NoQuantumPath",
    "NoRoute",
    "NotEnoughCommunicationQubits",
    "NotEnoughMemory",
    "NotEnoughQubits",
    "OutcomesUnfit",
    "OverheadTooHigh",
    "PairSpent",
    "ProblemTooLarge",
    "QuantumKeyUnavailable",
    "ReplayRejected",
    "SealBroken",
    "SecurityRefused",
    "SimulationRefused",
    "StoreUnreadable",
    "TrainingRejected",
    "Undeliverable",
    "UnknownName",
    "UnsupportedOperation",
    "VerificationFailed",
    "VirtualDeadlock",
    "nearest",
]
