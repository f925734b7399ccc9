"""A GPU serves one worker."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from workers import devices  # noqa: E402
from workers.devices import choose_device  # noqa: E402
from workers.lanes import LaneError  # noqa: E402


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that this machine has GPUs, and that workers hold some of them."""

    def pretend(there, *taken):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(there))
        properties = [SimpleNamespace(uuid=uuid) for uuid in there]
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
        rows = [{"worker": "another", "worker_device": f"cuda {uuid}"} for uuid in taken]
        monkeypatch.setattr(devices, "live_leases", lambda: rows)

    return pretend


def test_a_worker_takes_a_gpu_that_nobody_has(gpus):
    gpus(["a", "b"], "a")
    assert choose_device("auto", lanes=("gpu",)) == ("cuda:1", "cuda b")
    assert choose_device("cuda", lanes=("gpu",)) == ("cuda:1", "cuda b")


def test_the_same_name_on_another_machine_is_another_gpu(gpus):
    gpus(["a"], "b")
    assert choose_device("cuda:0", lanes=("gpu",)).name == "cuda:0"


def test_a_second_worker_on_a_gpu_is_refused(gpus):
    gpus(["a"], "a")
    with pytest.raises(LaneError, match=r"cuda:0 by another\); one GPU serves one worker"):
        choose_device("cuda:0", lanes=("gpu",))


def test_two_workers_that_start_at_once_do_not_share_a_gpu(tables, database):
    from schemas import _lease

    first = _lease.take(lane="gpu", device="cuda a")
    second = _lease.Lease(first.worker, first.before_job, first.after_job)
    try:
        assert not second.claim("cuda a")
        first.end()
        assert second.claim("cuda a")
    finally:
        second.end()
        _lease.end()


def test_a_gpu_that_is_not_there_is_refused(gpus):
    gpus([])
    assert choose_device("auto", lanes=("gpu",)).name == "cpu"
    with pytest.raises(LaneError, match="has 0 CUDA devices"):
        choose_device("cuda", lanes=("gpu",))


def test_other_lanes_take_no_gpu(gpus):
    gpus(["a"])
    assert choose_device("auto", lanes=("io", "cpu")).name == "cpu"
