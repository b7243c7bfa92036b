"""The versions of the policy, as `policy.json` in this folder has them."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tally_contracts.base import Count, Slug, Text, UtcTime
from tally_kyc.domain.policy import Level, PartyKind, Policy, Track
from tally_kyc.domain.tasks import TaskKind

_DOCUMENT = "policy.json"
_DAYS_MAX = 366


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Track(_Strict):
    first: tuple[TaskKind, ...]
    needs: Mapping[Level, frozenset[TaskKind]]
    remit: frozenset[TaskKind]

    def track(self) -> Track:
        return Track(self.first, self.needs, self.remit)


class _Version(_Strict):
    version: Count
    valid_from: UtcTime
    source: Text
    warn_days: int = Field(ge=0, le=_DAYS_MAX)
    tracks: Mapping[PartyKind, _Track]
    touches: Mapping[Slug, frozenset[TaskKind]]

    def policy(self) -> Policy:
        return Policy(
            self.version,
            self.valid_from,
            timedelta(days=self.warn_days),
            {kind: track.track() for kind, track in self.tracks.items()},
            self.touches,
        )


def shipped() -> Sequence[Policy]:
    """The versions this release comes with; raises a ValueError where they are not whole."""
    text = (files("tally_kyc") / _DOCUMENT).read_text(encoding="utf-8")
    return read(json.loads(text))


def read(document: Sequence[Mapping[str, Any]]) -> Sequence[Policy]:
    """The versions of a document. Numbers and times rise, and each says what every level takes."""
    policies = [_Version.model_validate(each).policy() for each in document]
    for number, policy in enumerate(policies, 1):
        if policy.version != number:
            raise ValueError(f"version {policy.version} stands in place {number}")
        if policy.tracks.keys() != set(PartyKind):
            raise ValueError(f"version {number} does not say what each kind of party has to show")
        for kind, track in policy.tracks.items():
            if track.needs.keys() != set(Level) - {Level.NONE}:
                raise ValueError(f"version {number} does not say what each level of a {kind} takes")
    begins = [policy.valid_from for policy in policies]
    if not policies or begins != sorted(set(begins)):
        raise ValueError("versions begin one after the other")
    return policies
