"""The Hypothesis profiles: loaded by name only, and different where it matters."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

from harness.gen import profiles
from harness.vocab.errors import UsageError


@pytest.fixture(autouse=True)
def _restored():
    before = settings()
    settings.register_profile("before-this-test", before)
    yield
    settings.load_profile("before-this-test")


def test_ci_repeats_itself_and_the_night_does_not(tmp_path):
    assert profiles.load("capi-ci").derandomize
    night = profiles.load("capi-nightly", tmp_path / "examples")
    assert not night.derandomize
    assert night.print_blob
    assert night.deadline is None
    assert night.database is not None


def test_loading_makes_it_the_default():
    profiles.load("capi-dev")
    assert settings().max_examples == 25


def test_replay_generates_nothing(tmp_path):
    assert Phase.generate not in profiles.load("capi-replay", tmp_path).phases


def test_an_unknown_profile_is_refused():
    with pytest.raises(UsageError, match="capi-nightly"):
        profiles.load("ci")
