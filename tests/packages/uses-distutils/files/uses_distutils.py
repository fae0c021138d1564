import distutils.version
