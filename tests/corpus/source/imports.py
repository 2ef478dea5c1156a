from .x import (a,
  b as c) ; import d
x = 1e-5 if y else 0x_ff\
  + 3.j"""s\""" t"""
if a: from b import *
