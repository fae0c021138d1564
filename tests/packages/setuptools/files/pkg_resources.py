import setuptools

assert setuptools.VERSION == "79.0"
