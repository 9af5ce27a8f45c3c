"""Ranking of kernel configurations: which candidate of a compiler's or tuner's search is fastest (docs/ranking.md).

- :mod:`~perfmodel.rank.space`: what the columns of a configuration space mean, as data (``spaces/*.toml``);
- :mod:`~perfmodel.rank.physics`: feasibility, occupancy and the terms of the time, by description, problem and device;
- :mod:`~perfmodel.rank.lookup`, :mod:`~perfmodel.rank.pretrained`: what measured spaces of other devices taught, as tables;
- :mod:`~perfmodel.rank.posterior`, :mod:`~perfmodel.rank.acquisition`: learning from measurements, and what to measure next;
- :mod:`~perfmodel.rank.ranker`: :func:`rank` and :class:`Ranker`, which put them together.
"""

from perfmodel.rank.ranker import Ranker, rank
from perfmodel.rank.ranking import OBJECTIVES, Ranking
from perfmodel.rank.single import prepare
from perfmodel.rank.space import Space, space, space_ids

__all__ = ["OBJECTIVES", "Ranker", "Ranking", "Space", "prepare", "rank", "space", "space_ids"]
