"""The document engine of the simulator answers as a real mongod does: results, error codes, documents to the byte.

``HARNESS_RANDOM_CASES=10000`` asks that many random questions of each kind instead of a slice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from document_cases import CORPUS, FILTERS, PROJECTED, PROJECTIONS, SORTS
from document_cases_updates import FIND_AND_MODIFY, QUEUE, UNIQUE, UPDATES, UPSERTS
from document_engines import Engine, Mongod, UpdateCase, mismatches
from document_strategies import documents, filters, projections, sorts, update_cases
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from single_member_set import admin_client, single_member_set

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

RANDOM_CASES = int(os.environ.get("HARNESS_RANDOM_CASES", "0"))
SLICE = 80
SEED = 20260301

random_questions = settings(
    max_examples=RANDOM_CASES or SLICE, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
patient = pytest.mark.timeout(120 + RANDOM_CASES)


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    directory = tmp_path_factory.mktemp("mongod")
    with single_member_set(directory) as connection, admin_client(connection.seeds[0]) as client:
        client.admin.command("setDefaultRWConcern", defaultWriteConcern={"w": 1})
        yield Mongod(client["test"]["documents"])


def loaded(mongod: Mongod, corpus: Sequence[dict[str, Any]]) -> Engine:
    """Return an engine with ``corpus`` after the server has got it as well."""
    mongod.load(corpus)
    engine = Engine()
    engine.load(corpus)
    return engine


def test_filters_find_the_same_documents(mongod: Mongod) -> None:
    """Every operator with values of every type finds the same documents, or is refused with the same code."""
    engine = loaded(mongod, CORPUS)
    assert not mismatches((repr(query), mongod.find(query), engine.find(query)) for query in FILTERS)


def test_sorts_give_the_same_order(mongod: Mongod) -> None:
    """Documents of all types sort in the same order, through paths and arrays as well."""
    engine = loaded(mongod, CORPUS)
    assert not mismatches((repr(order), mongod.find({}, None, order), engine.find({}, None, order)) for order in SORTS)


def test_projections_give_the_same_documents(mongod: Mongod) -> None:
    """Projections keep the same fields in the same order, or are refused with the same code."""
    engine = loaded(mongod, PROJECTED)
    asked = ((repr(case), mongod.find(*case), engine.find(*case)) for case in PROJECTIONS)
    assert not mismatches(asked)


@pytest.mark.parametrize("cases", [UPDATES, UPSERTS], ids=["updates", "upserts"])
def test_updates_make_the_same_documents(mongod: Mongod, cases: list[UpdateCase]) -> None:
    """Updates, replacements and upserts make the same documents and counts, or fail with the same code."""
    engine = Engine()
    assert not mismatches((repr(case), mongod.update(case), engine.update(case)) for case in cases)


def test_find_and_modify_returns_and_leaves_the_same_documents(mongod: Mongod) -> None:
    """Sort, update and projection together return the same document and leave the same behind."""
    engine = Engine()
    asked = (
        (repr(command), mongod.find_and_modify(QUEUE, command), engine.find_and_modify(QUEUE, command))
        for command in FIND_AND_MODIFY
    )
    assert not mismatches(asked)


@pytest.mark.parametrize(("keys", "options", "inserted"), UNIQUE)
def test_unique_indexes_refuse_the_same_documents_in_the_same_words(
    mongod: Mongod, keys: dict[str, int], options: dict[str, Any], inserted: list[dict[str, Any]]
) -> None:
    """A unique index refuses the same documents with the same message, pattern and value."""
    asked = Mongod(mongod.collection.database["unique"])
    real = asked.fill_unique(keys, options, inserted)
    assert repr(Engine("test.unique").fill_unique(keys, options, inserted)) == repr(real)


several = st.lists(documents(), min_size=1, max_size=4).map(
    lambda found: [{"_id": place, **document} for place, document in enumerate(found)]
)


@patient
def test_random_filters_find_the_same_documents(mongod: Mongod) -> None:
    """Random filters find the same of random documents."""

    @seed(SEED)
    @random_questions
    @given(several, st.lists(filters(), min_size=1, max_size=4))
    def ask(corpus: list[dict[str, Any]], queries: list[dict[str, Any]]) -> None:
        engine = loaded(mongod, corpus)
        assert not mismatches((repr((corpus, query)), mongod.find(query), engine.find(query)) for query in queries)

    ask()


@patient
def test_random_sorts_give_the_same_order(mongod: Mongod) -> None:
    """Random sorts put random documents into the same order."""

    @seed(SEED)
    @random_questions
    @given(several, st.lists(sorts(), min_size=1, max_size=4))
    def ask(corpus: list[dict[str, Any]], orders: list[dict[str, Any]]) -> None:
        engine = loaded(mongod, corpus)
        asked = [
            (repr((corpus, order)), mongod.find({}, None, order), engine.find({}, None, order)) for order in orders
        ]
        assert not mismatches(asked)

    ask()


@patient
def test_random_projections_give_the_same_documents(mongod: Mongod) -> None:
    """Random projections make the same of random documents."""

    @seed(SEED)
    @random_questions
    @given(several, st.one_of(st.just({}), filters(1)), st.lists(projections(), min_size=1, max_size=4))
    def ask(corpus: list[dict[str, Any]], query: dict[str, Any], wanted: list[dict[str, Any]]) -> None:
        engine = loaded(mongod, corpus)
        asked = [(repr((corpus, query, one)), mongod.find(query, one), engine.find(query, one)) for one in wanted]
        assert not mismatches(asked)

    ask()


@patient
@pytest.mark.parametrize("upsert", [False, True], ids=["updates", "upserts"])
def test_random_updates_make_the_same_documents(mongod: Mongod, *, upsert: bool) -> None:
    """Random updates make the same of a random document, and random upserts of none as well."""

    @seed(SEED)
    @random_questions
    @given(update_cases(upsert=upsert))
    def ask(case: UpdateCase) -> None:
        assert not mismatches([(repr(case), mongod.update(case), Engine().update(case))])

    ask()
