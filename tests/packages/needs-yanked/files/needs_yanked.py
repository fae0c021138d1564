WORD = "needs yanked"
