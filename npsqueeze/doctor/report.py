"""What the doctor says: findings, the gravest first."""

from dataclasses import dataclass
from pathlib import Path

WRONG, WARNING, OK = SEVERITIES = ("WRONG", "warning", "ok")


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes
    ----------
    severity : "WRONG", "warning" or "ok"
    check : str
        What was looked at.
    text : str
        What was seen and, unless all is well, its likely cause.
    cure : str
        The flag or the line that cures it; empty where there is nothing to cure.
    """

    severity: str
    check: str
    text: str
    cure: str = ""

    def __str__(self) -> str:
        cure = f" -> {self.cure}" if self.cure else ""
        return f"{self.severity:7}  {self.check}: {self.text}{cure}"


@dataclass(frozen=True, repr=False)
class Report:
    """All findings in the order of the checks: causes stand before their consequences.

    As a string, a line for each, with what is wrong at the top.
    """

    findings: tuple[Finding, ...]
    pictures: tuple[Path, ...] = ()

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """Return the findings that keep a training from succeeding."""
        return tuple(each for each in self.findings if each.severity == WRONG)

    def __str__(self) -> str:
        ordered = sorted(self.findings, key=lambda each: SEVERITIES.index(each.severity))
        return "\n".join(map(str, ordered))

    __repr__ = __str__
