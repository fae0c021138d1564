"""The PyPI Place: a watchdog that installs and imports every new release on PyPI and publishes what happened."""

__version__ = "0.1.0"
