"""The system map: who writes and reads what, as a table and as a picture."""

from collections.abc import Sequence

from tally_contracts.catalogue import Topic

_INTRODUCTION = """\
# System map

Generated from `src/tally_contracts/topics/` by `make contracts`; edit those files, not this one.
Public topics are marked with a star.
"""


def system_map(topics: Sequence[Topic]) -> str:
    """Markdown: a table of topics and a mermaid flowchart of parties and topics."""
    rows = ["| topic | key | partitions | retention | producers | consumers | types |"]
    rows.append("|---|---|---|---|---|---|---|")
    rows.extend(_row(topic) for topic in topics)
    return "\n".join([_INTRODUCTION, *rows, "", "```mermaid", *_flowchart(topics), "```", ""])


def _row(topic: Topic) -> str:
    cells = (
        f"`{topic.name}`{' ★' if topic.public else ''}",
        topic.key,
        str(topic.partitions),
        topic.retention,
        ", ".join(topic.producers),
        ", ".join(topic.consumers),
        "<br>".join(f"`{event_type}`" for event_type in topic.types),
    )
    return f"| {' | '.join(cells)} |"


def _flowchart(topics: Sequence[Topic]) -> list[str]:
    lines = ["flowchart LR"]
    for number, topic in enumerate(topics):
        lines.append(f'  t{number}[/"{topic.name}"/]')
        lines.extend(f"  {producer} --> t{number}" for producer in topic.producers)
        lines.extend(f"  t{number} --> {consumer}" for consumer in topic.consumers)
    return lines
