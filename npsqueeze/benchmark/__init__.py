"""How fast npsqueeze is on this machine, and how fast others are: the command `npsqueeze bench`.

`works` says what is measured, `contenders` who does it (each in a `with_…` file that only its own
process imports), `processes` lets them take turns, `report` and `roofline` show the results.
"""

from npsqueeze.benchmark.command import bench

__all__ = ["bench"]
