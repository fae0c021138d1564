WORD = 'new'
