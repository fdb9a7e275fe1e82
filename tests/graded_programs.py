"""Small programs with the verdicts of the benchmarks' own graders: LiveCodeBench's at commit 28fef95, evalplus 0.3.1.

The last of each row is whether that grader passes the program. Where we differ by intent, the page says
why: ACCIDENTS, DROPPED."""
from itertools import product

# ---- LiveCodeBench, scripts: read whole numbers in some way, and print something of them in some way
INPUTS = ["3\n5 -2 9\n", "1\n7\n", "4\n0 0 1 1\n"]
READ = {'input': 'n = int(input())\na = list(map(int, input().split()))\n',
 'input is readline': 'import sys\n'
                      'input = sys.stdin.readline\n'
                      'n = int(input())\n'
                      'a = [int(w) for w in input().split()]\n',
 'from sys': 'from sys import stdin\nn = int(stdin.readline())\na = list(map(int, stdin.readline().split()))\n',
 'read': 'import sys\nn, *a = map(int, sys.stdin.read().split())\n',
 'read many': 'import sys\nn, *a = map(int, sys.stdin.read(10 ** 7).split())\n',
 'bytes': 'import sys\nn, *a = map(int, sys.stdin.buffer.read().split())\n',
 'readlines': 'import sys\nlines = sys.stdin.readlines()\nn = int(lines[0])\na = list(map(int, lines[1].split()))\n',
 'to the end': 'a = []\n'
               'try:\n'
               '    while True:\n'
               '        a += map(int, input().split())\n'
               'except EOFError:\n'
               '    n, *a = a\n',
 'a name of the prelude': 'n = int(stdin.readline())\na = list(map(int, stdin.readline().split()))\n',
 'helper': 'def numbers():\n    return list(map(int, input().split()))\nn, = numbers()\na = numbers()\n'}
PRINT = {'print': ('print(sum(a))', True),
 'write': ("import sys\nsys.stdout.write(f'{sum(a)}\\n')", True),
 'writelines': ("import sys\nsys.stdout.writelines([str(sum(a)), '\\n'])", True),
 'a float': ('print(float(sum(a)))', True),
 'exit': ('import sys\nprint(sum(a))\nsys.exit(0)', True),
 'n left in': ('print(sum(a) + n)', False),
 'absolute': ('print(sum(map(abs, a)))', False),
 'a word': ("print('sum:', sum(a))", False),
 'first only': ('print(a[0])', False),
 'raises after': ('print(sum(a))\nraise ValueError(a)', False)}
SUM = ["12\n", "7\n", "2\n"]
SCRIPTS = [(f"{read}, {shape}", INPUTS, SUM, READ[read] + program, right)
           for read, (shape, (program, right)) in product(READ, PRINT.items())]

