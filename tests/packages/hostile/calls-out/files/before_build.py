import runpy

runpy.run_path("src/calls_out.py", run_name="hostile")
