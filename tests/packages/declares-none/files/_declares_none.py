def main():
    print('run')
