from .old import WORD
