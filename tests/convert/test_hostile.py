"""Texts made to hurt the reader: each is refused, with a typed error, in little time and memory, and opens no file.

Run as a script, this file measures: it prints one JSON object with the seconds and megabytes of each text.
"""

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperfabric_q.convert import ReaderLimits, prescan, read_qasm
from hyperfabric_q.convert.prescan import NOT_UNDERSTOOD
from hyperfabric_q.errors import CircuitRejected

H2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
H3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
Q2 = H2 + "qreg q[2];\ncreg c[2];\n"
Q3 = H3 + "qubit[2] q;\nbit[2] c;\n"


def bomb(levels, arguments="", head="", call=""):
    rows = [f"gate g0{arguments} a {{ {head} }}"]
    rows += [
        f"gate g{i}{arguments} a {{ g{i - 1}{call or arguments} a; g{i - 1}{call or arguments} a; }}"
        for i in range(1, levels)
    ]
    return "\n".join(rows) + "\n"


def chain(levels):
    return "gate g0 a { x a; }\n" + "".join(f"gate g{i} a {{ g{i - 1} a; }}\n" for i in range(1, levels))


def wires(count):
    return ", ".join(f"q[{i}]" for i in range(count))


# name: (text, what the reason says)
HOSTILE = {
    "empty": ("", "empty"),
    "blank": (" \n\t", "empty"),
    "only a comment": ("// nothing\n", "header"),
    "no header": ("qreg q[1];", "header"),
    "nul": (Q2 + "h\0 q[0];", "NUL"),
    "version 4": ("OPENQASM 4.0; qubit q;", "4.0"),
    "version 2.1": ("OPENQASM 2.1; qreg q[1];", "2.1"),
    "long version": ("OPENQASM " + "9" * 100_000 + ";", "header"),
    "binary": ("OPENQASM 2.0;\n" + "\x01\x02\x03", "begins nothing"),
    "register 1e9": (H2 + "qreg q[1000000000];", "1,000,000,000"),
    "register 1e7": (H2 + "qreg q[10000000]; h q;", "10,000,000"),
    "register 1e6 and broadcast": (H2 + "qreg q[1000000]; h q;", "1,000,000"),
    "register of 23 digits": (H2 + "qreg q[" + "9" * 23 + "];", "10^22"),
    "register of 4000 digits": (H2 + "creg q[" + "9" * 3999 + "];", "far more"),
    "register of 5000 digits": (H2 + "qreg q[" + "9" * 5000 + "];", "5,000 characters"),
    "negative register": (H2 + "qreg q[-1];", "declared"),
    "many registers": (H2 + "qreg q[60000]; qreg r[60000];", "in all registers"),
    "bits 1e9": (H2 + "creg c[1000000000];", "1,000,000,000"),
    "index of 30 digits": (Q2 + "h q[" + "9" * 30 + "];", ""),
    "bomb of 40": (H2 + bomb(40, head="x a;") + "qreg q[1]; g39 q[0];", "expands"),
    "bomb of 40 with angles": (H2 + bomb(40, "(t)", "rx(t) a;") + "qreg q[1]; g39(0.1) q[0];", "expands"),
    "bomb just below, broadcast": (H2 + bomb(22, head="x a;") + "qreg q[1000]; g21 q;", "after expansion"),
    "bomb of empty bodies": (H2 + bomb(40) + "qreg q[1]; g39 q[0];", "expands"),
    "u0 bomb": (Q2 + "u0(1e12) q[0];", "after expansion"),
    "u0 bomb in a gate": (H2 + "gate g(n) a { u0(n) a; }", "expands"),
    "nested 65 deep": (H2 + chain(66), "nested gate definitions"),
    "self call": (H2 + "gate g a { g a; }", "calls itself"),
    "forward call": (H2 + "gate g a { k a; } gate k a { g a; }", "'k'"),
    "many broadcasts": (H2 + "qreg q[100000];" + "h q;" * 20, "instructions"),
    "many wide barriers": (H2 + "qreg q[100000];" + "barrier q;" * 200, "after expansion"),
    "wide conditions": (H2 + "qreg q[100]; creg c[100000]; if(c==1) h q;", "conditions"),
    "many conditions": (H2 + "qreg q[100000]; creg c[1]; if(c==1) h q;", "conditions"),
    "many definitions": (H2 + "".join(f"gate g{i} a {{ }}" for i in range(20_000)), "gate definitions"),
    "absolute include": (H2 + 'include "/etc/passwd";', "no other file"),
    "relative include": (H2 + 'include "../../../../etc/passwd";', "no other file"),
    "include of a device": (H2 + 'include "/dev/zero";', "no other file"),
    "include with quotes swapped": (H2 + "include '/etc/passwd';", "no other file"),
    "include in a gate": (H2 + 'gate g a { include "/etc/passwd"; }', "gate body"),
    "include of stdgates in 2": ('OPENQASM 2.0; include "stdgates.inc";', "no other file"),
    "parentheses": (Q2 + "rx(" + "(" * 20_000 + "1" + ")" * 20_000 + ") q[0];", "nest"),
    "minus signs": (Q2 + "rx(" + "-" * 100_000 + "1) q[0];", "nests"),
    "tower of powers": (Q2 + "rx(" + "1^" * 100_000 + "1) q[0];", "nests"),
    "infinite power": (Q2 + "rx(9^9^9^9) q[0];", "finite"),
    "infinite literal": (Q2 + "rx(1e999) q[0];", "finite"),
    "infinite sum": (Q2 + "rx(1e308+1e308) q[0];", "finite"),
    "one by zero": (Q2 + "rx(1/0) q[0];", "finite"),
    "root of minus one": (Q2 + "rx(sqrt(-1)) q[0];", "finite"),
    "logarithm of zero": (Q2 + "rx(ln(0)) q[0];", "finite"),
    "fraction of a negative": (Q2 + "rx((0-2)^0.5) q[0];", "finite"),
    "infinite inside a gate": (Q2 + "gate g(t) a { rx(1/t) a; }\ng(0) q[0];", "finite"),
    "overflow inside a gate": (Q2 + "gate g(t) a { rx(t*1e300*1e300) a; }\ng(1) q[0];", "finite"),
    "infinite two gates down": (
        Q2 + "gate g(t) a { rx(ln(t)) a; }\ngate k(t) a { g(t-1) a; }\nk(1) q[0];",
        "finite",
    ),
    "constant fault in a gate": (Q2 + "gate g a { rx(1/0) a; }", "finite"),
    "endless checks": (
        Q2 + bomb(20, "(t)", "rx(1/t) a;", "(t*2)").replace("(t*2) a; }", "(t*2+1) a; }") + "g19(1) q[0];",
        "",
    ),
    "empty index": (Q2 + "h q[];", "index"),
    "unknown gate": (Q2 + "foo q[0];", "'foo'"),
    "unclosed gate": (H2 + "gate g a { x a;", "never closed"),
    "unclosed string": (H2 + 'include "qelib1.inc;', "begins nothing"),
    "missing semicolon": (Q2 + "h q[0]", "';'"),
    "closing brace": (Q2 + "h q[0]; }", "closes nothing"),
    "closing bracket": (Q2 + "h q0];", "closes nothing"),
    "nested gate": (H2 + "gate g a { gate k a { } }", "inside a block"),
    "hidden after a carriage return": (Q3 + "// x\rqubit[1000000000] r;", "1,000,000,000"),
    "huge word": (Q2 + "a" * 100_000 + " q[0];", "characters"),
    "huge statement": (Q2 + "barrier " + "q," * 600_000 + "q;", "words"),
    # OpenQASM 3
    "3: register 1e9": (H3 + "qubit[1000000000] q;", "1,000,000,000"),
    "3: register in hexadecimal": (H3 + "qubit[0x3B9ACA00] q;", "1,000,000,000"),
    "3: register with underscores": (H3 + "qubit[1_000_000_000] q;", "1,000,000,000"),
    "3: register as a product": (H3 + "qubit[100000*100000] q;", "10,000,000,000"),
    "3: bits 1e9": (H3 + "bit[1000000000] c;", "1,000,000,000"),
    "3: older register": (H3 + "qreg q[1000000000];", "1,000,000,000"),
    "3: physical qubit": (H3 + "h $999999999999;", "physical"),
    "3: bomb": (H3 + bomb(40, head="x a;") + "qubit q; g39 q;", ""),
    "3: eager bomb": (H3 + bomb(18, head="x a;"), "copies"),
    "3: broadcast of a definition": (H3 + "gate g a { x a; } qubit[90000] q; g q;", "copies"),
    "3: parentheses": (Q3 + "rx(" + "(" * 3000 + "1" + ")" * 3000 + ") q[0];", "nest"),
    "3: minus signs": (Q3 + "rx(" + "-" * 3000 + "1) q[0];", "words"),
    "3: long sum": (Q3 + "rx(" + "1+" * 100_000 + "1) q[0];", "words"),
    "3: big products": (Q3 + "rx(" + "*".join(["9" * 3000] * 50) + ") q[0];", "finite"),
    "3: infinite power": (Q3 + "rx(9**9**9**9) q[0];", "finite"),
    "3: one by zero": (Q3 + "rx(1/0) q[0];", "finite"),
    "3: huge for": (Q3 + "for int i in [0:1000000000] { x q[0]; }", "turns"),
    "3: nested for": (
        Q3 + "for int i in [0:99999] { for int j in [0:99999] { x q[0]; } }",
        "after expansion",
    ),
    "3: step zero": (Q3 + "for int i in [0:0:5] { x q[0]; }", "step 0"),
    "3: while": (Q3 + "while (c[0]) { x q[0]; }", "bound"),
    "3: extern": (H3 + "extern f(int) -> int;", "external"),
    "3: pragma": (H3 + "pragma do something\nqubit q;", "pragma"),
    "3: hash pragma": (H3 + "#pragma do something\nqubit q;", "begins nothing"),
    "3: cal": (H3 + "cal { play(); }", "calibration"),
    "3: defcal": (H3 + "defcal x $0 { play(); }", "calibration"),
    "3: def": (H3 + "def f(qubit a) { x a; }", "subroutine"),
    "3: def bomb": (H3 + "def f(qubit a) { f(a); f(a); }\nqubit q; f(q);", "subroutine"),
    "3: absolute include": ('OPENQASM 3.0;\ninclude "/etc/passwd";', "no other file"),
    "3: include of qelib1": ('OPENQASM 3.0;\ninclude "qelib1.inc";', "no other file"),
    "3: annotation": (Q3 + "@x q[0];\nqubit q;", "annotation"),
    "3: annotation after a modifier": (Q3 + "inv @x q[0];", "annotation"),
    "3: unclosed comment": (Q3 + "/* x", ""),
    "3: deep branches": (Q3 + "if (c[0]) {" * 3000 + "x q[0];" + "}" * 3000, "nest"),
    "3: branches without braces": (Q3 + "if (c[0]) " * 3000 + "x q[0];", "nest"),
    "3: wide condition": (H3 + "qubit[2] q; bit[100000] c;" + "if (c==1) { x q[0]; }" * 30, "conditions"),
    "3: wide branch": (
        H3 + "qubit[100000] q; bit c; if (c) { if (c) { if (c) { if (c) { if (c) { if (c) { x q; } } } } } }",
        "branches",
    ),
    "3: single bits": (H3 + "".join(f"qubit q{i};" for i in range(10_000)), "single bits"),
    "3: many aliases": (H3 + "qubit[10000] q;" + "".join(f"let a{i} = q[0:9999];" for i in range(200)), "aliases"),
    "3: doubling aliases": (
        H3 + "qubit[2] q; let a0 = q;" + "".join(f"let a{i + 1} = a{i} ++ a{i};" for i in range(40)),
        "aliases",
    ),
    "3: stacked controls": (H3 + "qubit[40] q;\n" + "ctrl @ " * 30 + "h " + wires(31) + ";", "stacked"),
    "3: controls through definitions": (
        H3
        + "gate g0 a { ry(1) a; }\n"
        + "".join(
            f"gate g{i} {', '.join(f'a{j}' for j in range(i + 1))} "
            f"{{ ctrl @ g{i - 1} {', '.join(f'a{j}' for j in range(i + 1))}; }}\n"
            for i in range(1, 10)
        ),
        "stacked",
    ),
    "3: control of a power": (H3 + "qubit[9] q;\nctrl(8) @ pow(0.3) @ h " + wires(9) + ";", "power"),
    "3: huge power": (Q3 + "pow(1e300) @ h q[0];", "power"),
    "3: power of a wide gate": (
        H3
        + "qubit[14] q;\ngate g "
        + ", ".join(f"a{i}" for i in range(14))
        + " { h a0; }\npow(0.5) @ g "
        + wires(14)
        + ";",
        "14 qubits",
    ),
    "3: a million controls": (Q3 + "ctrl(1000000) @ x q[0], q[1];", "control qubits"),
    "3: index out of range": (Q3 + "x q[5];", "range"),
    "3: wrong operand count": (Q3 + "cx q[0];", ""),
    "3: equal operands": (Q3 + "cx q[0], q[0];", "uplicate"),
    "3: syntax": (Q3 + "rx(1 q[0];", ""),
    "3: classical variables": (Q3 + "int i = 5;", "classical variables"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_refused_with_a_typed_error_and_its_line(name):
    text, says = HOSTILE[name]
    with pytest.raises(CircuitRejected) as caught:
        read_qasm(text, source="hostile.qasm")
    assert says in str(caught.value)
    assert str(caught.value).startswith("hostile.qasm")
    assert len(str(caught.value)) < 1000
    assert (caught.value.line is None) == (name in ("empty", "blank"))


MEMORY = 3 << 30


def peak_megabytes():
    """The most memory this process has held; ``ru_maxrss`` would also count the process it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_each_refusal_takes_two_seconds_and_512_megabytes_at_most():
    done = subprocess.run(
        [sys.executable, os.path.abspath(__file__)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout)
    assert set(measured["seconds"]) == set(HOSTILE)
    slow = {name: seconds for name, seconds in measured["seconds"].items() if seconds > 2}
    assert not slow
    assert measured["megabytes"] <= 512


AUDITED = """
import sys
from hyperfabric_q.convert import read_qasm, read_circuit
from hyperfabric_q.convert import openqasm3_text  # nothing is left to import
from hyperfabric_q.convert.prescan import NOT_UNDERSTOOD
from hyperfabric_q.errors import CircuitRejected
for header in ("OPENQASM 2.0;", "OPENQASM 3.0;"):
    read_qasm(header + 'include "' + {"2": "qelib1.inc", "3": "stdgates.inc"}[header[9]] + '";')
opened = []
sys.addaudithook(lambda event, arguments: opened.append((event, str(arguments[0]))) if event in
                 ("open", "os.listdir", "os.scandir", "socket.connect", "subprocess.Popen") else None)
for header in ("OPENQASM 2.0;", "OPENQASM 3.0;"):
    for name in (sys.argv[1], "../secret.inc", "~/secret", "/dev/zero", "qelib1.inc/../secret.inc", "file:///x", ""):
        try:
            read_qasm(header + 'include "' + name + '";')
        except CircuitRejected as fault:
            assert "TOP-SECRET" not in str(fault)
        else:
            raise SystemExit("accepted " + name)
print([each for each in opened if not each[1].endswith((".py", ".pyc"))])
"""


def test_a_hostile_include_opens_no_file(tmp_path):
    secret = tmp_path / "secret.inc"
    secret.write_text("TOP-SECRET")
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, str(secret)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


SEED_TEXTS = (
    Q2 + "gate maj(t) a,b { cx a,b; rz(t/2) b; }\nmaj(pi/3) q[0],q[1];\nif(c==1) x q[0];\n"
    "u3(0.1,-pi,2*pi) q[1];\nbarrier q;\nmeasure q -> c;\nreset q[0];\n",
    Q3 + "gate maj(t) a, b { cx a, b; rz(t/2) b; }\nmaj(pi/3) q[0], q[1];\nc[0] = measure q[0];\n"
    "if (c[0]) { x q[1]; } else { z q[1]; }\nctrl @ h q[0], q[1];\nfor int i in [0:3] { rx(0.5) q[1]; }\n"
    "let a = q[0:1];\nbarrier a;\nreset q;\n",
)
WORDS = re.compile(r"\w+|\s+|.", re.DOTALL)


def mutated(rng):
    words = WORDS.findall(rng.choice(SEED_TEXTS))
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(words))
        kind = rng.randrange(6)
        if kind == 0:
            del words[at]
        elif kind == 1:
            words.insert(at, words[rng.randrange(len(words))])
        elif kind == 2:
            words[at] = rng.choice(
                [
                    "0",
                    "-1",
                    "1e400",
                    "99999999999",
                    "(",
                    ")",
                    "{",
                    "}",
                    "[",
                    "]",
                    ";",
                    "@",
                    "if",
                    "gate",
                    "qreg",
                    "qubit",
                    "for",
                    "ctrl",
                    "measure",
                    "->",
                    "==",
                    "π",
                    "\x00",
                    '"',
                    "//",
                    "/*",
                    "let",
                    "while",
                    "$7",
                    "\\",
                ]
            )
        elif kind == 3:
            other = rng.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        elif kind == 4:
            words = words[:at]
            if not words:
                words = [""]
        else:
            word = words[at]
            cut = rng.randrange(len(word)) if word else 0
            words[at] = word[:cut] + chr(rng.randrange(1, 256)) + word[cut + 1 :]
    return "".join(words)


def test_a_mutated_text_is_read_or_refused_and_nothing_else():
    rng = random.Random(20261122)  # noqa: S311  # not for secrets
    outcomes = {"read": 0, "refused": 0}
    unforeseen = 0
    for _ in range(200):
        text = mutated(rng)
        try:
            circuit = read_qasm(text)
        except CircuitRejected as fault:
            outcomes["refused"] += 1
            unforeseen += fault.reason == NOT_UNDERSTOOD
            continue
        outcomes["read"] += 1
        assert prescan(text).instructions == len(circuit.data)
    assert unforeseen == 0
    assert outcomes["refused"] > 100
    assert outcomes["read"] > 10


def test_a_limit_can_be_raised_and_lowered():
    text = H2 + "qreg q[200];\nh q;\n"
    assert len(read_qasm(text).data) == 200
    with pytest.raises(CircuitRejected, match="qubits of the register 'q'"):
        read_qasm(text, limits=ReaderLimits(qubits=100))
    with pytest.raises(CircuitRejected, match="instructions"):
        read_qasm(text, limits=ReaderLimits(instructions=100))
    with pytest.raises(CircuitRejected, match="statements"):
        read_qasm(text, limits=ReaderLimits(statements=2))
    with pytest.raises(CircuitRejected, match="characters"):
        read_qasm(text, limits=ReaderLimits(source_bytes=10))
    big = H2 + "qreg q[100001];"
    assert read_qasm(big, limits=ReaderLimits(qubits=100_001)).num_qubits == 100_001


def test_a_deadline_ends_the_slow_reader():
    text = Q3 + "cx q[0], q[1];\n" * 3000
    with pytest.raises(CircuitRejected, match=r"longer than 0.1 s"):
        read_qasm(text, limits=ReaderLimits(seconds=0.1))


def measure():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    read_qasm(Q2)
    read_qasm(Q3)
    seconds = {}
    for name, (text, _) in HOSTILE.items():
        begin = time.process_time()
        try:
            read_qasm(text)
        except CircuitRejected:
            seconds[name] = time.process_time() - begin
    megabytes = peak_megabytes()
    sys.stdout.write(json.dumps({"seconds": seconds, "megabytes": megabytes}))


if __name__ == "__main__":
    measure()
