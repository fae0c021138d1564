import passes

WORD = passes.WORD
