raise RuntimeError("the build is broken")
