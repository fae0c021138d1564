import runpy

runpy.run_path("src/gains_powers.py", run_name="hostile")
