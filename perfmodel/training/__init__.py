"""The parts of training that :mod:`perfmodel.train`, :mod:`perfmodel.evaluate` and :mod:`perfmodel.transfer` share."""
