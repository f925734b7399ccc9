"""A GPU serves one worker."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from workers.devices import find_devices  # noqa: E402
from workers.lanes import LaneError  # noqa: E402
from workers.loop import Orders, run_worker  # noqa: E402


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that this machine has GPUs with these UUIDs."""

    def pretend(*uuids):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
        properties = [SimpleNamespace(uuid=uuid) for uuid in uuids]
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)

    return pretend


def run(said, **options):
    orders = Orders(lanes=("gpu",), until_idle=True, **options)
    return run_worker(orders, say=said.append)


@pytest.fixture
def other(tables):
    """A worker on another connection that has the GPU with the UUID a."""
    from schemas import _lease

    first = _lease.take(lane="gpu", device="cuda:0", alone_on=("cuda a",))
    _lease._current = None  # as if it were another process
    yield first
    first.end()


def test_a_worker_takes_a_gpu_that_nobody_has(gpus, other):
    gpus("a", "b")
    said = []
    run(said)
    assert said[0].endswith("gpu on cuda:1")


def test_a_second_worker_on_a_gpu_is_refused_until_the_first_is_gone(gpus, other):
    gpus("a")
    with pytest.raises(LaneError, match=r"cuda:0\) has a worker; one GPU serves one worker"):
        run([], device="cuda:0")
    other.end()
    run(said := [], device="cuda:0")
    assert said[0].endswith("gpu on cuda:0")


def test_the_same_name_on_another_machine_is_another_gpu(gpus, other):
    gpus("c")
    run(said := [], device="cuda:0")
    assert said[0].endswith("gpu on cuda:0")


def test_a_training_on_several_gpus_has_all_of_them_to_itself(gpus, other):
    gpus("b", "c")
    assert find_devices("auto", lanes=("gpu",), gpus=2) == [("cuda", ("cuda b", "cuda c"))]
    gpus("b", "a")
    with pytest.raises(LaneError, match="has a worker"):
        run([], gpus=2)
    with pytest.raises(LaneError, match="asked for 3 × 'auto'; this machine has 2"):
        run([], gpus=3)


def test_a_gpu_that_is_not_there_is_refused(gpus):
    gpus()
    assert find_devices("auto", lanes=("gpu",)) == [("cpu", ())]
    with pytest.raises(LaneError, match="has 0 CUDA devices"):
        find_devices("cuda", lanes=("gpu",))


def test_other_lanes_take_no_gpu(gpus):
    gpus("a")
    assert find_devices("auto", lanes=("io", "cpu")) == [("cpu", ())]
