import sys
from pathlib import Path

# The made-up experiment serves the figures' tests too and lies beside them.
sys.path.insert(0, str(Path(__file__).parents[1] / "figures"))
