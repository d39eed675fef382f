"""Print the N-th ```bash block of README.md."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"^```bash\n(.*?)^```", Path("README.md").read_text(), flags=re.M | re.S)
print(blocks[int(sys.argv[1]) - 1])
