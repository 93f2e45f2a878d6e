"""How replicated tables refer to each other in Postgres, and what that means for moving their rows. No I/O."""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Final

from cdc.facts.changes import TableRows
from cdc.postgres.apply.fk_sql import FamilyLink
from cdc.postgres.apply.stage_sql import AppliedTable

Link = tuple[str, str, bool]  # a child, its parent, and whether the foreign key can wait for the end of a transaction

_PASSIVE: Final = ("NO ACTION", "RESTRICT")


class Families:
    """The replicated tables by source name, parents before their children, and the foreign keys between them.

    `referenced` are the tables that others refer to, `acting` those whose deletes Postgres would carry on to children
    by itself, `dragging` those whose updates it would, `cascading` those of them whose children it would delete.
    """

    def __init__(self, tables: Sequence[AppliedTable]) -> None:
        self.references = _references(tables)
        self.tables = {table.source_name: table for table in _parents_first(tables, self.references)}
        self.referenced = {r.parent.source_name for r in self.references if r.parent}
        self.acting = {r.parent.source_name for r in self.references if r.parent and _acts(r)}
        dragging = [r for r in self.references if r.drags and (_acts(r) or r.key.on_update not in _PASSIVE)]
        self.dragging = {r.parent.source_name for r in dragging if r.parent}
        self.cascading = {r.parent.source_name for r in dragging if r.parent and r.key.on_delete == "CASCADE"}
        self.referred: set[tuple[str, str]] = set()
        links = [(r.child.source_name, r.parent.source_name, r.key.deferrable) for r in self.references if r.parent]
        self._rings = rings_of(self.tables, links)
        self._places = {name: place for place, name in enumerate(self.tables)}
        self._households = {name: {name} for name in self.tables}
        self._parents = {name: {name} for name in self.tables}
        for reference in self.references:
            if reference.parent is not None:
                self._households[reference.parent.source_name].add(reference.child.source_name)
                self._parents[reference.child.source_name].add(reference.parent.source_name)

    def rings(self, names: Collection[str]) -> list[list[AppliedTable]]:
        """Some of the tables, parents first; those that refer to each other in a circle stand together.

        Such rows can only come and go at once: where a foreign key cannot wait for the end of the transaction, it still
        waits for the end of the statement.
        """
        by_ring: dict[frozenset[str], list[AppliedTable]] = {}
        for table in reversed(self.in_order(names)):
            by_ring.setdefault(self._rings[table.source_name], []).insert(0, table)
        return list(by_ring.values())[::-1]

    def in_order(self, names: Iterable[str]) -> list[AppliedTable]:
        """The named tables, parents before their children."""
        return [self.tables[name] for name in sorted(names, key=self._places.__getitem__)]

    def remembered(self, read: Iterable[TableRows]) -> list[TableRows]:
        """Those of them whose deleted rows get a tombstone."""
        return [rows for rows in read if rows.deleted and self.tables[rows.table].buries]

    def neighbours(self, name: str) -> set[str]:
        """A table, those that it refers to and those that refer to it."""
        return self._households[name] | self._parents[name]

    def household(self, name: str) -> set[str]:
        """A table and those that refer to it: a row of the first may set rows of the others free."""
        return self._households[name]

    def may_vacate(self, table: AppliedTable) -> bool:
        """Whether rows can be deleted and inserted again without anybody noticing: no table at all refers to them.

        `referred` names every table of the database that some foreign key refers to, replicated or not.
        """
        return table.whole and (table.target.schema, table.target.name) not in self.referred


def _references(tables: Sequence[AppliedTable]) -> list[FamilyLink]:
    """Foreign keys of the targets whose columns are all replicated, parents first."""
    by_name = {(t.target.schema, t.target.name): t for t in tables}
    references: list[FamilyLink] = []
    for child in tables:
        for key in child.target.foreign_keys:
            parent = by_name.get((key.parent_schema, key.parent))
            replicated = parent is None or set(key.parent_columns) <= set(parent.columns)
            if replicated and set(key.columns) <= set(child.columns):
                references.append(FamilyLink(key, child, parent))
    order = {t.source_name: place for place, t in enumerate(_parents_first(tables, references))}
    return sorted(references, key=lambda r: order[r.child.source_name])


def _parents_first(tables: Sequence[AppliedTable], references: Sequence[FamilyLink]) -> list[AppliedTable]:
    """Tables so that a parent stands before its children; within a cycle the given order stays."""
    by_name = {table.source_name: table for table in tables}
    parents: dict[str, list[str]] = {name: [] for name in by_name}
    for reference in references:
        if reference.parent is not None:
            parents[reference.child.source_name].append(reference.parent.source_name)
    return [by_name[name] for name in depth_first(by_name, parents)]


def rings_of(names: Iterable[str], links: Sequence[Link]) -> dict[str, frozenset[str]]:
    """By table, itself and those that are its ancestors and its descendants, where some key among them cannot wait.

    `names` are the tables with parents before their children. By Kosaraju's algorithm: in the reverse of that order,
    all that can be reached from a table by going to children only is its cycle, if no cycle found before has it.
    """
    order = list(names)
    children: dict[str, list[str]] = {name: [] for name in order}
    for child, parent, _ in links:
        children[parent].append(child)
    rings: dict[str, frozenset[str]] = {}
    for name in reversed(order):
        if name not in rings:
            ring = frozenset(depth_first((name,), children, rings))
            rings |= dict.fromkeys(ring, ring)
    rigid = {rings[child] for child, parent, waits in links if not waits and parent in rings[child]}
    return {name: ring if ring in rigid else frozenset((name,)) for name, ring in rings.items()}


def depth_first(starts: Iterable[str], links: Mapping[str, Sequence[str]], done: Container[str] = ()) -> list[str]:
    """All that can be reached, each after what its links lead to; without recursion, for chains may be long."""
    reached: dict[str, None] = {}
    seen: set[str] = set()
    for start in starts:
        path = [(start, iter(links[start]))] if start not in seen and start not in done else []
        seen.add(start)
        while path:
            name, ahead = path[-1]
            following = next((other for other in ahead if other not in seen and other not in done), None)
            if following is None:
                reached[name] = None
                path.pop()
            else:
                seen.add(following)
                path.append((following, iter(links[following])))
    return list(reached)


def _acts(reference: FamilyLink) -> bool:
    """Whether Postgres would change children by itself when the parent is deleted."""
    return reference.key.on_delete not in _PASSIVE
