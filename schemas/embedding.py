"""What a trained model makes of each window."""

import datajoint as dj

from . import training, windows
from ._guard import Guarded
from ._jobs import Leased
from ._params import ParamSet, Task

schema = dj.Schema()


@schema
class EmbedParamSet(ParamSet):
    definition = """
    # Which layer, pooled how, before or after the head.
    embed_params : varchar(64)
    ---
    embed_params_digest : char(64)       # sha256 of the values
    embed_params_json : json
    unique index (embed_params_digest)
    """
    key = "embed_params"

    @classmethod
    def params_class(cls, values):
        from pipeline.models import EmbedParams

        return EmbedParams


@schema
class EmbeddingTask(Task):
    definition = """
    # Asked for: these windows embedded by this training.
    embedding : char(64)                 # sha256 of training, windows and parameters
    ---
    -> training.TrainingTask
    -> windows.WindowsTask
    -> EmbedParamSet
    """
    key = "embedding"


@schema
class Embedding(Leased, dj.Computed):
    definition = """
    # Embeddings of one session's windows.
    -> EmbeddingTask
    ---
    vectors : <npy@arrays>               # (row, dim) float32
    window_index : <npy@arrays>          # (row) int32, window of the row
    site_index : <npy@arrays>            # (row) int32, column of Windows; -1 for the whole window
    n_rows : int64
    dim : int32
    embedding_digest : char(64)          # sha256 of the vectors
    rows_digest = null : char(64)        # sha256 of window_index and site_index
    embed_device : varchar(64)
    embed_seconds : float64              # (s)
    """

    @property
    def key_source(self):
        """Tasks whose training and windows are there."""
        ready = EmbeddingTask & training.Training.proj() & windows.Windows.proj()
        return ready.proj()

    def make_fetch(self, key, **options):
        return ((EmbeddingTask & key).fetch1(),)

    def make_compute(self, key, task, **options):
        from ._infer import embed

        return (embed(task, **options),)

    def make_insert(self, key, row, **options):
        self.insert1({**key, **row})
