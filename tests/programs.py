"Two dozen programs of the kind that a good proposer writes: (program, input, output). The outputs were worked out by Python, and read over by people."

PROGRAMS = [
    (
        "def f(text):\n    counts = {}\n    for letter in text:\n        if letter.isalpha():\n            counts[letter.lower()] = counts.get(letter.lower(), 0) + 1\n    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]",
        "'Banana Split'",
        "[('a', 3), ('n', 2), ('b', 1)]",
    ),
    (
        "def f(n):\n    steps = [n]\n    while n != 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n        steps.append(n)\n    return len(steps), max(steps)",
        "27",
        "(112, 9232)",
    ),
    (
        "import heapq\n\ndef f(graph, start, goal):\n    queue, done = [(0, start, [start])], set()\n    while queue:\n        cost, node, path = heapq.heappop(queue)\n        if node == goal:\n            return cost, path\n        if node in done:\n            continue\n        done.add(node)\n        for other, weight in graph.get(node, {}).items():\n            heapq.heappush(queue, (cost + weight, other, path + [other]))\n    return None",
        "{'a': {'b': 4, 'c': 1}, 'c': {'b': 2, 'd': 7}, 'b': {'d': 3}}, 'a', 'd'",
        "(6, ['a', 'c', 'b', 'd'])",
    ),
    (
        "class Node:\n    def __init__(self, value):\n        self.value, self.left, self.right = value, None, None\n\n    def insert(self, value):\n        side = 'left' if value < self.value else 'right'\n        child = getattr(self, 'left') if side == 'left' else self.right\n        if child:\n            child.insert(value)\n        elif side == 'left':\n            self.left = Node(value)\n        else:\n            self.right = Node(value)\n\n    def depth(self):\n        return 1 + max(n.depth() if n else 0 for n in (self.left, self.right))\n\ndef f(values):\n    root = Node(values[0])\n    for value in values[1:]:\n        root.insert(value)\n    return root.depth()",
        "[5, 2, 8, 1, 9, 10]",
        "4",
    ),
    (
        "from functools import lru_cache\n\ndef f(a, b):\n    @lru_cache(maxsize=None)\n    def distance(i, j):\n        if i == 0 or j == 0:\n            return i + j\n        same = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])\n        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)\n    return distance(len(a), len(b))",
        "'kitten', 'sitting'",
        "3",
    ),
    (
        "def f(tokens):\n    stack = []\n    for token in tokens.split():\n        if token in '+-*':\n            b, a = stack.pop(), stack.pop()\n            stack.append({'+': a + b, '-': a - b, '*': a * b}[token])\n        else:\n            stack.append(int(token))\n    return stack",
        "'3 4 + 2 * 7 -'",
        "[7]",
    ),
    (
        "import re\n\ndef f(text, width=10):\n    words, lines = re.findall(r'\\w+', text), ['']\n    for word in words:\n        if len(lines[-1]) + len(word) + 1 > width:\n            lines.append('')\n        lines[-1] = f'{lines[-1]} {word}'.strip()\n    return lines",
        "'the quick, brown fox; jumps!', width=11",
        "['the quick', 'brown fox', 'jumps']",
    ),
    (
        "def f(grid):\n    seen = set()\n    def fill(r, c):\n        if not (0 <= r < len(grid) and 0 <= c < len(grid[0])) or grid[r][c] == 0 or (r, c) in seen:\n            return 0\n        seen.add((r, c))\n        return 1 + fill(r + 1, c) + fill(r - 1, c) + fill(r, c + 1) + fill(r, c - 1)\n    return sorted(size for r in range(len(grid)) for c in range(len(grid[0])) if (size := fill(r, c)))",
        "[[1, 1, 0], [0, 0, 1], [1, 0, 1]]",
        "[1, 2, 2]",
    ),
    (
        "def f(n):\n    sieve = [True] * (n + 1)\n    for i in range(2, int(n ** 0.5) + 1):\n        if sieve[i]:\n            sieve[i * i::i] = [False] * len(sieve[i * i::i])\n    return [i for i in range(2, n + 1) if sieve[i]]",
        "30",
        "[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]",
    ),
    (
        "def f(coins, amount):\n    ways = [1] + [0] * amount\n    for coin in coins:\n        for total in range(coin, amount + 1):\n            ways[total] += ways[total - coin]\n    return ways[amount]",
        "[1, 2, 5], 11",
        "11",
    ),
    (
        "from collections import deque\n\ndef f(moves, size=3):\n    snake, food = deque([(0, 0)]), {(0, 2), (2, 2)}\n    for move in moves:\n        r, c = snake[0]\n        head = ((r + {'U': -1, 'D': 1}.get(move, 0)) % size, (c + {'L': -1, 'R': 1}.get(move, 0)) % size)\n        if head in snake:\n            return 'bitten', len(snake)\n        snake.appendleft(head)\n        if head not in food:\n            snake.pop()\n        food.discard(head)\n    return list(snake)",
        "'RRDD'",
        "[(2, 2), (1, 2), (0, 2)]",
    ),
    (
        "def f(data):\n    def walk(node, path):\n        if isinstance(node, dict):\n            for key, value in node.items():\n                yield from walk(value, path + [key])\n        else:\n            yield '.'.join(path), node\n    return dict(walk(data, []))",
        "{'a': {'b': 1, 'c': {'d': None}}, 'e': [2]}",
        "{'a.b': 1, 'a.c.d': None, 'e': [2]}",
    ),
    (
        "def f(key, text):\n    shift = lambda letter, by: chr((ord(letter) - 97 + by) % 26 + 97)\n    return ''.join(shift(c, ord(key[i % len(key)]) - 97) for i, c in enumerate(text))",
        "'key', 'attackatdawn'",
        "'kxrkgikxbkal'",
    ),
    (
        "from fractions import Fraction\n\ndef f(terms):\n    total = Fraction(0)\n    for term in reversed(terms):\n        total = Fraction(term) + (1 / total if total else 0)\n    return total.numerator, total.denominator",
        "[3, 7, 15, 1]",
        "(355, 113)",
    ),
    (
        "def f(program, tape):\n    tape, pointer, at = list(tape), 0, 0\n    while at < len(program):\n        op = program[at]\n        if op == '>': pointer += 1\n        if op == '<': pointer -= 1\n        if op == '+': tape[pointer] += 1\n        if op == '-': tape[pointer] -= 1\n        if op == ']' and tape[pointer]: at = program.rindex('[', 0, at)\n        at += 1\n    return tape",
        "'[->+<]', [3, 4]",
        "[0, 7]",
    ),
    (
        "def f(people):\n    try:\n        return max(people, key=lambda p: (p['age'], p['name']))['name']\n    except (KeyError, ValueError) as problem:\n        return type(problem).__name__",
        "[{'name': 'Ada', 'age': 36}, {'name': 'Bo'}]",
        "'KeyError'",
    ),
    (
        "def f(n, k):\n    ring, at, order = list(range(1, n + 1)), 0, []\n    while ring:\n        at = (at + k - 1) % len(ring)\n        order.append(ring.pop(at))\n    return order",
        "7, 3",
        "[3, 6, 2, 7, 5, 1, 4]",
    ),
    (
        "def f(numeral):\n    values = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)\n    total = 0\n    for here, after in zip(numeral, numeral[1:] + 'I'):\n        total += -values[here] if values[here] < values[after] else values[here]\n    return total",
        "'MCMXCIV'",
        "1994",
    ),
    (
        "import math\n\ndef f(points):\n    centre = [sum(axis) / len(points) for axis in zip(*points)]\n    far = max(points, key=lambda p: math.dist(p, centre))\n    return centre, far, round(math.dist(far, centre), 3)",
        "[(0, 0), (4, 0), (0, 4), (10, 10)]",
        "([3.5, 3.5], (10, 10), 9.192)",
    ),
    (
        "def f(rows):\n    return {row[0]: tuple(cell for cell in row[1:] if cell is not None) for row in rows if any(row[1:])}",
        "[['a', 1, None], ['b', 0, 0], ['c', None, 'x']]",
        "{'a': (1,), 'c': ('x',)}",
    ),
    (
        "def outer(x):\n    return [inner(y) for y in x]\n\ndef inner(y):\n    return y * y if y % 2 else -y\n\ndef f(x, *rest, scale=1):\n    return sum(outer(x)) * scale + len(rest)",
        "[1, 2, 3], 'a', 'b', scale=10",
        "82",
    ),
    (
        "def f(bits):\n    state, out = 'even', []\n    table = {('even', '1'): 'odd', ('odd', '1'): 'even'}\n    for bit in bits:\n        state = table.get((state, bit), state)\n        out.append(state[0])\n    return ''.join(out), state == 'even'",
        "'10110'",
        "('ooeoo', False)",
    ),
    (
        "def f(words):\n    groups = {}\n    for word in words:\n        groups.setdefault(''.join(sorted(word)), set()).add(word)\n    return [group for key, group in sorted(groups.items()) if len(group) > 1]",
        "['tea', 'eat', 'tan', 'ate', 'nat', 'bat']",
        "[{'ate', 'eat', 'tea'}, {'nat', 'tan'}]",
    ),
    (
        "def f(weights, capacity):\n    best = {0: ()}\n    for i, w in enumerate(weights):\n        for total, chosen in list(best.items()):\n            if total + w <= capacity and total + w not in best:\n                best[total + w] = chosen + (i,)\n    return max(best), best[max(best)]",
        "[5, 7, 4, 9], 15",
        "(14, (0, 3))",
    ),
]
