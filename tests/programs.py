"""Two dozen programs of the kind that a good proposer writes: (program, input, output).

The outputs were worked out by Python, and read over by people."""

PROGRAMS = [
    (
        """\
def f(text):
    counts = {}
    for letter in text:
        if letter.isalpha():
            counts[letter.lower()] = counts.get(letter.lower(), 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]""",
        "'Banana Split'",
        "[('a', 3), ('n', 2), ('b', 1)]",
    ),
    (
        """\
def f(n):
    steps = [n]
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps.append(n)
    return len(steps), max(steps)""",
        "27",
        "(112, 9232)",
    ),
    (
        """\
import heapq

def f(graph, start, goal):
    queue, done = [(0, start, [start])], set()
    while queue:
        cost, node, path = heapq.heappop(queue)
        if node == goal:
            return cost, path
        if node in done:
            continue
        done.add(node)
        for other, weight in graph.get(node, {}).items():
            heapq.heappush(queue, (cost + weight, other, path + [other]))
    return None""",
        "{'a': {'b': 4, 'c': 1}, 'c': {'b': 2, 'd': 7}, 'b': {'d': 3}}, 'a', 'd'",
        "(6, ['a', 'c', 'b', 'd'])",
    ),
    (
        """\
class Node:
    def __init__(self, value):
        self.value, self.left, self.right = value, None, None

    def insert(self, value):
        side = 'left' if value < self.value else 'right'
        child = getattr(self, 'left') if side == 'left' else self.right
        if child:
            child.insert(value)
        elif side == 'left':
            self.left = Node(value)
        else:
            self.right = Node(value)

    def depth(self):
        return 1 + max(n.depth() if n else 0 for n in (self.left, self.right))

def f(values):
    root = Node(values[0])
    for value in values[1:]:
        root.insert(value)
    return root.depth()""",
        "[5, 2, 8, 1, 9, 10]",
        "4",
    ),
    (
        """\
from functools import lru_cache

def f(a, b):
    @lru_cache(maxsize=None)
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        same = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)
    return distance(len(a), len(b))""",
        "'kitten', 'sitting'",
        "3",
    ),
    (
        """\
def f(tokens):
    stack = []
    for token in tokens.split():
        if token in '+-*':
            b, a = stack.pop(), stack.pop()
            stack.append({'+': a + b, '-': a - b, '*': a * b}[token])
        else:
            stack.append(int(token))
    return stack""",
        "'3 4 + 2 * 7 -'",
        "[7]",
    ),
    (
        """\
import re

def f(text, width=10):
    words, lines = re.findall(r'\\w+', text), ['']
    for word in words:
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append('')
        lines[-1] = f'{lines[-1]} {word}'.strip()
    return lines""",
        "'the quick, brown fox; jumps!', width=11",
        "['the quick', 'brown fox', 'jumps']",
    ),
    (
        """\
def f(grid):
    seen = set()
    def fill(r, c):
        if not (0 <= r < len(grid) and 0 <= c < len(grid[0])) or grid[r][c] == 0 or (r, c) in seen:
            return 0
        seen.add((r, c))
        return 1 + fill(r + 1, c) + fill(r - 1, c) + fill(r, c + 1) + fill(r, c - 1)
    return sorted(size for r in range(len(grid)) for c in range(len(grid[0])) if (size := fill(r, c)))""",
        "[[1, 1, 0], [0, 0, 1], [1, 0, 1]]",
        "[1, 2, 2]",
    ),
    (
        """\
def f(n):
    sieve = [True] * (n + 1)
    for i in range(2, int(n ** 0.5) + 1):
        if sieve[i]:
            sieve[i * i::i] = [False] * len(sieve[i * i::i])
    return [i for i in range(2, n + 1) if sieve[i]]""",
        "30",
        "[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]",
    ),
    (
        """\
def f(coins, amount):
    ways = [1] + [0] * amount
    for coin in coins:
        for total in range(coin, amount + 1):
            ways[total] += ways[total - coin]
    return ways[amount]""",
        "[1, 2, 5], 11",
        "11",
    ),
    (
        """\
from collections import deque

def f(moves, size=3):
    snake, food = deque([(0, 0)]), {(0, 2), (2, 2)}
    for move in moves:
        r, c = snake[0]
        head = ((r + {'U': -1, 'D': 1}.get(move, 0)) % size, (c + {'L': -1, 'R': 1}.get(move, 0)) % size)
        if head in snake:
            return 'bitten', len(snake)
        snake.appendleft(head)
        if head not in food:
            snake.pop()
        food.discard(head)
    return list(snake)""",
        "'RRDD'",
        "[(2, 2), (1, 2), (0, 2)]",
    ),
    (
        """\
def f(data):
    def walk(node, path):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, path + [key])
        else:
            yield '.'.join(path), node
    return dict(walk(data, []))""",
        "{'a': {'b': 1, 'c': {'d': None}}, 'e': [2]}",
        "{'a.b': 1, 'a.c.d': None, 'e': [2]}",
    ),
    (
        """\
def f(key, text):
    shift = lambda letter, by: chr((ord(letter) - 97 + by) % 26 + 97)
    return ''.join(shift(c, ord(key[i % len(key)]) - 97) for i, c in enumerate(text))""",
        "'key', 'attackatdawn'",
        "'kxrkgikxbkal'",
    ),
    (
        """\
from fractions import Fraction

def f(terms):
    total = Fraction(0)
    for term in reversed(terms):
        total = Fraction(term) + (1 / total if total else 0)
    return total.numerator, total.denominator""",
        "[3, 7, 15, 1]",
        "(355, 113)",
    ),
    (
        """\
def f(program, tape):
    tape, pointer, at = list(tape), 0, 0
    while at < len(program):
        op = program[at]
        if op == '>': pointer += 1
        if op == '<': pointer -= 1
        if op == '+': tape[pointer] += 1
        if op == '-': tape[pointer] -= 1
        if op == ']' and tape[pointer]: at = program.rindex('[', 0, at)
        at += 1
    return tape""",
        "'[->+<]', [3, 4]",
        "[0, 7]",
    ),
    (
        """\
def f(people):
    try:
        return max(people, key=lambda p: (p['age'], p['name']))['name']
    except (KeyError, ValueError) as problem:
        return type(problem).__name__""",
        "[{'name': 'Ada', 'age': 36}, {'name': 'Bo'}]",
        "'KeyError'",
    ),
    (
        """\
def f(n, k):
    ring, at, order = list(range(1, n + 1)), 0, []
    while ring:
        at = (at + k - 1) % len(ring)
        order.append(ring.pop(at))
    return order""",
        "7, 3",
        "[3, 6, 2, 7, 5, 1, 4]",
    ),
    (
        """\
def f(numeral):
    values = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)
    total = 0
    for here, after in zip(numeral, numeral[1:] + 'I'):
        total += -values[here] if values[here] < values[after] else values[here]
    return total""",
        "'MCMXCIV'",
        "1994",
    ),
    (
        """\
import math

def f(points):
    centre = [sum(axis) / len(points) for axis in zip(*points)]
    far = max(points, key=lambda p: math.dist(p, centre))
    return centre, far, round(math.dist(far, centre), 3)""",
        "[(0, 0), (4, 0), (0, 4), (10, 10)]",
        "([3.5, 3.5], (10, 10), 9.192)",
    ),
    (
        """\
def f(rows):
    return {row[0]: tuple(cell for cell in row[1:] if cell is not None) for row in rows if any(row[1:])}""",
        "[['a', 1, None], ['b', 0, 0], ['c', None, 'x']]",
        "{'a': (1,), 'c': ('x',)}",
    ),
    (
        """\
def outer(x):
    return [inner(y) for y in x]

def inner(y):
    return y * y if y % 2 else -y

def f(x, *rest, scale=1):
    return sum(outer(x)) * scale + len(rest)""",
        "[1, 2, 3], 'a', 'b', scale=10",
        "82",
    ),
    (
        """\
def f(bits):
    state, out = 'even', []
    table = {('even', '1'): 'odd', ('odd', '1'): 'even'}
    for bit in bits:
        state = table.get((state, bit), state)
        out.append(state[0])
    return ''.join(out), state == 'even'""",
        "'10110'",
        "('ooeoo', False)",
    ),
    (
        """\
def f(words):
    groups = {}
    for word in words:
        groups.setdefault(''.join(sorted(word)), set()).add(word)
    return [group for key, group in sorted(groups.items()) if len(group) > 1]""",
        "['tea', 'eat', 'tan', 'ate', 'nat', 'bat']",
        "[{'ate', 'eat', 'tea'}, {'nat', 'tan'}]",
    ),
    (
        """\
def f(weights, capacity):
    best = {0: ()}
    for i, w in enumerate(weights):
        for total, chosen in list(best.items()):
            if total + w <= capacity and total + w not in best:
                best[total + w] = chosen + (i,)
    return max(best), best[max(best)]""",
        "[5, 7, 4, 9], 15",
        "(14, (0, 3))",
    ),
]
