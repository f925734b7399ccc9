"""Models, how they were trained, and what came of it."""

import datajoint as dj

from . import dataset
from ._guard import Guarded
from ._jobs import Leased
from ._params import ParamSet, Task

schema = dj.Schema()


@schema
class ModelParamSet(ParamSet):
    definition = """
    # A model family and its hyper-parameters.
    model : varchar(64)
    ---
    model_digest : char(64)              # sha256 of the values
    model_json : json
    family : varchar(32)                 # entry of MODELS
    unique index (model_digest)
    """
    key = "model"
    promoted = {"family": "family"}

    @classmethod
    def params_class(cls, values):
        from pipeline.models import params_class

        return params_class(values["family"])


@schema
class FitParamSet(ParamSet):
    definition = """
    # How a model is fitted: objective, optimiser, epochs.
    fit_params : varchar(64)
    ---
    fit_params_digest : char(64)         # sha256 of the values
    fit_params_json : json
    objective : varchar(32)              # ssl | finetune | …
    epochs : int32
    unique index (fit_params_digest)
    """
    key = "fit_params"
    promoted = {"objective": "objective", "epochs": "epochs"}

    @classmethod
    def params_class(cls, values):
        from pipeline.training import FitParams

        return FitParams


@schema
class TrainingTask(Task):
    definition = """
    # Asked for: this model fitted in this way on this fold.
    training : char(64)                  # sha256 of fold, parameters, seed and parents
    ---
    -> dataset.SplitFold
    -> ModelParamSet
    -> FitParamSet
    seed : int32
    """
    key = "training"

    @classmethod
    def ensure(cls, *, parents=None, **content):
        """The key of this request; `parents` maps a role (init, teacher) to a training."""
        rows = [{"parent_role": role, "parent": name} for role, name in (parents or {}).items()]
        return super().ensure(inputs=rows, **content)


@schema
class TrainingParent(Guarded, dj.Manual):
    definition = """
    # A training that another starts from or learns from.
    -> TrainingTask
    parent_role : varchar(16)            # init | teacher
    ---
    -> TrainingTask.proj(parent="training")
    """


TrainingTask.inputs = TrainingParent


@schema
class Training(Leased, dj.Computed):
    definition = """
    # A trained model.
    -> TrainingTask
    ---
    checkpoint : <object@checkpoints>    # safetensors, parameters, digest
    weights_digest : char(64)            # sha256 of the weights
    checkpoint_digest = null : char(64)  # sha256 over all files of the checkpoint
    seen_digest : char(64)               # sha256 of the split it saw
    classes : json                       # regions it can name, in order
    n_parameters : int64
    n_samples_train : int64              # channel windows or windows trained on
    n_epochs : int32                     # epochs run
    best_epoch = null : int32            # epoch of the stored weights
    best_validation = null : float64     # validation metric at that epoch
    validation_metric = null : varchar(32)
    domain : json                        # what it was trained on: species, rate, band, spectrum
    weights_origin = null : json         # licence, origin and sha256 of weights loaded at the start
    synthetic_training : bool            # trained on simulated recordings
    fit_device : varchar(64)
    fit_version : varchar(32)
    fit_seconds : float64                # time to fit (s)
    """

    class Epoch(dj.Part):
        definition = """
        # One epoch of the curve.
        -> master
        epoch : int32
        ---
        train_loss = null : float64
        validation = null : float64          # metric named in the master
        loss_parts : json                    # name: value
        learning_rate = null : float64
        epoch_seconds : float64              # (s)
        rows_at_once = null : int32          # what memory had room for; NULL is a whole batch
        epoch_note = null : varchar(255)
        """

    @property
    def key_source(self):
        """Tasks whose parents are trained."""
        return (
            TrainingTask.proj()
            - (TrainingParent.proj("parent") - self.__class__.proj(parent="training")).proj()
        )

    def make_fetch(self, key, **options):
        from ._train import request

        return (request(key),)

    def make_compute(self, key, asked, **options):
        from ._train import train

        return (train(key, asked, **options),)

    def make_insert(self, key, done, **options):
        self.insert1({**key, **done.row})
        self.Epoch.insert([{**key, **epoch} for epoch in done.epochs])

    def after_made(self, key):
        """The row is there: what the tries left can go."""
        from ._unfinished import clear

        clear(key["training"])


@schema
class RegisteredModel(Guarded, dj.Manual):
    definition = """
    # A trained model with a name: what locate chooses from.
    registered_model : varchar(64)
    ---
    -> Training
    card : json                          # species, probes, band, labels, subjects, held-out score
    model_added : datetime               # (UTC)
    """
