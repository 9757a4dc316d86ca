# bevor-test: timeout=900 tier=full
"""`crash_safety` many times over."""
import os
import sys

os.environ["ROUNDS"] = "200"
os.environ["SEED"] = "long"
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(__file__), "crash_safety.py")])
