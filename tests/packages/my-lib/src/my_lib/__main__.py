import my_lib_heavy
import my_lib_linux
import my_lib_small

print("my-lib runs:", my_lib_small.NAME, my_lib_linux.NAME, len(my_lib_heavy.data()))
