"""The average of a network over the steps of its training, which generalises better than the last.

    average ← d·average + (1 - d)·weights        after each step, with d just below 1

(Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.) The steps jump
about the bottom of a valley; their mean lies closer to its middle.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from npsqueeze.arrays import Array
from npsqueeze.module import Module


class Average:
    """The exponential moving average of all parameters and buffers of a model.

    At step t (from 0) the decay is min(d, (1 + t)/(10 + t)): the weights drawn at random are soon
    forgotten. Running statistics are averaged like weights.

    Derived in tutorials/11_training_on_cifar10.ipynb.

    Attributes
    ----------
    state : dict of str to array
        As `Module.state_dict` gives it.
    """

    def __init__(self, model: Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.state: Mapping[str, Array] = model.state_dict()

    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, member in self.model.named_state():
            self.state[name][...] += share * (member.data - self.state[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the average for as long as the ``with`` lasts."""
        live = self.model.state_dict()
        self.model.load_state_dict(self.state)
        try:
            yield
        finally:
            self.model.load_state_dict(live)
