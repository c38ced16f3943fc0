"""
How is a payload read strictly, and written as it was read?  (SOCP 7)

``read`` ignores unknown fields, refuses wrong ones with ``MalformedFrame`` naming the
field, and never coerces; ``write`` gives the payload back.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Self

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.payloads.fields import Check

_Plan = tuple[tuple[str, Check, str, Any], ...]
_plans: dict[type, _Plan] = {}


def plan(cls: type["Payload"]) -> _Plan:
    """Return (name, check, what, default) of each field, made once."""
    if cls not in _plans:
        _plans[cls] = tuple(
            (
                one.name,
                one.metadata["check"],
                one.metadata["what"],
                one.default_factory()
                if one.default_factory is not MISSING
                else one.default,
            )
            for one in fields(cls)  # type: ignore[arg-type]
        )
    return _plans[cls]


class Payload:
    """What all payloads can: be read strictly, and be written."""

    __slots__ = ()

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """Take our fields out of ``payload``, or raise ``MalformedFrame``."""
        values: dict[str, Any] = {}
        for name, check, what, default in plan(cls):
            # null is how several implementations write a field that they leave out.
            value = payload.get(name)
            if value is None:
                if default is MISSING:
                    raise MalformedFrame(f"payload.{name} is missing")
            elif not check(value):
                raise MalformedFrame(f"payload.{name} must be {what}")
            else:
                values[name] = value
        return cls(**values)

    def write(self) -> dict[str, Any]:
        """Return the payload, without the fields that have their default."""
        return {
            name: value
            for name, _, _, default in plan(type(self))
            if (value := getattr(self, name)) != default
        }
