"""Does an implementation compute what the definition says? Operators, rules, cases, a runner.

What is tested is any object with functions of clconv's names and signatures on numpy arrays; the
judge is `clconv.reference`, which shares no code with it.
"""
