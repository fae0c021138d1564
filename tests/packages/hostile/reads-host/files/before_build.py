import runpy

runpy.run_path("src/reads_host.py", run_name="hostile")
