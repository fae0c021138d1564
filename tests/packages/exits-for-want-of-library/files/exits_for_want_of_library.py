import sys

sys.exit("It needs a library. Run: sudo apt-get install libpppmissing1")
