"""Queries that are made up: each pair of shapes is met, the same seed makes the same, and what differs gets smaller."""

from itertools import combinations, product
from random import Random

from small_tables import mapped, number, table, text

from cdc.facts.shadow import Difference, Outcome, Verdict
from cdc.shadow.explore import DIMENSIONS, MadeUp, covering, make_up, shrunk, subject_of
from cdc.shadow.queries import Query

POST = mapped(table("post", text("title"), number("size")))
SUBJECT = subject_of(POST, [POST], lambda _: [(1, "Aa", 5), (2, None, 7)])


def test_every_pair_of_values_is_met_by_few_shapes() -> None:
    shapes = covering(Random(1))
    for one, other in combinations(DIMENSIONS, 2):
        met = {(shape[one], shape[other]) for shape in shapes}
        assert met == set(product(DIMENSIONS[one], DIMENSIONS[other]))
    assert len(shapes) < 60  # of 945


def test_the_same_seed_makes_the_same_queries() -> None:
    assert SUBJECT is not None
    texts = [made.text for made in make_up([SUBJECT], 100, seed=7)]
    assert texts == [made.text for made in make_up([SUBJECT], 100, seed=7)]
    assert len(set(texts)) > 50
    assert list(make_up([], 100, seed=7)) == []


async def test_what_differs_is_made_smaller_for_as_long_as_it_differs_by_the_same_cause() -> None:
    assert SUBJECT is not None

    async def ask(query: Query) -> Outcome:
        """Here every LIKE differs, and every LIMIT for another reason."""
        causes = [cause for cause, word in (("like", "LIKE"), ("limit", "LIMIT")) if word in query.sql]
        differences = tuple(Difference("", "1", "2", cause) for cause in causes)
        return Outcome(query.name, query.sql, Verdict.DIFFERENT if causes else Verdict.EQUAL, differences)

    shape = {"columns": "all", "filter": "like", "order": "down", "limit": "none", "join": "left"}
    whole = next(m for seed in range(99) if "LIKE" in (m := MadeUp(SUBJECT, shape, seed)).query.sql)
    smaller, outcome = await shrunk(whole, await ask(whole.query), ask)
    assert smaller.shape == {"columns": "some", "filter": "like", "order": "none", "limit": "none", "join": "none"}
    assert outcome.request == smaller.query.sql

    both = MadeUp(SUBJECT, {**shape, "limit": "first"}, whole.seed)
    smaller, _ = await shrunk(both, await ask(both.query), ask)
    assert (smaller.shape["filter"], smaller.shape["limit"], smaller.shape["order"]) == ("like", "first", "down")
