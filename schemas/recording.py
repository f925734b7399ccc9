"""What a file was found to hold. One Ingestion reads one file and writes every row here."""

import datajoint as dj

from . import session
from ._guard import Guarded
from ._jobs import Leased

schema = dj.Schema()


@schema
class Ingestion(Leased, dj.Imported):
    definition = """
    # Reading of one file: what came of it.
    -> session.NwbFile
    ---
    ingestion_status : varchar(16)       # ok | warnings | error
    layout = null : varchar(32)          # reader that matched
    nwb_version = null : varchar(16)
    stage = null : varchar(32)           # where it failed
    message = null : varchar(2047)       # what was asked, what there is
    way_out = null : varchar(1023)       # what to do
    warnings : json                      # list of sentences
    n_lfp : int32                        # LFP series
    n_channels : int32
    n_units : int32
    n_trials : int32
    n_behavior : int32                   # behaviour series
    read_seconds : float64               # time to read (s)
    """

    def make_fetch(self, key, **options):
        return ((session.NwbFile & key).fetch1("root", "path", "file_kind"),)

    def make_compute(self, key, file, **options):
        from ._ingest import read

        return (read(key),)

    def make_insert(self, key, found, **options):
        from ._ingest import store

        store(self, key, found)


@schema
class IngestionSession(Guarded, dj.Manual):
    definition = """
    # Which sessions a file speaks of, and where it disagrees with an earlier file.
    -> Ingestion
    -> session.Session
    ---
    conflicts : json                     # list of {table, key, column, stored, given}
    """


@schema
class ProbeInsertion(Guarded, dj.Manual):
    definition = """
    # One probe (or array, or group of contacts) in one brain.
    -> session.Session
    probe : varchar(64)                  # device or electrode group, safe for keys
    ---
    -> Ingestion                         # file that brought it first
    probe_name : varchar(255)            # as written in the file
    device = null : varchar(255)
    probe_description = null : varchar(1024)
    n_shanks = null : int32
    """


@schema
class Channel(Guarded, dj.Manual):
    definition = """
    # One recording site of a probe.
    -> ProbeInsertion
    channel : int64                      # electrode id in the file
    ---
    -> Ingestion                         # file that brought it first
    index_on_probe = null : int32        # site number on the probe
    shank = null : int32
    x = null : float64                   # in coordinate_unit, axes of coordinate_frame
    y = null : float64                   # in coordinate_unit
    z = null : float64                   # in coordinate_unit
    coordinate_frame = null : varchar(128)
    coordinate_unit = null : varchar(16) # um | mm
    rel_x = null : float64               # across the shank (µm)
    rel_y = null : float64               # along the shank (µm)
    depth_um = null : float64            # along the probe, from its tip (µm)
    bad = null : bool                    # marked bad in the file
    """


@schema
class LfpSeries(Guarded, dj.Manual):
    definition = """
    # An ElectricalSeries with field potential, or wide-band data it can be derived from.
    -> Ingestion
    series : varchar(64)                 # safe for keys
    ---
    -> session.Session
    series_path : varchar(512)           # path inside the file
    lfp_kind : varchar(16)                   # lfp | wideband
    n_samples : int64
    n_lfp_channels : int32
    rate_declared = null : float64       # as written (Hz)
    lfp_rate_hz = null : float64             # measured from timestamps where there are any (Hz)
    lfp_start_s = null : float64             # first sample (s, session clock)
    lfp_stop_s = null : float64              # after the last sample (s, session clock)
    lfp_unit = null : varchar(32)            # unit of data × conversion
    conversion = null : float64          # to that unit
    offset = null : float64              # in that unit
    dtype : varchar(16)
    chunks = null : json                 # HDF5 chunk shape
    gaps : int32                         # breaks in the timestamps
    all_zero = null : bool               # nothing but zeros where sampled
    lfp_digest : char(64)                    # sha256 of shape, type and sampled content
    """


@schema
class LfpColumn(Guarded, dj.Manual):
    definition = """
    # Which channel each column of a series is.
    -> LfpSeries
    lfp_column : int32                   # column of the data, from 0
    ---
    -> Channel
    """


@schema
class Unit(Guarded, dj.Manual):
    definition = """
    # A sorted unit.
    -> Ingestion
    unit : int64                         # unit id in the file
    ---
    -> session.Session
    -> [nullable] Channel                # where its waveform peaks
    n_spikes : int64
    firing_rate_hz = null : float64      # mean firing rate (Hz)
    quality = null : varchar(64)         # as written
    unit_region = null : varchar(255)    # as written
    """


@schema
class Trial(Guarded, dj.Manual):
    definition = """
    # A row of a trial-like interval table.
    -> Ingestion
    trial_table : varchar(64)            # trials, or the table's own name
    trial : int64                        # row id
    ---
    -> session.Session
    trial_start_s = null : float64             # (s, session clock)
    trial_stop_s = null : float64              # (s, session clock)
    trial_values : json                  # remaining columns
    """


@schema
class BehaviorSeries(Guarded, dj.Manual):
    definition = """
    # A behavioural time series.
    -> Ingestion
    behavior_series : varchar(64)        # safe for keys
    ---
    -> session.Session
    behavior_path : varchar(512)         # path inside the file
    n_behavior_samples : int64
    behavior_rate_hz = null : float64    # measured (Hz)
    behavior_unit = null : varchar(64)   # as written
    variables : json                       # variable names
    behavior_start_s = null : float64             # (s, session clock)
    behavior_stop_s = null : float64              # (s, session clock)
    """


@schema
class InvalidInterval(Guarded, dj.Manual):
    definition = """
    # Time that must not be used.
    -> Ingestion
    invalid_interval : int32
    ---
    -> session.Session
    invalid_start_s : float64                    # (s, session clock)
    invalid_stop_s : float64                     # (s, session clock)
    scope : varchar(64)                  # probe name, or all
    label : varchar(255)                 # as written
    """


@schema
class FeatureSeries(Guarded, dj.Manual):
    definition = """
    # Vectors made elsewhere, one per (window, channel) of a session.
    -> Ingestion
    -> session.Session
    ---
    n_vectors : int64
    n_features : int32
    feature_source : varchar(255)        # laboratory as written in the file
    feature_subject : varchar(255)       # subject as written in the file
    feature_session : varchar(255)       # session as written in the file
    """


@schema
class LabelSet(Guarded, dj.Manual):
    definition = """
    # Region labels of one session from one origin, as given.
    label_set : char(64)                 # sha256 of session, origin and entries
    ---
    -> session.Session
    -> [nullable] Ingestion              # the file, if labels came with a recording
    origin : varchar(255)                # column or file the labels are from
    evidence : varchar(16)               # histology | target | coordinates | expert | unknown
    n_labels : int32                     # channels with text
    added : datetime                     # (UTC)
    """


@schema
class LabelEntry(Guarded, dj.Manual):
    definition = """
    # One channel's label, as given.
    -> LabelSet
    -> Channel
    ---
    raw = null : varchar(255)            # as written
    cleaned = null : varchar(255)        # without wrapping or composite text
    label_x = null : float64             # as given with the label (µm, frame named in origin)
    label_y = null : float64             # (µm)
    label_z = null : float64             # (µm)
    """
