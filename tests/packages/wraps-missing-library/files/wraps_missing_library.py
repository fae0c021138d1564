from ctypes.util import find_library

if find_library("pppmissing_c") is None:
    raise OSError("could not find or load pppmissing_c-64")
