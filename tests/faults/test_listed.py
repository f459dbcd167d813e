"""The list of mutations is whole and fits the source: told in a moment, without breaking anything."""

from itertools import groupby

import pytest

from deploy.local.state import CLONE
from tests.faults.mutations import MUTATIONS, Mutation
from tests.journeys.steps import STEPS


def test_every_step_of_the_story_has_a_mutation() -> None:
    assert [step for step, _ in groupby(one.step for one in MUTATIONS)] == [act.__name__ for _, act in STEPS]


@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if one.file], ids=lambda one: one.step)
def test_what_a_mutation_changes_stands_in_the_source_once(mutation: Mutation) -> None:
    assert (CLONE / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.old != mutation.new
