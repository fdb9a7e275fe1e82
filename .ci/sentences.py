"Prose, docstrings and messages as sentences."
import ast, re

# What a stop does not end: abbreviations before a word, and those before a number.
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|cf|al)\.$")
BEFORE_NUMBER = re.compile(r"\b(?:[Ff]igs?|[Ee]qs?|[Ss]ecs?|[Nn]os?|pp?)\.$")
DOCUMENTED = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef

def blocks(text: str) -> list[str]:
    "Paragraphs, list items, headings and cells of tables, a line each. Code, formulas and addresses are one word."
    text = re.sub(r"^([ \t]*)(```|~~~).*?^\1\2|\$\$.*?\$\$|<!--.*?-->", "\n\n", text, flags=re.S | re.M)
    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "Code", text, flags=re.S)
    text = re.sub(r"(?<![\w$])\$[^$\n]+\$(?!\w)", "Formula", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|<[/a-zA-Z][^>]*>", r"\1", text)
    text = re.sub(r"https?://[^\s)>]+[^\s)>.,;:]", "Address", text)
    text = re.sub(r"^[ \t]*>[ \t]?", "", text, flags=re.M)
    text = re.sub(r"^[ \t]*#+ (.*)$", r"\n\1\n", text, flags=re.M)
    text = re.sub(r"^[ \t]*\|.*$", lambda row: row[0].replace("|", "\n\n"), text, flags=re.M)
    text = re.sub(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+", "\n\n", text, flags=re.M)
    return [" ".join(block.split()) for block in re.split(r"\n[ \t]*\n", text) if block.strip()]

def sentences(text: str) -> list[str]:
    "A stop ends a sentence, unless it closes an abbreviation or a small letter follows."
    found = []
    for block in blocks(text):
        pieces = re.split(r"(?<=[.!?])[\"')\]*_]*\s+(?=[^a-z\s])", block)
        for before, piece in zip(["", *pieces], pieces):
            if ABBREVIATION.search(before) or BEFORE_NUMBER.search(before) and re.match(r"[(\d]", piece):
                found[-1] += f" {piece}"
            else:
                found.append(piece)
    return found

def words(sentence: str) -> int: # a lone dash is none
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())

def as_text(node: ast.expr) -> str: # a value that is computed counts as one word
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(as_text, node.values))
    return as_text(node.left) + as_text(node.right) if isinstance(node, ast.BinOp) else "Value"

def spoken(nodes: list[ast.AST]) -> list[tuple[int, str]]: # (line, text)
    "Docstrings, and the messages of `raise`, `assert`, `sys.exit` and a parser's `error`."
    found = [node.body[0].value for node in nodes if isinstance(node, DOCUMENTED) and ast.get_docstring(node)]
    found += [node.exc.args[0] for node in nodes if isinstance(node, ast.Raise) and getattr(node.exc, "args", None)]
    found += [node.msg for node in nodes if isinstance(node, ast.Assert) and node.msg]
    calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
    found += [node.args[0] for node in calls if ast.unparse(node.func).split(".")[-1] in ("exit", "error")]
    return [(node.lineno, as_text(node)) for node in found]
