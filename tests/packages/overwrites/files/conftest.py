OF = "overwrites"
