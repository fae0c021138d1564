BEGUN = []


def begin():
    BEGUN.append(True)
