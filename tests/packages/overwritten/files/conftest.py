OF = "overwritten"
