import ctypes

ctypes.CDLL("libpppmissing.so.1")
