"""Reading a trained model out over all windows of a set."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from ..models import MODELS, EmbedParams, FoundationModel
from ..recording import WindowSet
from .batches import Batch, Rows, iterate_batches, rows_of
from .memory import Portions, explaining
from .pieces import cut
from .precision import autocast


@dataclass(frozen=True)
class Predictions:
    """Outputs of a model over one window set, invalid (window, channel) pairs left out.

    Attributes
    ----------
    outputs
        Class probabilities ``(row, class)``, or log-rates ``(row, bin, unit)``.
    window, channel
        Which window and channel a row is about; channel -1 is all of them.
    classes
        The class of each probability column; empty for rates.
    """

    outputs: Float32[np.ndarray, "row ..."]
    window: Int32[np.ndarray, " row"]
    channel: Int32[np.ndarray, " row"]
    classes: tuple[str, ...]


def embed_windows(
    model: FoundationModel,
    windowset: WindowSet,
    *,
    batch_size: int = 32,
    device: str = "cpu",
    params: EmbedParams | None = None,
) -> tuple[Float32[np.ndarray, "row dim"], Int32[np.ndarray, " row"], Int32[np.ndarray, " row"]]:
    """One vector per valid (window, channel), or per window where tokens are not channels.

    The batch size is halved when memory runs out; it does not change the result.

    Returns
    -------
    tuple
        Vectors, window of each row, channel of each row (-1 for a whole window).

    Raises
    ------
    OutOfMemory
        If not even one row fits.
    """
    params = params or EmbedParams()
    whole = MODELS[model.params.family].tokens != "channel"

    def read(batch: Batch) -> Tensor:
        tokens = model.embed(batch, params)
        return _pool(tokens, params)[:, None] if whole else tokens

    return _collect(model, windowset, read, not whole, batch_size, device, params.precision)


def predict_windows(
    model: FoundationModel,
    windowset: WindowSet,
    *,
    batch_size: int = 32,
    device: str = "cpu",
    precision: str = "fp32",
) -> Predictions:
    """Class probabilities per valid (window, channel), or log-rates per window.

    Raises
    ------
    ValueError
        If the model has nothing to predict (no head).
    OutOfMemory
        If not even one row fits.
    """
    rates = MODELS[model.params.family].output == "rates"

    def read(batch: Batch) -> Tensor:
        return model.predict(batch)[:, None] if rates else model.predict(batch)

    outputs, window, channel = _collect(
        model, windowset, read, not rates, batch_size, device, precision
    )
    return Predictions(outputs, window, channel, () if rates else model.context.classes)


def _pool(tokens: Tensor, params: EmbedParams) -> Tensor:
    return tokens.mean(dim=1) if params.pooling == "mean" else tokens.amax(dim=1)


@torch.inference_mode()
def _collect(
    model: FoundationModel,
    windowset: WindowSet,
    read: Callable[[Batch], Tensor],
    per_channel: bool,
    batch_size: int,
    device: str,
    precision: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run ``read`` -> (batch, token, ...) over the set and keep the valid tokens."""
    with explaining(device):
        model.to(device).eval()
    rows = rows_of([windowset], grain=MODELS[model.params.family].grain)
    outputs, windows, channels = [], [], []
    for batch, found in _read(model, windowset, rows, read, batch_size, device, precision):
        tokens = found.shape[1]
        keep = batch.channel_valid if per_channel else torch.ones(len(batch), tokens, dtype=bool)
        channel = batch.channel if per_channel else torch.full((len(batch), tokens), -1)
        outputs.append(found[keep].numpy())
        windows.append(batch.window[:, None].expand(-1, tokens)[keep].numpy())
        channels.append(channel[keep].numpy())
    if not outputs:
        raise ValueError(
            f"no valid window of {windowset.session} to read out; all of {windowset.valid.size} "
            "(window, channel) pairs were rejected"
        )
    index = [np.concatenate(part).astype(np.int32) for part in (windows, channels)]
    return np.concatenate(outputs), index[0], index[1]


def _read(
    model: FoundationModel,
    windowset: WindowSet,
    rows: Rows,
    read: Callable[[Batch], Tensor],
    batch_size: int,
    device: str,
    precision: str,
) -> Iterator[tuple[Batch, Tensor]]:
    batches = iterate_batches(
        [windowset],
        rows,
        context=model.context,
        batch_size=batch_size,
        needs=MODELS[model.params.family].needs,
    )
    portions = Portions(device)
    with frozen(model, precision), explaining(device):
        for batch in batches:

            def read_in(at_once: int, batch: Batch = batch) -> Tensor:
                found = []
                for piece in cut(slice(0, len(batch)), at_once):
                    with autocast(device, precision):
                        found.append(read(batch[piece].to(device)).float().cpu())
                return found[0] if len(found) == 1 else torch.cat(found)

            yield batch, portions.run(read_in, batch_size)


def frozen(model: FoundationModel, precision: str) -> AbstractContextManager:
    """A family's own inference path, where it has one.

    Raises
    ------
    ValueError
        If int8 is asked of a family without one.
    """
    if hasattr(model, "frozen"):
        return model.frozen(precision)
    if precision == "int8":
        raise ValueError(f"{model.params.family} has no int8 path; ask for fp32 or bf16")
    return nullcontext()
