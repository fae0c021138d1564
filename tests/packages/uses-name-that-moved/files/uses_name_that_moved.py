from passes import GONE
