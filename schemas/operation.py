"""Who computes what at the moment, what went wrong, and by which definitions the tables were made.

These rows say how results were made, never what they are: no other table has a key to them.
"""

import datajoint as dj

from ._guard import Guarded

schema = dj.Schema()


@schema
class Worker(Guarded, dj.Manual):
    definition = """
    # One process that computes: a worker, or whoever called populate(reserve_jobs=True).
    worker : varchar(64)                 # host, pid and a random end
    ---
    worker_host : varchar(255)
    worker_pid : int32
    lane : varchar(64)                   # io, cpu, gpu, joined by commas; study or populate
    only_study = null : varchar(64)      # study it confines itself to
    worker_device : varchar(64)          # cpu, cuda:0; cuda where it has several
    worker_version : varchar(32)         # of the package
    image = null : varchar(255)          # container image it runs in
    started : datetime                   # (UTC)
    heartbeat : datetime                 # last sign of life (UTC)
    stopped = null : datetime            # ended in order (UTC)
    job_table = null : varchar(64)       # what it is making
    job_key = null : json
    job_since = null : datetime          # (UTC)
    """


@schema
class Lease(Guarded, dj.Manual):
    definition = """
    # A worker's right to insert, held as long as a connection of its lives.
    lease : int64                        # random; the server's advisory lock has this number
    ---
    -> Worker
    lease_state : varchar(8)             # held | ended | lost
    taken : datetime                     # (UTC)
    given_up = null : datetime           # (UTC)
    """


@schema
class JobError(Guarded, dj.Manual):
    definition = """
    # One try of a job that did not end in a row.
    failed_table : varchar(64)           # module.Table
    job : char(64)                       # sha256 of the job's key
    attempt : int32                      # from 1
    ---
    failed_key : json
    error_kind : varchar(16)             # transient | permanent | lost (with its worker)
    error_stage : varchar(64)            # exception, or where in the reading of a file
    error_message : varchar(2047)
    error_way_out = null : varchar(1023) # what to do
    error_file = null : varchar(768)     # recording it was about
    error_stack = null : json            # lines of the traceback
    failed_worker = null : varchar(64)
    failed_at : datetime                 # (UTC)
    retry_at = null : datetime           # next try (UTC); null if there is none
    """


@schema
class Definition(Guarded, dj.Manual):
    definition = """
    # How a table was declared in this database, and by which version of the package.
    defined_table : varchar(64)          # module.Table
    ---
    definition_digest : char(64)         # sha256 of columns, keys and indexes
    definition_lines : json
    defined_by : varchar(32)             # package version
    defined_at : datetime                # (UTC)
    """
