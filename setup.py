"The package's facts come from settings.ini; nothing is written down twice."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

parser = ConfigParser(delimiters=["="])
parser.read("settings.ini", encoding="utf-8")
facts = parser["DEFAULT"]
words = lambda key: facts.get(key, "").split()
readme = Path("README.md")
lib = facts["lib_path"]
# the notebooks and what they show: `azr lab` copies them, `azr demo` runs one; a checkout has them beside the package
pages_data = {"nbs": ["**/*.ipynb", "**/*.yaml"], "data": ["**/*"], "figures": ["*.png"]}
pages = [f"{lib}.pages.{name}" for name in pages_data]
url = f"https://github.com/{facts['user']}/{facts['repo']}"
setup(name=facts["lib_name"], version=facts["version"], description=facts["description"], keywords=words("keywords"),
      author=facts["author"], author_email=facts["author_email"], license="Apache-2.0", url=url, python_requires=f">={facts['min_python']}",
      long_description=readme.read_text(encoding="utf-8") if readme.exists() else "", long_description_content_type="text/markdown",
      packages=[lib, *pages], package_dir={f"{lib}.pages.{name}": name for name in pages_data},
      package_data={lib: ["weights/**", "configs/*.yaml", "configs/accelerate/*.yaml", "functions.json", "repositories/*"],
                    **{f"{lib}.pages.{name}": patterns for name, patterns in pages_data.items()}}, include_package_data=False,
      install_requires=words("requirements"),
      extras_require={name: words(f"{name}_requirements") for name in ("lab", "real", "evals", "gpu", "docs", "dev")},
      entry_points={"console_scripts": words("console_scripts")})
