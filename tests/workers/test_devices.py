"""A GPU serves one worker."""

import platform

import pytest

torch = pytest.importorskip("torch")

from workers import devices  # noqa: E402
from workers.devices import choose_device  # noqa: E402
from workers.lanes import LaneError  # noqa: E402


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that this machine has GPUs, and that workers hold some of them."""

    def pretend(count, *taken, host=None):
        host = host or platform.node()
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        rows = [{"worker_host": host, "worker_device": device} for device in taken]
        monkeypatch.setattr(devices, "live_leases", lambda: rows)

    return pretend


def test_a_worker_takes_a_gpu_that_nobody_has(gpus):
    gpus(2, "cuda:0")
    assert choose_device("auto", lanes=("gpu",)) == "cuda:1"
    assert choose_device("cuda", lanes=("gpu",)) == "cuda:1"


def test_the_gpu_of_another_machine_is_another_gpu(gpus):
    gpus(1, "cuda:0", host="elsewhere")
    assert choose_device("cuda:0", lanes=("gpu",)) == "cuda:0"


def test_a_second_worker_on_a_gpu_is_refused(gpus):
    gpus(1, "cuda:0")
    with pytest.raises(LaneError, match="one worker per GPU"):
        choose_device("cuda:0", lanes=("gpu",))


def test_a_gpu_that_is_not_there_is_refused(gpus):
    gpus(0)
    assert choose_device("auto", lanes=("gpu",)) == "cpu"
    with pytest.raises(LaneError, match="has 0 CUDA devices"):
        choose_device("cuda", lanes=("gpu",))


def test_other_lanes_take_no_gpu(gpus):
    gpus(1)
    assert choose_device("auto", lanes=("io", "cpu")) == "cpu"