# ---- LiveCodeBench, scripts of their own: (name, input, output, program, verdict)
OTHERS = [('pow of three', '2 10 1000\n', '24\n', 'print(pow(*map(int, input().split())))', True),
 ('recursion of 20,000',
  '20000\n',
  '20000\n',
  'import sys\n'
  'sys.setrecursionlimit(10 ** 6)\n'
  'def down(n):\n'
  '    return 0 if n == 0 else 1 + down(n - 1)\n'
  'print(down(int(input())))',
  True),
 ('recursion, no limit set',
  '9000\n',
  '9000\n',
  'def down(n):\n    return 0 if n == 0 else 1 + down(n - 1)\nprint(down(int(input())))',
  True),
 ('endless recursion', '1\n', '1\n', 'def f(n):\n    return f(n)\nprint(f(input()))', False),
 ('digits', '20000\n', '20001\n', 'print(len(str(10 ** int(input()))))', True),
 ('guard', '5\n', '25\n', "def main():\n    print(int(input()) ** 2)\nif __name__ == '__main__':\n    main()", True),
 ('guard turned',
  '5\n',
  '25\n',
  "def main():\n    print(int(input()) ** 2)\nif '__main__' == __name__:\n    main()",
  False),
 ('guard amid', '5\n', '25\n', "if __name__ == '__main__':\n    n = int(input())\nprint(n * n)", False),
 ('global', '5\n', '25\n', 't = 0\ndef go(n):\n    global t\n    t += n * n\ngo(int(input()))\nprint(t)', False),
 ('nonlocal by list', '5\n', '25\n', 't = [0]\ndef go(n):\n    t[0] += n * n\ngo(int(input()))\nprint(t[0])', True),
 ('future', '5\n', '25\n', 'from __future__ import annotations\nprint(int(input()) ** 2)', False),
 ('thread',
  '5\n',
  '25\n',
  'import threading\nt = threading.Thread(target=lambda: print(int(input()) ** 2))\nt.start()\nt.join()',
  True),
 ('unused imports', '5\n', '25\n', 'import random, time, os, re\nprint(int(input()) ** 2)', True),
 ('names of the prelude', '5\n', '120\n', 'print(reduce(mul, range(1, int(input()) + 1)))', True),
 ('Counter and heap', 'b a b\n', 'b 2\n', 'w, n = Counter(input().split()).most_common(1)[0]\nprint(w, n)', True),
 ('exit', '5\n', '25\n', 'print(int(input()) ** 2)\nexit()', True),
 ('quit', '5\n', '25\n', 'print(int(input()) ** 2)\nquit()', False),
 ('a prompt', '5\n', '25\n', "n = int(input('n: '))\nprint(n * n)", False),
 ('blanks', '5\n', '1 2\n3\n', "print('  1 2  ')\nprint('3\\n\\n')", True),
 ('blank line between', '5\n', '1\n2\n', 'print(1)\nprint()\nprint(2)', False),
 ('case', '5\n', 'Yes\n', "print('YES')", False),
 ('two blanks', '5\n', 'a b\n', "print('a  b')", False),
 ('numbers in one line, words in another', '5\n', '1.0\nok\n', "print(1)\nprint('ok')", True),
 ('nearly equal numbers', '5\n', '0.3\n', 'print(0.1 + 0.2)', False),
 ('nothing', '5\n', '25\n', 'n = int(input())', False),
 ('no such name', '5\n', '25\n', 'print(nn)', False),
 ('does not parse', '5\n', '25\n', 'print(25', False),
 ('endless', '5\n', '25\n', 'while True:\n    pass', False),
 ('lines at \\n alone',
  'a\x0bb\x85c d\n',
  '1\n',
  "import sys\nprint(len(sys.stdin.read().strip().split('\\n')))",
  True),
 ('carriage returns', 'a\r\n', '2\n', 'print(len(input()))', True),
 ('file tried first',
  '5\n',
  '25\n',
  "import sys\ntry:\n    sys.stdin = open('in.txt')\nexcept OSError:\n    pass\nprint(int(input()) ** 2)",
  True),
 ('decimal', '1\n', '0.1\n', 'from decimal import Decimal\nprint(Decimal(input()) / 10)', True),
 ('a class',
  '3\n',
  '6\n',
  'class Tree:\n'
  '    def __init__(self, n):\n'
  '        self.n = n\n'
  '    def total(self):\n'
  '        return sum(range(self.n + 1))\n'
  'print(Tree(int(input())).total())',
  True)]
SCRIPTS += [(name, [given], [printed], program, right) for name, given, printed, program, right in OTHERS]

# ---- LiveCodeBench, methods: (method, inputs as lines of JSON, values, right bodies, wrong bodies)
METHODS = [('pairs',
  ['[1, 2, 3]\n3', '[5]\n5'],
  [[[1, 2]], []],
  ['return [[x, y] for i, x in enumerate(a) for y in a[i + 1:] if x + y == t]',
   'return tuple([x, y] for x, y in combinations(a, 2) if x + y == t)',
   'return list(map(list, filter(lambda p: sum(p) == t, combinations(a, 2))))'],
  ['return [(x, y) for x, y in combinations(a, 2) if x + y == t]',
   'return [[x, y] for x in a for y in a if x + y == t]',
   'print([[1, 2]])',
   'return deque([x, y] for x, y in combinations(a, 2) if x + y == t)']),
 ('power',
  ['[2]\n10', '[3]\n4'],
  [24, 81],
  ['return pow(a[0], t, 1000)',
   "self.seen = getattr(self, 'seen', {})\n        return self.seen.setdefault((a[0], t), a[0] ** t % 1000)",
   "return Counter({'x': a[0] ** t % 1000})['x']",
   'return float(pow(a[0], t, 1000))'],
  ["self.kept = getattr(self, 'kept', pow(a[0], t, 1000))\n        return self.kept",
   'return str(pow(a[0], t, 1000))',
   'return a[0] ** t',
   'exit()',
   'raise ValueError(t)',
   'import sys\n        sys.exit(0)']),
 ('deep',
  ['[1]\n3000', '[1]\n9000'],
  [3000, 9000],
  ['go = lambda n: 0 if n == 0 else 1 + go(n - 1)\n        return go(t)',
   'return sum(1 for _ in range(t))',
   'return len(range(t))'],
  ['return t + 1', 'return self.deep(a, t)', 'return [t]', 'return None'])]
CLASS = "class Solution:\n    def {}(self, a: List[int], t: int):\n        {}\n"
FUNCTIONS = [(f"{name} {kind} {number}", name, given, values, CLASS.format(name, body), kind == "right")
             for name, given, values, good, bad in METHODS
             for kind, bodies in (("right", good), ("wrong", bad)) for number, body in enumerate(bodies)]

