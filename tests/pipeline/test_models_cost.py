"""Operations counted from the parameters are those that torch counts while it computes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.models.cost import forward_flop
from pipeline.models.lfp2vec import network_config
from pipeline.models.parameters import BandPowerParams, Lfp2VecParams


@pytest.mark.parametrize(
    "params", [{"size": "tiny"}, {"conv_dim": (64,) * 7, "layers": 2, "hidden": 192, "heads": 4}]
)
def test_operations_of_one_window_agree_with_torchs_own_count(params):
    from transformers import Wav2Vec2Model

    params = Lfp2VecParams(**params)
    config = network_config(params)
    config._attn_implementation = "eager"  # torch does not count fused attention on a CPU
    network = Wav2Vec2Model(config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 48000))
    assert forward_flop(params, 3.0) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_a_baseline_costs_nothing():
    assert forward_flop(BandPowerParams(), 3.0) == 0
