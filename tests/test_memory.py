"""Memory that a step gives back is there for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from metarec.training.memory import keep_freed

def step():
    kept = [np.ones(2_000_000) for _ in range(3)]

told = keep_freed()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_step_takes_the_memory_of_the_last_without_asking_the_system() -> None:
    """Left alone, five times three blocks of 16 MB cost thousands of pages that are cleared anew."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    told, faults = map(int, done.stdout.split())
    if not told:
        pytest.skip("the C library has no mallopt")
    assert faults < 1_000
