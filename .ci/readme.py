"README.md from nbs/index.ipynb and the outputs stored in it."
import re, sys

import notebooks

INDEX, README = notebooks.ROOT / "nbs" / "index.ipynb", notebooks.ROOT / "README.md"
HEAD = "<!-- Made from nbs/index.ipynb by `make check`: edit that page. -->\n\n"

def at_root(text: str) -> str:
    "Links of a page in nbs/ as seen from the root: ../x is x, and x is nbs/x."
    def moved(match):
        target = match[2]
        if re.match(r"[a-z]+:|#|/", target): return match[0]
        return f"{match[1]}{target[3:] if target.startswith('../') else 'nbs/' + target}"
    return re.sub(r"(\]\(|<img src=\"|<a href=\")([^)\s\"]+)", moved, text)

def fenced(text: str, language: str = "") -> str:
    "A code block, with a fence longer than any inside."
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`{3,}", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"

def output_text(output) -> str: # "" for nothing to show
    "One output as markdown."
    if output.output_type == "stream": return fenced(output.text)
    if output.output_type == "error":
        raise SystemExit(f"nbs/index.ipynb stores an error ({output.ename}): run `make refresh PAGES=nbs/index.ipynb`")
    data = output.data
    if "text/markdown" in data: return at_root(data["text/markdown"].strip())
    if any(kind.startswith("image/") for kind in data):
        raise SystemExit(
            "nbs/index.ipynb draws a picture, which a README cannot hold: let `make figures` draw it into figures/, "
            "and show that file by a markdown cell"
        )
    return fenced(data["text/plain"])

def cell_text(cell) -> list[str]:
    "The blocks that a cell gives: quarto's directives hide it, its code or its output."
    marks = notebooks.directives(cell)
    if cell.cell_type == "markdown": return [] if "hide" in marks else [at_root(cell.source.strip())]
    if (
        cell.cell_type != "code"
        or marks & {"hide", "include: false"}
        or any(mark.startswith("default_exp") for mark in marks)
    ):
        return []
    source = "\n".join(line for line in cell.source.splitlines() if not re.match(r"#\s*\|", line)).strip()
    shown = [fenced(source, "python")] if source and not marks & {"hide_input", "echo: false"} else []
    return shown + (
        [] if marks & {"hide_output", "output: false"} else [output_text(output) for output in cell.outputs]
    )

def build(notebook) -> str:
    "The whole README."
    blocks = [block for cell in notebook.cells for block in cell_text(cell) if block]
    return HEAD + "\n\n".join(blocks) + "\n"

def main():
    if not INDEX.exists(): return print("nbs/index.ipynb is missing: README.md stays as it is")
    text = build(notebooks.read(INDEX))
    if not README.exists() or README.read_text(encoding="utf-8") != text: README.write_text(text, encoding="utf-8")

if __name__ == "__main__": sys.exit(main())
