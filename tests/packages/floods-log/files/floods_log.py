for _ in range(20_000):
    print("x" * 79, flush=True)
raise RuntimeError("enough")
