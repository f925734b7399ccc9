"""Labels as given become regions of a scheme, or an explicit unknown."""

import datajoint as dj

from . import recording, session
from ._guard import Guarded
from ._jobs import Leased

schema = dj.Schema()


@schema
class LabelScheme(Guarded, dj.Manual):
    definition = """
    # A set of region names that labels are mapped to.
    scheme : varchar(32)                 # lfp2vec5, Cosmos, Beryl, lobe, …
    ---
    scheme_description : varchar(512)
    regions : json                       # names in order; empty where the file's own names serve
    """


@schema
class LabelTask(Guarded, dj.Manual):
    definition = """
    # Asked for: these labels in this scheme.
    -> recording.LabelSet
    -> LabelScheme
    """


@schema
class ChannelLabel(Leased, dj.Computed):
    definition = """
    # Labels of one session in one scheme.
    -> LabelTask
    ---
    n_known : int32                      # channels with a region
    n_unknown : int32                    # channels without
    """

    class Region(dj.Part):
        definition = """
        # Region of one channel, or why there is none.
        -> master
        -> recording.Channel
        ---
        region = null : varchar(64)          # name in the scheme; NULL is unknown
        unknown_reason = null : varchar(255) # why there is no region
        """

    def make(self, key, **options):
        from pipeline.anatomy import map_label

        entries = (recording.LabelEntry & key).to_dicts()
        whose = session.Subject * session.Session.proj("source", "subject")
        species = (whose * recording.LabelSet.proj("session") & key).fetch1("species")
        rows = []
        for entry in entries:
            label = map_label(entry["cleaned"], key["scheme"], species)
            site = {name: entry[name] for name in ("session", "probe", "channel")}
            rows.append({**key, **site, "region": label.region, "unknown_reason": label.reason})
        known = sum(row["region"] is not None for row in rows)
        self.insert1({**key, "n_known": known, "n_unknown": len(rows) - known})
        self.Region.insert(rows)
