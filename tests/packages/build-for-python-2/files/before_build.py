print "building"
