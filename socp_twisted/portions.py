"""
How is one told of twenty thousand users?  A few frames at a time, as they are read.

At once they would be 40 MB towards one connection, which would be put out for not
having read them; and all others would wait while they are made.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from twisted.logger import Logger

from socp_twisted.net.link import Link
from socp_twisted.overlay.effects import Effect, Gradually, LinkId
from socp_twisted.overlay.mesh import Mesh

MOST = 2
"""Long answers that wait for one connection before we stop reading what it asks."""

_ANSWERS = "long answers wait to be read"


class Portions:
    """What is under way towards each link; it goes on as the link's outbox empties."""

    _log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        links: Mapping[LinkId, Link],
        perform: Callable[[Iterable[Effect]], None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        """``perform`` sets the clocks first; ``soon`` is the reactor's next turn."""
        self._mesh = mesh
        self._links = links
        self._perform = perform
        self._soon = soon
        self._waiting: dict[LinkId, deque[Gradually]] = {}

    def begin(self, effect: Gradually) -> None:
        """Send the first frames, and the others in time; after what came before."""
        link = self._links.get(effect.link)
        if link is None:
            return
        queue = self._waiting.setdefault(effect.link, deque())
        queue.append(effect)
        if len(queue) == 1:
            self._go_on(effect.link)
        elif len(queue) > MOST:
            link.pause(_ANSWERS)

    def closed(self, link_id: LinkId) -> None:
        """Forget a link that is gone."""
        self._waiting.pop(link_id, None)

    def _go_on(self, link_id: LinkId) -> None:
        queue = self._waiting.get(link_id)
        if queue is None:
            return
        try:
            is_over = self._send_some(queue[0])
        except Exception:
            self._log.failure("bug while sending a long answer")
            is_over = True
        link = self._links.get(link_id)
        if link is None:
            return
        if is_over:
            queue.popleft()
            if len(queue) == MOST:
                self._mesh.parties[link_id].heard = self._mesh.now  # nobody listened
                link.read_on(_ANSWERS)
        if queue:
            link.outbox.when_empty(lambda: self._soon(lambda: self._go_on(link_id)))
        else:
            del self._waiting[link_id]

    def _send_some(self, effect: Gradually) -> bool:
        """Send a portion; say whether it was the last one."""
        portion = list(islice(effect.effects, effect.portion))
        self._perform(portion)
        return len(portion) < effect.portion
