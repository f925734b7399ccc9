"""Which region each channel is in, or what each unit fires, as a model answers."""

import datajoint as dj

from . import recording, training, windows
from ._guard import Guarded
from ._jobs import Leased
from ._params import ParamSet, Task

schema = dj.Schema()


@schema
class PostprocessParamSet(ParamSet):
    definition = """
    # From window probabilities to one answer per channel.
    postprocess_params : varchar(64)
    ---
    postprocess_params_digest : char(64) # sha256 of the values
    postprocess_params_json : json
    unique index (postprocess_params_digest)
    """
    key = "postprocess_params"

    @classmethod
    def params_class(cls, values):
        from pipeline.analyses.regions import PostprocessParams

        return PostprocessParams


@schema
class PredictionTask(Task):
    definition = """
    # Asked for: these windows answered by this training.
    prediction : char(64)                # sha256 of training, windows and parameters
    ---
    -> training.TrainingTask
    -> windows.WindowsTask
    -> PostprocessParamSet
    """
    key = "prediction"


@schema
class Prediction(Leased, dj.Computed):
    definition = """
    # Answers of one model for one session's windows.
    -> PredictionTask
    ---
    output : varchar(16)                 # classes | rates
    outputs : <npy@arrays>               # (row, class) probability, or (row, bin, unit) log rate
    window_index : <npy@arrays>          # (row) int32, window of the row
    site_index : <npy@arrays>            # (row) int32, column of Windows
    prediction_digest = null : char(64)  # sha256 over the arrays
    output_classes : json                # names of the classes, in order
    domain_check = null : json           # how far the recording is from the training domain
    learned = null : json                # of training and validation subjects, for the answers
    predict_device : varchar(64)
    predict_seconds : float64            # (s)
    """

    class ChannelPrediction(dj.Part):
        definition = """
        # One answer per channel.
        -> master
        -> recording.Channel
        ---
        predicted : varchar(64)              # region, or unknown
        best : varchar(64)                   # leading region even where the answer is unknown
        confidence = null : float64          # probability of the leading region
        votes : int32                        # windows that lead with it
        n_voting : int32                     # windows that count
        probabilities : json                 # region: probability
        refused = null : varchar(255)        # why the answer is unknown
        """

    @property
    def key_source(self):
        """Tasks whose training and windows are there."""
        ready = PredictionTask & training.Training.proj() & windows.Windows.proj()
        return ready.proj()

    def make_fetch(self, key, **options):
        return ((PredictionTask & key).fetch1(),)

    def make_compute(self, key, task, **options):
        from ._infer import predict

        return predict(task, **options)

    def make_insert(self, key, row, channels, **options):
        self.insert1({**key, **row})
        self.ChannelPrediction.insert([{**key, **channel} for channel in channels])