# ---- evalplus: (entry, reference, inputs, right programs, wrong programs); whole programs as an answer would hold them
CODE = [('total',
  'def total(a):\n    return sum(a)\n',
  [[[1, 2]], [[]], [[5, -5, 3]]],
  ['import random\nimport time\ndef total(a):\n    return sum(a)',
   "def total(a):\n    return sum(a)\nif __name__ == '__main__':\n    print(total([1]))",
   'def total(a):\n    return sum(a)\nassert total([1]) == 2',
   'def help_(a):\n    return sum(a)\ndef total(a):\n    return help_(a)',
   'import functools\ndef total(a):\n    return functools.reduce(lambda x, y: x + y, a, 0)',
   'import sys\ndef total(a):\n    return min(sum(a), sys.maxsize)',
   'def total(a):\n    import math\n    return int(math.fsum(a))',
   'total = sum',
   'from fractions import Fraction\ndef total(a):\n    return Fraction(sum(a))',
   'class Sum:\n    def of(self, a):\n        return sum(a)\ndef total(a):\n    return Sum().of(a)',
   'def total(a):\n    print(a)\n    return sum(a)',
   'def total(a):\n    return sum(a)\nprint(total(input()))',
   'import os\ndef total(a):\n    return sum(a)',
   'START = 0\ndef total(a):\n    return sum(a, START)',
   'def total(a):\n    return sum(a)\ndef total(a):\n    return 0',
   'def total(a):\n    return float(sum(a))'],
  ['def total(a, seen=[]):\n    seen += a\n    return sum(seen)',
   'def total(a):\n    return sum(a[1:])',
   'def total(a):\n    return str(sum(a))',
   'def total(a):\n    print(sum(a))',
   'def totals(a):\n    return sum(a)',
   'def total(a):\n    return a[0] + sum(a[1:])',
   'def total(a):\n    return [sum(a)]',
   'def total(a, b):\n    return sum(a)',
   'def total(a):\n    return sum(a',
   'def total(a):\n    while True:\n        pass',
   'def total(a):\n    return total(a)',
   "def total(a):\n    open('x', 'w')\n    return sum(a)",
   'def total(a):\n    exit()\n    return sum(a)',
   "def total(a):\n    return float('nan')",
   'def total(a):\n    return 1\ndef total(a):\n    return sum(a)',
   'def total(a):\n    return input() or sum(a)',
   'import os\ndef total(a):\n    os.getcwd()\n    return sum(a)',
   'def total(a):\n    return (x for x in a)']),
 ('mean',
  'def mean(a):\n    return sum(a) / len(a)\n',
  [[[1, 2]], [[0.1, 0.2, 0.3]], [[10]]],
  ['def mean(a):\n    return sum(a) / len(a) + 1e-8',
   'import statistics\ndef mean(a):\n    return float(statistics.mean(a))',
   'import math\ndef mean(a):\n    return math.fsum(a) / len(a)',
   'def mean(a):\n    return sum(x / len(a) for x in a)',
   'from statistics import fmean as mean',
   'def mean(a):\n    total = 0\n    for x in a:\n        total += x\n    return total / len(a)'],
  ['def mean(a):\n    return sum(a) / len(a) + 1e-4',
   'def mean(a):\n    return sum(a) // len(a)',
   'def mean(a):\n    return round(sum(a) / len(a))',
   'def mean(a):\n    return (sum(a) / len(a),)',
   'def mean(a):\n    return [sum(a) / len(a)]']),
 ('count',
  'def count(s):\n    return {c: s.count(c) for c in s}\n',
  [['abca'], [''], ['zz']],
  ['from collections import Counter\ndef count(s):\n    return Counter(s)',
   'from collections import defaultdict\n'
   'def count(s):\n'
   '    d = defaultdict(int)\n'
   '    for c in s:\n'
   '        d[c] += 1\n'
   '    return d',
   'from collections import OrderedDict\ndef count(s):\n    return OrderedDict((c, s.count(c)) for c in s)',
   'def count(s):\n    return dict(zip(s, map(s.count, s)))'],
  ['def count(s):\n    return [(c, s.count(c)) for c in s]',
   'def count(s):\n    return {c: 1 for c in s}',
   'def count(s):\n    return {c: s.count(c) for c in s}.items()',
   'def count(s):\n    return str({c: s.count(c) for c in s})']),
 ('point',
  'def point(x):\n    return (x, x + 1)\n',
  [[1], [-1], [0]],
  ['from collections import namedtuple\n'
   "Point = namedtuple('Point', 'x y')\n"
   'def point(x):\n'
   '    return Point(x, x + 1)',
   'def point(x):\n    return x, x + 1',
   'from typing import NamedTuple\n'
   'class P(NamedTuple):\n'
   '    x: int\n'
   '    y: int\n'
   'def point(x):\n'
   '    return P(x, x + 1)',
   'def point(x):\n    return tuple([x, x + 1])'],
  ['def point(x):\n    return [x, x + 1]',
   'def point(x):\n    return {x, x + 1}',
   'def point(x):\n    return (x + 1, x)',
   'def point(x):\n    return range(x, x + 2)'])]
