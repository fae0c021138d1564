WORD = "built"
