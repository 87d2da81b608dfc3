"""The integer twin: a quantized program computed with exact integers and the runtime's own rounding.

`values` says what flows between operators, `exact` adds products without error, the other files hold the rules of one
family of operators each, and `interpreter` runs a program's graph by them. The rules are those of ONNX Runtime's CPU
kernels (MLAS); where x86-64 and aarch64 round differently, `quantize.ties` chooses scales that leave nothing to round
differently.
"""
