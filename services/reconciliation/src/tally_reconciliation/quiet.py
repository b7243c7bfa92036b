"""Whether anything is still moving: only then can some invariants be judged."""

from collections.abc import Mapping
from dataclasses import dataclass

from tally_contracts.catalogue import catalogue, further_groups
from tally_reconciliation.broker import Broker, Extent, Partition
from tally_reconciliation.databases import LEDGER, LedgerDatabase
from tally_reconciliation.report import Quiet
from tally_reconciliation.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """Where every topic ended and every group stood at one moment."""

    extents: Mapping[Partition, Extent]
    committed: Mapping[str, Mapping[Partition, int]]
    subscribed: Mapping[str, tuple[str, ...]]

    def behind(self, group: str) -> int:
        """Records that the group had not consumed."""
        return sum(self.by_topic(group).values())

    def by_topic(self, group: str) -> dict[str, int]:
        """Records that the group had not consumed, by topic; all of them where it never committed."""
        committed = self.committed[group]
        behind = dict.fromkeys(self.subscribed[group], 0)
        for where, extent in self.extents.items():
            if where[0] in behind:
                missing = extent.end - max(committed.get(where, 0), extent.first)
                behind[where[0]] += max(missing, 0)
        return behind


async def standing(broker: Broker, groups: frozenset[str]) -> Standing:
    """Ask the broker; commits are asked for first, so that they are never ahead of the ends."""
    committed = {group: await broker.committed(group) for group in sorted(groups)}
    subscribed: dict[str, tuple[str, ...]] = {}
    for group in groups:
        service = group.partition(".")[0]
        # A group that the catalogue does not name reads what its service's own group reads.
        read = group if group in further_groups(service) else service
        families = [topic for topic in catalogue().values() if read in topic.groups_of(service)]
        pattern = "|".join(_pattern(topic.name) for topic in families)
        subscribed[group] = await broker.topics(pattern) if families else ()
    every = sorted({name for names in subscribed.values() for name in names})
    return Standing(await broker.extents(every), committed, subscribed)


def _pattern(name: str) -> str:
    head, brace, tail = name.partition("{")
    middle = "[a-z0-9_-]+" + tail.partition("}")[2].replace(".", r"\.") if brace else ""
    return head.replace(".", r"\.") + middle


async def judge_quiet(
    snap: Snapshot, before: Standing, after: Standing, *further: LedgerDatabase
) -> Quiet:
    """Quiet if nothing was behind before the snapshots and nothing came until after them."""
    behind = {group: before.behind(group) for group in sorted(before.committed)}
    moving = [f"{group} is {n} records behind" for group, n in behind.items() if n]
    services = {group for group, n in behind.items() if n}
    came = sum(
        max(extent.end - before.extents.get(where, Extent(0, 0)).end, 0)
        for where, extent in after.extents.items()
    )
    if came:
        moving.append(f"{came} records came meanwhile")
    outboxes = [(snap, schema, schema) for schema in sorted(snap.schemas)]
    outboxes += [(database.snap, LEDGER, database.group) for database in further]
    for place, schema, service in outboxes:
        unsent = await place.value(
            f"SELECT coalesce(sum(l.head - coalesce(r.position, 0)), 0)::bigint "
            f"FROM {schema}.outbox_lane l LEFT JOIN {schema}.relay r USING (lane)"
        )
        if unsent > 0:
            moving.append(f"{service} has {unsent} records to publish")
            services.add(service)
    if "rails" in snap.schemas:
        due = await snap.value("SELECT count(*) FROM rails.job WHERE next_at <= now()")
        if due:
            moving.append(f"rails has {due} jobs due")
            services.add("rails")
    return Quiet(tuple(moving), frozenset(services))
