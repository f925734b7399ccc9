"""What a model has to know about the data before it can be built."""

from collections.abc import Sequence

from pydantic import Field

from ..params import Params
from ..recording import WindowSet


class DataContext(Params):
    """Shapes and vocabularies of the data, stored with the weights.

    ``classes`` are the region labels in the order of the probability columns; a label set that
    is empty means there is nothing to predict (self-supervised training).
    """

    classes: tuple[str, ...] = ()
    window_s: float = Field(gt=0, description="window length (s)")
    rate: float | None = Field(None, description="of the LFP (Hz); None if rates differ or no LFP")
    n_samples: int | None = None
    bin_s: float | None = None
    n_bins: int | None = None
    sessions: dict[str, int] = Field(default_factory=dict, description="units per session")
    unit_regions: tuple[str, ...] = ()
    n_features: int = 0
    n_behavior: int = 0

    @classmethod
    def of(cls, windowsets: Sequence[WindowSet], *, classes: Sequence[str] = ()) -> "DataContext":
        """The context that these windows share.

        Raises
        ------
        ValueError
            If there are no windows or they disagree on length, bin width or vector size.
        """
        if not windowsets:
            raise ValueError("a data context needs at least one set of windows, got none")
        with_lfp = [w for w in windowsets if w.lfp is not None]
        with_spikes = [w for w in windowsets if w.spikes is not None]
        rates = {w.rate for w in with_lfp}
        samples = {w.lfp.shape[1] for w in with_lfp}
        regions = {str(r) for w in with_spikes for r in _unit_regions(w)}
        return cls(
            classes=tuple(classes),
            window_s=_only("window_s", {w.window_s for w in windowsets}),
            rate=rates.pop() if len(rates) == 1 else None,
            n_samples=samples.pop() if len(samples) == 1 else None,
            bin_s=_only("bin_s", {w.bin_s for w in with_spikes}),
            n_bins=_only("n_bins", {w.spikes.shape[1] for w in with_spikes}),
            sessions={w.session: w.spikes.shape[2] for w in with_spikes},
            unit_regions=tuple(sorted(regions)),
            n_features=_only(
                "features", {w.features.shape[2] for w in windowsets if w.features is not None}
            )
            or 0,
            n_behavior=max(
                (w.behavior.shape[2] for w in windowsets if w.behavior is not None), default=0
            ),
        )


def label_set(windowsets: Sequence[WindowSet]) -> tuple[str, ...]:
    """Every region named on a channel that has a valid window, sorted."""
    found: set[str] = set()
    for windowset in windowsets:
        regions = windowset.channels["region"].to_numpy(dtype=object)
        kept = windowset.valid.any(axis=0)
        found.update(r for r, k in zip(regions, kept, strict=True) if k and isinstance(r, str))
    return tuple(sorted(found))


def _unit_regions(windowset: WindowSet) -> list[str]:
    if windowset.units is None or "region" not in windowset.units:
        return []
    return [r for r in windowset.units["region"] if isinstance(r, str)]


def _only(name: str, values: set) -> float | int | None:
    if len(values) > 1:
        raise ValueError(
            f"windows of one training must share {name}, got {sorted(values)}; "
            "cut them with the same parameters"
        )
    return values.pop() if values else None
