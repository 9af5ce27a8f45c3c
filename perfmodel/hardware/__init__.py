"""Hardware: device records and the catalogue of devices that ships with perfmodel.

``load_device("h100-sxm")`` reads one record, ``load_device("my.toml")`` a file of one's own, and
``load_device("local-cpu")`` looks at this machine. ``docs/device-files.md`` describes the file format.
"""

from perfmodel.hardware.device import Arithmetic, Device
from perfmodel.hardware.loader import LOCAL_CPU, catalogue, device_ids, load_device

__all__ = ["LOCAL_CPU", "Arithmetic", "Device", "catalogue", "device_ids", "load_device"]