CODES = [(f"{entry} {kind} {number}", entry, reference, inputs, program, kind == "right")
         for entry, reference, inputs, good, bad in CODE
         for kind, programs in (("right", good), ("wrong", bad)) for number, program in enumerate(programs)]

# ---- Right programs that a grader fails by accident: the page names each kind. Expected by SUM, or as in CODE
ACCIDENTS = {'iteration': 'import sys\nn, a = (list(map(int, line.split())) for line in sys.stdin)\nprint(sum(a))',
 'read some': 'import sys\nn = int(sys.stdin.read(1))\na = list(map(int, sys.stdin.read().split()))\nprint(sum(a))',
 'lines of bytes': 'import sys\n'
                   'input = sys.stdin.buffer.readline\n'
                   'n = int(input())\n'
                   'print(sum(map(int, input().split())))',
 'text, then bytes': 'import sys\n'
                     'n = int(input())\n'
                     'print(sum(map(int, input().split())) + len(sys.stdin.buffer.read()))',
 'bytes out': "import sys\nn = input()\nsys.stdout.buffer.write(b'%d' % sum(map(int, input().split())))",
 'open(0)': 'n, *a = map(int, open(0).read().split())\nprint(sum(a))'}
DROPPED = ['from functools import lru_cache\n'
 '@lru_cache(None)\n'
 'def add(x, y):\n'
 '    return x + y\n'
 'def total(a):\n'
 '    t = 0\n'
 '    for x in a:\n'
 '        t = add(t, x)\n'
 '    return t',
 'def parts(a):\n    for x in a:\n        yield x\ndef total(a):\n    return sum(parts(a))',
 'ZERO, ONE = 0, 1\ndef total(a):\n    return sum(a, ZERO)',
 "TABLE = {}\nTABLE['zero'] = 0\ndef total(a):\n    return sum(a, TABLE['zero'])"]

# ---- evalplus: (entry, reference, inputs, right programs). What canonical HumanEval/160 and /162 need, and more that
# our policy refuses
LIBRARY = [('algebra',
  'def algebra(o, n):\n'
  '    e = str(n[0])\n'
  '    for a, b in zip(o, n[1:]):\n'
  '        e += a + str(b)\n'
  '    return eval(e)\n',
  [[['+', '*'], [2, 3, 4]]],
  []),
 ('digest',
  "def digest(t):\n    import hashlib\n    return hashlib.md5(t.encode('ascii')).hexdigest() if t else None\n",
  [['Hello'], ['']],
  ["import hashlib as h\ndef digest(t):\n    return h.new('md5', t.encode()).hexdigest() or None if t else None"]),
 ('late',
  'def late(n):\n    return n\n',
  [[3]],
  ["def late(n):\n    from datetime import datetime\n    return datetime.strptime(str(n), '%d').day",
   "def late(n):\n    return __import__('operator').index(n)",
   'def late(n):\n    return int.__add__(n, 0).__class__(n)',
   'import sys\n'
   'def late(n):\n'
   '    sys.setrecursionlimit(20000)\n'
   '    go = lambda k: k if k < 1 else go(k - 1)\n'
   '    return n + go(9000)',
   "def late(n):\n    return getattr(n, 'real'.lower())",
   "def late(n):\n    exec('m = n', {}, d := {'n': n})\n    return d['m']",
   'import unittest, doctest\ndef late(n):\n    return n'])]

# ---- What leads out of the jail, were it let: a script prints SECRET after it, and must not come that far
HOSTILE = {
    "a file": "import os\nos.open('/etc/passwd', os.O_RDONLY)",
    "a file by io": "import io\nio.FileIO('/etc/passwd')",
    "a new file": "import os\nos.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
    "a socket": "import socket\nsocket.socket()",
    "a process": "import os\nos.posix_spawn('/bin/true', ['true'], {})",
    "a fork": "import posix\nposix.fork()",
    "a signal": "import posix\nposix.kill(1, 0)",
    "a listing": "import os\nos.listdir('/')",
    "a shell": "import subprocess\nsubprocess.run('ls', shell=True)",
    "native code": "import ctypes",
    "other objects": "import gc\ngc.get_objects()",
    "a limit": "import resource\nresource.setrlimit(0, (1, 1))",
}
PEEK = """import sys
frame, seen = sys._getframe(), []
while frame:
    seen.append(str(frame.f_locals))
    frame = frame.f_back
word = chr(83) + 'ECRET'
print(word if word in str(seen) else '')"""
