def main():
    print('run')


class App:
    run = main
