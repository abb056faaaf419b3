"""What is wrong or doubtful about an input, as a code for programs and a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from cicimage.errors import CicimageError

Severity = Literal["unresolved", "warning", "note"]
"""``unresolved``: guests over hosts cannot be called; ``warning``: a rate may move; ``note``: worth knowing."""
SEVERITIES: Final[tuple[str, ...]] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One fault of an input.

    Attributes
    ----------
    code : str
        Lower-case identifier that programs and tests read, such as "channel_saturated".
    severity : {"unresolved", "warning", "note"}
        What the fault does to the numbers.
    where : str
        Channel, frames or file that the finding is about, such as ``channel 'Host'``; empty for the whole recording.
    value : str
        What was measured and the rule it breaks, such as ``63 % of pixels are saturated, at most 5 % may be``.
    remedy : str
        What the user can do; empty where there is nothing to do.
    field : str
        Key of ``experiment.toml`` (dotted, such as ``channels.host``) or column of ``layout.csv`` that mends it;
        empty where no setting does.

    Examples
    --------
    >>> Finding("channel_saturated", "warning", "channel 'Host'", "63 % of pixels are saturated, at most 5 % may be",
    ...         "lower exposure or gain").sentence
    "channel 'Host': 63 % of pixels are saturated, at most 5 % may be; lower exposure or gain"
    """

    code: str
    severity: Severity
    where: str
    value: str
    remedy: str
    field: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise CicimageError(
                f"finding {self.code}: severity must be one of {', '.join(SEVERITIES)}, is {self.severity!r}"
            )

    @property
    def sentence(self) -> str:
        """The finding as one sentence without the name of the position."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.value}; {self.remedy}" if self.remedy else f"{place}{self.value}"

    def as_dict(self) -> dict[str, str]:
        """Return the fields as they are stored in receipts, ``run.json`` and ``check --json``."""
        return asdict(self)


def findings_of(stored: Iterable[Mapping[str, Any]] | None) -> tuple[Finding, ...]:
    """Read findings back from what :meth:`Finding.as_dict` stored; none where an older program stored none."""
    return tuple(Finding(**{"field": "", **one}) for one in stored or ())
