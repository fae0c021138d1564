WORD = "needs quarantined"
