import ctypes
from ctypes.util import find_library

library = ctypes.CDLL(find_library("pppmissing_c"))
library.ppp_missing_function.restype = ctypes.c_int
