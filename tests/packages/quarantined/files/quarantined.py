WORD = "quarantined"
