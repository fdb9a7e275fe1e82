"Which public names of azr's modules a piece of code offers and uses."
import ast, re

def offered(nodes: list[ast.AST]) -> list[str]:
    "What `__all__` lists."
    lists = [node.value for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return [name for value in lists for name in ast.literal_eval(value)]

def named(text: str) -> set[tuple[str, str]]: # (module, name)
    "What a text names: `azr.cli:main`, `azr.run.train`, `from azr.run import train`."
    imports = re.findall(r"from azr\.(\w+) import (\([\w,\s]+\)|[\w, ]+)", text)
    imported = {(module, name) for module, names in imports for name in re.findall(r"\w+", names)}
    return set(re.findall(r"\bazr\.(\w+)[.:](\w+)", text)) | imported

def used(nodes: list[ast.AST]) -> set[tuple[str, str]]: # (module, name)
    "Names that code imports, reaches through a module, replaces by `setattr`, or names in a text."
    modules, found = {}, set()
    for node in nodes:
        if isinstance(node, ast.Import):
            own = [alias for alias in node.names if alias.name.startswith("azr.")]
            modules |= {alias.asname or alias.name: alias.name[4:] for alias in own}
        elif isinstance(node, ast.ImportFrom) and node.module == "azr":
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("azr."):
            found |= {(node.module[4:], alias.name) for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= named(node.value)
    starred = [module for module, name in found if name == "*"]
    found |= {(module, node.id) for module in starred for node in nodes if isinstance(node, ast.Name)}
    reached = [(node.value, node.attr) for node in nodes if isinstance(node, ast.Attribute)]
    calls = [node.args for node in nodes if isinstance(node, ast.Call) and len(node.args) > 1]
    reached += [(first, second.value) for first, second, *_ in calls if isinstance(second, ast.Constant)]
    return found | {(modules[text], name) for value, name in reached if (text := ast.unparse(value)) in modules}
