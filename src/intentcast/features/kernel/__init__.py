"""The arithmetic of features: compiled walks over each account's and lead's sorted history.

Every walk treats each account alone and reads nothing but its arrays, so the same history gives the
same bits in any batch, alone, on any number of threads, and for any other as-of times beside its
own. Times are integer microseconds. Every walk releases the interpreter's lock.
"""
