"""Who was recorded, by whom, and the files that hold it."""

import datajoint as dj

from ._guard import Guarded

schema = dj.Schema()


@schema
class Source(Guarded, dj.Manual):
    definition = """
    # A laboratory or consortium that records.
    source : varchar(64)                 # short name: allen, ibl, a lab
    ---
    source_name = null : varchar(255)    # as written in the files
    """


@schema
class Subject(Guarded, dj.Manual):
    definition = """
    # One animal or person.
    -> Source
    subject : varchar(64)                # subject id, safe for keys
    ---
    subject_id : varchar(255)            # subject id as written in the file
    species = null : varchar(128)        # Latin binomial
    sex = null : varchar(16)
    age = null : varchar(64)             # ISO 8601 duration
    genotype = null : varchar(255)
    subject_description = null : varchar(1024)
    synthetic_subject : bool             # simulated, no animal
    """


@schema
class Session(Guarded, dj.Manual):
    definition = """
    # One recording session; several files may hold parts of it.
    session : varchar(64)                # <source>_<subject>_<session id>, safe for keys
    ---
    -> Subject
    session_id : varchar(255)            # session id as written in the file
    session_start = null : datetime      # UTC
    session_description = null : varchar(1024)
    synthetic : bool                     # simulated, no animal
    """

    def delete(self, *args, **options):
        """Delete sessions, and the readings of their files, which then can be read again."""
        from ._guard import readings_of

        readings = readings_of(self)
        deleted = super().delete(*args, **options)
        readings.delete(*args, **options)
        return deleted


@schema
class NwbFile(Guarded, dj.Manual):
    definition = """
    # A file known by name before anyone has read it.
    nwb_file : char(64)                  # sha256 of root + path + revision, or of the URL or asset
    ---
    root = null : varchar(64)            # name of a data root; each machine maps it to a folder
    path : varchar(768)                  # relative to the root, or the URL
    file_kind : varchar(16)              # nwb | features | lfpack
    source_hint = null : varchar(64)     # laboratory, where the user said so at ingest
    bytes = null : int64                 # size when registered (bytes)
    etag = null : varchar(128)           # server's or archive's mark of the content
    dandiset = null : varchar(32)        # dandiset id
    dandi_version = null : varchar(32)   # published version, or draft
    asset = null : varchar(64)           # DANDI asset id
    revision : int32                     # 0, then one more each time the content changed
    mapping = null : json                # columns of features; whose a recording of lfpack is
    registered : datetime                # (UTC)
    """
