WORD = "old"

print "%s" % WORD
