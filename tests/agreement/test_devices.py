"""Seeds spread over several devices and several processes: the same bits as on one device."""

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from steode import LinearModel, Normal, Uniform, simulate
from steode.bridge import entrywise_function
from steode.engine.engine import ACCELERATOR_BLOCK_NUMBERS, SEGMENTS_PER_CHUNK
from steode.engine.placement import Shards
from steode.engine.program import Segments
from steode.systems.linear.literal.system import linear_system

pytestmark = pytest.mark.representative

MODEL = LinearModel(
    teacher=Normal(), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0), learning_rate=0.3, noise=0.2
)
OPTIONS = {"seeds": 5, "key": 4, "snapshot_times": [0.5, 1.0], "test_samples": 20}
DIM = 300
PROGRAM = """
import sys
import jax

options = {}
if len(sys.argv) > 2:
    address, count, index = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    jax.distributed.initialize(coordinator_address=address, num_processes=count, process_id=index)
    options = {"checkpoint": sys.argv[5]}
from tests.agreement.test_devices import DIM, MODEL, OPTIONS
from steode import DivergenceError, simulate

print(jax.local_device_count(), jax.device_count(), flush=True)
simulate(MODEL, DIM, 1.0, **OPTIONS, **options).save(sys.argv[1])
if len(sys.argv) > 2:
    try:
        simulate(MODEL.replace(weight_quantizer=MODEL.input_quantizer, learning_rate=1e30), 20, 1.0, seeds=2)
    except DivergenceError as error:
        print(error, flush=True)
    jax.distributed.shutdown()
"""


@pytest.fixture(scope="module")
def alone():
    return simulate(MODEL, DIM, 1.0, **OPTIONS)


def same(a, b) -> bool:
    names = [np.array_equal(a[name], b[name]) for name in a.observables]
    kept = [
        np.array_equal(a.snapshots.weights, b.snapshots.weights),
        np.array_equal(a.snapshots.teacher, b.snapshots.teacher),
    ]
    return a.observables.keys() == b.observables.keys() and all(names + kept)


def start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process) -> str:
    try:
        output, errors = process.communicate(timeout=100)
    finally:
        process.kill()  # jax.distributed ignores gentler signals
    assert process.returncode == 0, errors
    return output


def test_four_devices_give_the_bits_of_one(alone, tmp_path):
    output = finish(start([tmp_path / "run.npz"], XLA_FLAGS="--xla_force_host_platform_device_count=4"))
    assert output.split() == ["4", "4"]
    assert same(type(alone).load(tmp_path / "run.npz"), alone)


def test_two_processes_give_the_bits_of_one_and_fail_together(alone, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    paths = [tmp_path / f"run{index}.npz" for index in range(2)]
    processes = [start([paths[i], address, 2, i, tmp_path / "checkpoint.npz"]) for i in range(2)]
    outputs = [finish(process) for process in processes]
    for path, output in zip(paths, outputs, strict=True):
        assert output.split()[:2] == ["1", "2"]
        assert "not finite at step" in output
        run = type(alone).load(path)
        assert same(run, alone)
        assert json.loads(json.dumps(run.provenance.settings)) == alone.provenance.settings
    assert (tmp_path / "checkpoint.0of2.npz").exists()
    assert (tmp_path / "checkpoint.1of2.npz").exists()


@pytest.mark.parametrize("dim", [1_000, 10_000])
def test_a_seed_on_an_accelerator_needs_little_memory(dim):
    """Bytes that one seed more adds to the vectorized program, as the compiler counts them."""
    rows = max(1, ACCELERATOR_BLOCK_NUMBERS // (dim + 1))
    empty = np.zeros(SEGMENTS_PER_CHUNK, np.int32)
    segments = Segments(empty, empty, empty.astype(bool), empty.astype(bool))
    system = linear_system(MODEL, dim, "float32", entrywise_function)
    needed = []
    for seeds in (8, 16):
        weights, keys = np.zeros((seeds, dim), np.float32), np.zeros((seeds, 2, 2), np.uint32)
        sizes = {"rows": rows, "test_samples": 0}
        shards = Shards(system, weights, keys, sizes, jax.local_devices(), vectorized=True)
        arguments = (shards.system, segments, shards.fixed, shards.keys, shards.put(weights))
        used = shards.program.func.lower(*arguments, **sizes).compile().memory_analysis()
        needed.append(used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes)
    assert 0 < (needed[1] - needed[0]) / 8 < 5e6
