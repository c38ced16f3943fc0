"""What became of every message?  From the journals alone, after everything is over."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.plan import Message

Entry = Mapping[str, Any]

FINAL: Final = frozenset({"delivered", "failed"})

FAILURES: Final = ("lost", "doubled", "torn", "unreported")
"""What must not be; everything else is the world's way."""

ROWS: Final = {
    "sent": "taken by the sender's client; one to everybody is one to each",
    "files": "of those sent: files, which no server keeps",
    "once": "seen exactly once by the recipient",
    "reported": "not seen, and the sender was told so",
    "perished": "not seen; the sender's process died before any answer",
    "again": "seen again after the recipient's process died",
    "doubled": "seen twice by one process of the recipient",
    "torn": "a file that was received is not what was sent",
    "lost": "not seen, although the sender was told that it was delivered or kept",
    "unreported": "the sender lives and was never told what became of it",
    "false alarm": "of those seen: the sender was told that it failed",
    "kept": "of those seen: the sender's last word is that the server keeps it",
    "unsent": "never begun: the sender's process was not there",
}


@dataclass(slots=True)
class Story:
    """What the journals say of one message."""

    sent_at: float = 0.0
    sent_in: int = -1
    outcome: str = ""
    code: str = ""
    queued: bool = False
    torn: bool = False
    seen_in: list[int] = field(default_factory=list)
    seen_at: float = 0.0


@dataclass(slots=True)
class Account:
    """The counts of one run, and the messages that a failure is about."""

    counts: Counter[str]
    codes: Counter[str]
    latencies: list[float]
    failures: dict[str, list[str]]

    @property
    def ok(self) -> bool:
        """Say whether nothing was lost, doubled or left unreported."""
        return not any(self.failures.values())


def read_stories(
    journals: Mapping[str, Iterable[Entry]],
) -> tuple[dict[str, Story], dict[str, int]]:
    """Return the story of each message, and how often each user's process began."""
    stories: defaultdict[str, Story] = defaultdict(Story)
    runs: dict[str, int] = {}
    for user_id, journal in journals.items():
        run = 0
        for entry in journal:
            what = entry["what"]
            if what == "start":
                run += 1
                continue
            if "text" not in entry:
                continue
            story = stories[entry["text"]]
            if what == "sending":
                story.sent_at, story.sent_in = entry["t"], run
            elif what == "seen":
                story.seen_in.append(run)
                story.seen_at = story.seen_at or entry["t"]
            elif what == "torn":
                story.torn = True
            elif what == "queued":
                story.queued = True
            elif what in FINAL and not story.outcome:
                story.outcome, story.code = what, entry.get("code", "")
        runs[user_id] = run
    return dict(stories), runs


def account(
    messages: Iterable[Message], journals: Mapping[str, Iterable[Entry]]
) -> Account:
    """Count what became of each planned message."""
    stories, runs = read_stories(journals)
    result = Account(Counter(), Counter(), [], {name: [] for name in FAILURES})
    planned = {message.id: message for message in messages}
    for text_id in sorted(planned.keys() - {_message_of(one) for one in stories}):
        stories[text_id] = Story()  # never begun
    for text_id, story in sorted(stories.items()):
        message = planned[_message_of(text_id)]
        fates = list(_fates(story, story.sent_in < runs.get(message.sender, 0)))
        result.counts.update(fates)
        for fate in fates:
            if fate in FAILURES:
                result.failures[fate].append(text_id)
        if message.size and "sent" in fates:
            result.counts["files"] += 1
        if story.outcome == "failed":
            result.codes[story.code] += 1
        if story.seen_in:
            result.latencies.append(story.seen_at - story.sent_at)
    result.latencies.sort()
    return result


def _message_of(text_id: str) -> str:
    """Return the message that ``m7@bob`` is a copy of: ``m7``."""
    return text_id.partition("@")[0]


def _fates(story: Story, died: bool) -> Iterable[str]:
    if story.sent_in < 0:
        yield "unsent"
        return
    yield "sent"
    if story.torn:
        yield "torn"
    if story.seen_in:
        yield from _fates_seen(story)
    elif story.outcome == "failed":
        yield "reported"
    elif story.outcome == "delivered" or story.queued:
        yield "lost"
    elif died:
        yield "perished"
        return
    if not (story.outcome or story.queued or died):
        yield "unreported"


def _fates_seen(story: Story) -> Iterable[str]:
    if len(set(story.seen_in)) < len(story.seen_in):
        yield "doubled"
    elif len(story.seen_in) > 1:
        yield "again"
    else:
        yield "once"
    if story.outcome == "failed":
        yield "false alarm"
    elif story.queued and not story.outcome:
        yield "kept"


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which this share of a sorted list lies; 0 if empty."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
