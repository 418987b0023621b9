"""Code for other machines than this one: LLVM takes it and writes object files, with the vector registers that they have."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import numpy as np
import pytest

import wengert as wg

MACHINES = {
    "x86-64": ("x86_64-unknown-linux-gnu", "x86-64", ""),
    "avx2": ("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma"),
    "avx512": ("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx512f,+avx512vl,+avx512dq,+fma"),
    "aarch64": ("aarch64-unknown-linux-gnu", "generic", "+neon"),
    "macos": ("arm64-apple-macosx11.0.0", "apple-m1", "+neon"),
}
"""Triple, processor and features of each."""

MAGIC = {"x86_64-unknown-linux-gnu": (b"\x7fELF", 62), "aarch64-unknown-linux-gnu": (b"\x7fELF", 183)}
WIDE = {"avx2": r"%ymm\d", "avx512": r"%[yz]mm\d", "aarch64": r"v\d+\.2d", "macos": r"\.2d"}


def chain(x, a):
    y = np.exp(-a * x) * np.sin(x) + np.log1p(x * x)
    return np.sum(y * np.tanh(y))


def recurrence(x, a):
    state = 0.0
    for k in range(len(x)):
        state = a * state + x[k] * np.cos(state)
        if state > 3.0:
            state -= 3.0
    return state


def system(x, a):
    matrix = np.outer(x, x) + a * np.eye(len(x))
    return np.sum(np.linalg.solve(matrix, x))


@pytest.fixture(scope="module", autouse=True)
def every_target():
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def text_of(function):
    x = np.linspace(0.1, 2.0, 16)
    transformed = wg.value_and_grad(function, argnums=(0, 1))
    transformed(x, 0.7)
    variant, _ = transformed.program.variant((x, 0.7), {}, (0, 1))
    return variant.compiled.llvm_ir


def made_for(text, triple, cpu, features):
    """The module for another machine, optimised, with the machine."""
    text = re.sub(r'^target (triple|datalayout) = "[^"]*"$', "", text, flags=re.M)
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=2, reloc="pic")
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = triple, str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    llvm.create_pass_builder(machine, options).getModulePassManager().run(module, llvm.create_pass_builder(machine, options))
    return machine, module


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("function", [chain, recurrence, system])
def test_code_for_another_machine(function, name):
    triple, cpu, features = MACHINES[name]
    machine, module = made_for(text_of(function), triple, cpu, features)
    code = machine.emit_object(module)
    if triple in MAGIC:
        magic, number = MAGIC[triple]
        assert code.startswith(magic)
        assert int.from_bytes(code[18:20], "little") == number
    else:
        assert code.startswith(b"\xcf\xfa\xed\xfe")  # Mach-O of 64 bits
    if function is chain and name in WIDE:
        assert re.search(WIDE[name], machine.emit_assembly(module)), "no vector registers are used"


def test_the_text_names_no_features_of_this_machine():
    text = text_of(chain)
    assert "target-cpu" not in text
    assert "target-features" not in text
