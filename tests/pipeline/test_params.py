"""Parameters: one canonical text, and digests that outlive a new field."""

from typing import ClassVar

from pipeline.params import Params


class Old(Params):
    rate: float = 2.0


class New(Old):
    later: ClassVar[frozenset[str]] = frozenset({"gain"})
    gain: float | None = None


class Holder(Params):
    inner: New = New()


def test_a_field_added_later_changes_no_digest_until_it_is_set():
    assert New().digest == Old().digest
    assert New(gain=1.0).digest != Old().digest
    assert Holder(inner=New(gain=1.0)).to_json() == {"inner": {"rate": 2.0, "gain": 1.0}}
    assert Holder().to_json() == {"inner": {"rate": 2.0}}
    assert New.from_json(Old().to_json()) == New()
