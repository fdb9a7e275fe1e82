"The package's facts come from settings.ini; nothing is written down twice."
from configparser import ConfigParser
from setuptools import setup

facts = ConfigParser(delimiters=["="])
facts.read("settings.ini", encoding="utf-8")
facts = facts["DEFAULT"]
words = lambda key: facts.get(key, "").split()
setup(name="azr", version="0.1.0", packages=["azr"])
