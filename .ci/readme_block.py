"""Print the N-th ```bash block of README.md, without the lines that clone the repository."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"^```bash\n(.*?)^```", Path("README.md").read_text(), flags=re.M | re.S)
lines = blocks[int(sys.argv[1]) - 1].splitlines()
print("\n".join(line for line in lines if not line.startswith("git clone")))
