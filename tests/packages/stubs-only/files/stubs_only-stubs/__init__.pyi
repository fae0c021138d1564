WORD: str
