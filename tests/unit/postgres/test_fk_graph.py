"""Which tables have to move at once, judged by trying every path."""

import itertools
from random import Random

from cdc.postgres.apply.fk_graph import Link, depth_first, rings_of


def reached(start: str, links: list[Link]) -> set[str]:
    found = {start}
    while more := {parent for child, parent, _ in links if child in found} - found:
        found |= more
    return found


def expected(names: list[str], links: list[Link]) -> dict[str, frozenset[str]]:
    above = {name: reached(name, links) for name in names}
    cycles = {name: frozenset(other for other in above[name] if name in above[other]) for name in names}
    rigid = {cycles[child] for child, parent, waits in links if not waits and parent in cycles[child]}
    return {name: cycle if cycle in rigid else frozenset((name,)) for name, cycle in cycles.items()}


def parents_first(names: list[str], links: list[Link]) -> list[str]:
    return depth_first(names, {name: [parent for child, parent, _ in links if child == name] for name in names})


def test_rings_are_the_tables_that_reach_each_other_where_a_key_cannot_wait() -> None:
    for seed in range(400):
        random = Random(seed)
        names = [f"t{n}" for n in range(random.randrange(1, 9))]
        links = [
            (random.choice(names), random.choice(names), random.random() < 0.6) for _ in range(random.randrange(14))
        ]
        assert rings_of(parents_first(names, links), links) == expected(names, links), seed


def test_parents_stand_before_their_children_where_there_is_no_cycle() -> None:
    for seed in range(200):
        random = Random(seed)
        names = [f"t{n}" for n in range(12)]
        links = [(names[b], names[a], True) for a in range(12) for b in range(a + 1, 12) if random.random() < 0.3]
        shuffled = random.sample(names, len(names))
        order = parents_first(shuffled, links)
        assert sorted(order) == sorted(names)
        assert all(order.index(parent) < order.index(child) for child, parent, _ in links), seed


def test_a_chain_of_very_many_tables_is_followed_to_its_end() -> None:
    names = [f"t{n}" for n in range(5_000)]
    links = [(child, parent, False) for parent, child in itertools.pairwise(names)]
    parents = {child: [parent] for child, parent, _ in links} | {"t0": []}
    order = depth_first(reversed(names), parents)
    assert order == names
    assert rings_of(order, links) == {name: frozenset((name,)) for name in names}
